//! What a message reads and takes, and where in its file.

use super::definition::{Message, Parts};
use super::tags::{self, CodeTag};
use promoflow_document::{Content, Diagnostics, Node, Position, read};

/// Names in templates that are no values of a run.
pub(super) const PROVIDED: [&str; 8] = [
    "key",
    "math",
    "mathTool",
    "number",
    "numberTool",
    "date",
    "dateTool",
    "data",
];

/// A value that a message reads, at the first place where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The value's name.
    pub name: String,
    /// Whether a merge tag reads it, in which the case of letters does not matter.
    pub tag: bool,
    /// The part, as the message's file calls it.
    pub part: &'static str,
    /// The language, where it is not the message itself that reads it.
    pub language: Option<String>,
    /// The line within the part, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
}

impl Read {
    /// Whether it reads the value of that name.
    pub fn is_of(&self, name: &str) -> bool {
        self.name == name || (self.tag && self.name.eq_ignore_ascii_case(name))
    }

    /// Whether nothing new is known by another one.
    pub(super) fn covers(&self, other: &Read) -> bool {
        self.name == other.name || other.is_of(&self.name)
    }
}

impl Message {
    /// The values that it reads in any language, each once, in the order of the file. What merge
    /// tags print is among them where they do not say what stands instead.
    pub fn reads(&self) -> Vec<Read> {
        let mut reads: Vec<Read> = Vec::new();
        self.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            let read = |name: String, tag, line, column| Read {
                name,
                tag,
                part,
                language: language.map(str::to_owned),
                line,
                column,
            };
            let references = template.references().into_iter();
            let by_references = references.filter_map(|one| {
                let name = match one.key {
                    Some(key) => key,
                    None if PROVIDED.contains(&one.variable.as_str()) => return None,
                    None => one.variable,
                };
                Some(read(name, false, one.line, one.column))
            });
            let by_tags =
                tags::bare(&template).map(|one| read(one.key.clone(), true, one.line, one.column));
            let mut here: Vec<Read> = by_references.chain(by_tags).collect();
            here.sort_by_key(|one| (one.line, one.column));
            for one in here {
                if !reads.iter().any(|known| known.covers(&one)) {
                    reads.push(one);
                }
            }
        });
        reads
    }

    /// The promo codes that its merge tags take in any language, each once.
    pub fn codes(&self) -> Vec<CodeTag> {
        let mut codes = Vec::new();
        self.each_template(&mut |_, _, source| {
            if let Ok(template) = tags::parse(source) {
                for code in tags::codes(&template) {
                    tags::join(&mut codes, code);
                }
            }
        });
        codes
    }

    /// Where it first prints the address at which its contact unsubscribes.
    pub fn unsubscribes(&self) -> Option<Read> {
        let mut first = None;
        self.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            if let (None, Some(tag)) = (&first, tags::unsubscribe(&template)) {
                first = Some(Read {
                    name: tag.key.clone(),
                    tag: true,
                    part,
                    language: language.map(str::to_owned),
                    line: tag.line,
                    column: tag.column,
                });
            }
        });
        first
    }

    /// The promo codes that its merge tags take, each with its first place.
    pub fn code_places(&self) -> Vec<(CodeTag, Read)> {
        let mut places: Vec<(CodeTag, Read)> = Vec::new();
        self.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            for tag in template.tags() {
                let Some(code) = tags::code(&tag.key, &tag.instead) else {
                    continue;
                };
                if places
                    .iter()
                    .any(|(one, _)| one.selector.lane == code.selector.lane)
                {
                    continue;
                }
                let read = Read {
                    name: format!("%{code}%"),
                    tag: true,
                    part,
                    language: language.map(str::to_owned),
                    line: tag.line,
                    column: tag.column,
                };
                places.push((code, read));
            }
        });
        places
    }

    /// Shows each of its templates, with its part and its language.
    pub(super) fn each_template<'m>(
        &'m self,
        each: &mut dyn FnMut(&'static str, Option<&'m str>, &'m str),
    ) {
        for (part, source) in self.parts.each() {
            each(part, None, source);
        }
        for (_, value) in &self.headers {
            each("headers", None, value);
        }
        for variant in &self.languages {
            for (part, source) in variant.parts.each() {
                each(part, Some(&variant.language), source);
            }
        }
    }
}

impl Parts {
    /// Those that there are, with their names in files.
    fn each(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("from", &self.from),
            ("reply-to", &self.reply_to),
            ("subject", &self.subject),
            ("preheader", &self.preheader),
            ("title", &self.title),
            ("text", &self.text),
            ("html", &self.html),
            ("image", &self.image),
            ("link", &self.link),
            ("button", &self.button),
        ];
        all.into_iter()
            .filter_map(|(name, part)| Some((name, part.as_deref()?)))
    }
}

/// Where a message of this file, of which the name says how it is read, reads a value: in the file itself, or in the `html-file` that it
/// names, whose path is the answer's first half then.
pub fn place(file: &str, bytes: &[u8], message: &str, of: &Read) -> (Option<String>, Position) {
    let document = read(bytes, &mut Diagnostics::new(file))
        .into_iter()
        .find(|document| text(document, "message") == Some(message));
    let Some(document) = document else {
        return (None, Position::START);
    };
    let parts = match &of.language {
        Some(language) => {
            value(&document, "languages").and_then(|languages| value(languages, language))
        }
        None => Some(&document),
    };
    let parts = parts.unwrap_or(&document);
    let within = Position {
        line: of.line,
        column: of.column,
    };
    if let Some(part) = value(parts, of.part) {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let at = part
            .scalar()
            .map(|scalar| scalar.locate(place(of.line), place(of.column)));
        return (None, at.unwrap_or(part.at));
    }
    match text(parts, "html-file") {
        Some(path) if of.part == "html" => (Some(path.to_owned()), within),
        _ => (None, document.at),
    }
}

fn value<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Content::Mapping(entries) = &node.content else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    Some(&entry.value)
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    value(node, key)?.scalar().map(|scalar| scalar.text())
}

#[cfg(test)]
mod tests {
    use super::super::{check_part, parse};
    use super::*;

    const FILE: &str = "\
message: other
channel: sms
text: t
---
message: m
channel: email
subject: Hi $name, $!data.get('name') $key $mathTool.add(1, 2)
text: |
  #set($own = 1)$own
  Код: $!data.get('promocode') %FIRSTNAME|x% %PC_a_1_7% %Shop% %NAME%
html-file: m.html
languages:
  uk: { subject: Вітаю $хто $who, text: \"%PC_b_1_7|y%\" }
";

    #[test]
    fn what_a_message_reads_and_takes_is_told_with_its_place() {
        let files = |_: &str| Ok(b"<p>\n $!data.city</p>".to_vec());
        let (messages, _) = parse("f", FILE.as_bytes(), &files, &check_part)
            .into_result()
            .unwrap();
        let message = &messages[1];
        let reads = message.reads();
        let places: Vec<_> = reads
            .iter()
            .map(|one| {
                let (file, at) = place("f", FILE.as_bytes(), "m", one);
                (one.name.as_str(), file, at.line, at.column)
            })
            .collect();
        assert_eq!(
            places,
            [
                ("name", None, 7, 13),
                ("promocode", None, 10, 8),
                ("shop", None, 10, 57),
                ("city", Some("m.html".to_owned()), 2, 2),
                ("who", None, 13, 29),
            ]
        );
        let codes = message.codes();
        let codes: Vec<_> = codes.iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["PC_a_1_7", "PC_b_1_7"]);
    }
}
