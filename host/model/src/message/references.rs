//! The values a message reads and the codes it claims, with their positions in its file.

use super::definition::{Message, Parts};
use super::tags::{self, CodeTag};
use promoflow_document::{Diagnostics, Node, NodeValue, Position, read};

/// Names in templates that are not values of a run.
pub(super) const BUILT_IN_NAMES: [&str; 8] = [
    "key",
    "math",
    "mathTool",
    "number",
    "numberTool",
    "date",
    "dateTool",
    "data",
];

/// The first reference of a message to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueReference {
    /// The value's name.
    pub name: String,
    /// True for a merge tag, whose name is case-insensitive.
    pub tag: bool,
    /// The part, as named in the message's file.
    pub part: &'static str,
    /// The language, unless it is the message's own.
    pub language: Option<String>,
    /// The line within the part, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
}

impl ValueReference {
    /// Returns true if the reference reads the value of that name.
    pub fn matches_name(&self, name: &str) -> bool {
        self.name == name || (self.tag && self.name.eq_ignore_ascii_case(name))
    }

    /// Returns true if this reference makes the other one redundant.
    pub(super) fn covers(&self, other: &ValueReference) -> bool {
        self.name == other.name || other.matches_name(&self.name)
    }
}

impl Message {
    /// Returns the values that the message reads in any language, each once, in file order. Merge
    /// tags with a default are not included.
    pub fn reads(&self) -> Vec<ValueReference> {
        let mut reads: Vec<ValueReference> = Vec::new();
        self.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            let read = |name: String, tag, line, column| ValueReference {
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
                    None if BUILT_IN_NAMES.contains(&one.variable.as_str()) => return None,
                    None => one.variable,
                };
                Some(read(name, false, one.line, one.column))
            });
            let by_tags = tags::without_default(&template)
                .map(|one| read(one.key.clone(), true, one.line, one.column));
            let mut here: Vec<ValueReference> = by_references.chain(by_tags).collect();
            here.sort_by_key(|one| (one.line, one.column));
            for one in here {
                if !reads.iter().any(|known| known.covers(&one)) {
                    reads.push(one);
                }
            }
        });
        reads
    }

    /// Returns the promo codes that the message's merge tags claim in any language, each once.
    pub fn codes(&self) -> Vec<CodeTag> {
        let mut codes = Vec::new();
        self.for_each_template(&mut |_, _, source| {
            if let Ok(template) = tags::parse(source) {
                for code in tags::code_tags(&template) {
                    tags::add_code(&mut codes, code);
                }
            }
        });
        codes
    }

    /// Returns the position of the first unsubscribe tag.
    pub fn unsubscribe_reference(&self) -> Option<ValueReference> {
        let mut first = None;
        self.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            if let (None, Some(tag)) = (&first, tags::unsubscribe_tag(&template)) {
                first = Some(ValueReference {
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

    /// Returns the promo codes that the message's merge tags claim, each with its first position.
    pub fn code_references(&self) -> Vec<(CodeTag, ValueReference)> {
        let mut places: Vec<(CodeTag, ValueReference)> = Vec::new();
        self.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            for tag in template.tags() {
                let Some(code) = tags::code_tag(&tag.key, &tag.instead) else {
                    continue;
                };
                if places
                    .iter()
                    .any(|(one, _)| one.selector.code_group == code.selector.code_group)
                {
                    continue;
                }
                let read = ValueReference {
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

    /// Calls `each` with every template, its part and its language.
    pub(super) fn for_each_template<'m>(
        &'m self,
        each: &mut dyn FnMut(&'static str, Option<&'m str>, &'m str),
    ) {
        for (part, source) in self.parts.each() {
            each(part, None, source);
        }
        for (_, value) in &self.headers {
            each("headers", None, value);
        }
        for translation in &self.languages {
            for (part, source) in translation.parts.each() {
                each(part, Some(&translation.language), source);
            }
        }
    }
}

impl Parts {
    /// Iterates over the existing parts with their names in files.
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

/// Returns the position of a reference in the message's file, or in its `html-file`; in that case
/// the first element is the path of that file. The extension of `file` decides how it is parsed.
pub fn locate_reference(
    file: &str,
    bytes: &[u8],
    message: &str,
    of: &ValueReference,
) -> (Option<String>, Position) {
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
    let NodeValue::Mapping(entries) = &node.content else {
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
    fn reports_reads_and_codes_with_positions() {
        let files = |_: &str| Ok(b"<p>\n $!data.city</p>".to_vec());
        let (messages, _) = parse("f", FILE.as_bytes(), &files, &check_part)
            .into_result()
            .unwrap();
        let message = &messages[1];
        let reads = message.reads();
        let places: Vec<_> = reads
            .iter()
            .map(|one| {
                let (file, at) = locate_reference("f", FILE.as_bytes(), "m", one);
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
