//! The values a message can read: checks references against known names and suggests corrections.

use std::collections::BTreeSet;

use promoflow_velocity::{Template, Usage};

use super::definition::{Message, Unset};
use super::references::{BUILT_IN_NAMES, ValueReference};
use super::tags;
use promoflow_document::{closest, quoted};

/// Maximum number of references per message that are compared with known names. Each comparison
/// takes time proportional to the number of names, and a file can be crafted with tens of thousands
/// of references.
const MAX_REFERENCES: usize = 200;
/// Names that contacts usually have, and that are suggested even if nothing is known yet.
const COMMON: [&str; 2] = ["firstName", "lastName"];
/// Minimum length of a name for typo detection. Shorter names are too similar to each other.
const MIN_COMPARED_CHARS: usize = 4;

/// A value that a template reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateReference {
    /// The value's name, and the position of its most significant reference.
    pub read: ValueReference,
    /// The reference as written: `${order.total}`, `%FIRSTNAME%`.
    pub source: String,
    /// True if the value is printed without a default.
    pub printed: bool,
    /// True if the dollar sign looks like part of the text, so that the reference is printed as
    /// written if it has no value.
    pub is_literal: bool,
}

impl TemplateReference {
    /// Describes the output without a value, for a warning.
    pub fn without_value(&self, unset: Unset) -> &'static str {
        match (self.printed, self.is_literal, unset) {
            (true, false, Unset::Nothing) => ": without a value it prints nothing",
            (true, ..) => ": without a value it is printed as written",
            (false, ..) => "",
        }
    }

    /// Returns true if this reference makes the other one redundant.
    fn covers(&self, other: &TemplateReference) -> bool {
        self.read.covers(&other.read) && (self.printed || !other.printed)
    }
}

impl Message {
    /// Returns the values that the message reads in any language, each once, in file order.
    pub fn template_references(&self) -> Vec<TemplateReference> {
        let mut template_references: Vec<TemplateReference> = Vec::new();
        self.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            for (reference, line, column) in references_of(&template) {
                let read = ValueReference {
                    part,
                    language: language.map(str::to_owned),
                    line,
                    column,
                    ..reference.read
                };
                let reference = TemplateReference { read, ..reference };
                if template_references.len() < MAX_REFERENCES
                    && !template_references
                        .iter()
                        .any(|known| known.covers(&reference))
                {
                    template_references.retain(|known| !reference.covers(known));
                    template_references.push(reference);
                }
            }
        });
        template_references
    }
}

/// Returns the values that a template of a workflow reads, with line and column.
pub fn references_of(template: &Template) -> Vec<(TemplateReference, u32, u32)> {
    let references = template.references();
    let name = |one: &promoflow_velocity::Reference| match &one.key {
        Some(key) => Some(key.clone()),
        None if BUILT_IN_NAMES.contains(&one.variable.as_str()) => None,
        None => Some(one.variable.clone()),
    };
    let tested: BTreeSet<String> = references
        .iter()
        .filter(|one| one.usage == Usage::Tested)
        .filter_map(name)
        .collect();
    let reference = |name: String, tag, source: String, printed, is_literal| TemplateReference {
        read: ValueReference {
            name,
            tag,
            part: "",
            language: None,
            line: 1,
            column: 1,
        },
        source,
        printed,
        is_literal,
    };
    let by_reference = references.iter().filter_map(|one| {
        let name = name(one)?;
        // A template that tests a value expects that it may be missing.
        let is_literal = one.usage == Usage::Text;
        let printed = (one.usage == Usage::Printed || is_literal) && !tested.contains(&name);
        let reference = reference(name, false, one.source.clone(), printed, is_literal);
        Some((reference, one.line, one.column))
    });
    let by_tag = template.tags().iter().filter(|one| tags::prints_value(one));
    let by_tag = by_tag.map(|one| {
        let source = format!("%{}%", one.key.to_ascii_uppercase());
        let reference = reference(one.key.clone(), true, source, false, false);
        (reference, one.line, one.column)
    });
    let mut template_references: Vec<_> = by_reference.chain(by_tag).collect();
    template_references.sort_by_key(|(_, line, column)| (*line, *column));
    template_references
}

/// The names of values that are available to a message.
#[derive(Clone, Debug, Default)]
pub struct KnownValues {
    names: BTreeSet<String>,
    any_name: bool,
}

impl KnownValues {
    /// Creates a set of known names.
    pub fn new(names: impl IntoIterator<Item = String>) -> KnownValues {
        KnownValues {
            names: names.into_iter().collect(),
            any_name: false,
        }
    }

    /// Adds names.
    pub fn extend(&mut self, names: impl IntoIterator<Item = String>) {
        self.names.extend(names);
    }

    /// Adds the names of another set.
    pub fn join(&mut self, other: &KnownValues) {
        self.names.extend(other.names.iter().cloned());
        self.any_name |= other.any_name;
    }

    /// Marks that a block may set values with any name.
    pub fn allow_any_name(&mut self) {
        self.any_name = true;
    }

    /// Returns a message and a hint if the reference is most likely a mistake.
    pub fn warning(&self, reference: &TemplateReference) -> Option<(String, String)> {
        let TemplateReference {
            read,
            source,
            printed,
            ..
        } = reference;
        if self.names.iter().any(|name| read.matches_name(name)) {
            return None;
        }
        let suggestion = self.suggestion(reference);
        if suggestion.is_none() && (!printed || self.any_name) {
            return None;
        }
        let why = format!("unknown value {}", quoted(source));
        let hint = suggestion.unwrap_or_else(|| match source.strip_prefix('$') {
            Some(name) if reference.is_literal => {
                format!("if the dollar sign is text, write `${{esc.d}}{name}`")
            }
            Some(name) => {
                let inner = name.trim_matches(['{', '}']);
                format!(
                    "check the name; if the value may be missing, write `$!{name}`, or \
                     `${{{inner}|'…'}}` with a default"
                )
            }
            None => "check the name".to_owned(),
        });
        Some((why, hint))
    }

    /// Returns a hint with the known value that the reference most likely means.
    pub fn suggestion(&self, reference: &TemplateReference) -> Option<String> {
        let TemplateReference {
            read,
            source,
            printed,
            ..
        } = reference;
        // `${PERSONAL.GENDER}` reads a member of another value.
        let path = source
            .trim_start_matches(['$', '!', '{'])
            .trim_end_matches('}');
        let path = path.strip_prefix("data.").unwrap_or(path);
        if path.contains('.') && self.names.contains(path) {
            let written = format!("$data.get('{path}')");
            return Some(format!("write {}", quoted(&written)));
        }
        let tools = BUILT_IN_NAMES.iter().copied().filter(|_| !read.tag);
        let names = || self.names.iter().map(String::as_str).chain(tools.clone());
        let common = || {
            COMMON
                .into_iter()
                .filter(|name| !name.eq_ignore_ascii_case(&read.name))
        };
        let found = match printed {
            true => closest(&read.name, names()).or_else(|| closest(&read.name, COMMON))?,
            false => {
                let mut names = names().chain(common());
                names.find(|name| is_likely_typo(&read.name, name))?
            }
        };
        let written = match read.tag {
            true => format!("%{}%", found.to_ascii_uppercase()),
            false => found.to_owned(),
        };
        Some(format!("did you mean {}?", quoted(&written)))
    }
}

/// Returns true if the name is most likely a typo of the other one.
fn is_likely_typo(name: &str, other: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().replace(['_', ' ', '-'], "");
    let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let (name, other) = (letters(name), letters(other));
    let length = name.chars().count();
    // `price1` and `price2` are different values.
    name == other
        || (length >= MIN_COMPARED_CHARS
            && without_digits(&name) != without_digits(&other)
            && name.len().abs_diff(other.len()) <= 2
            && strsim::osa_distance(&name, &other) <= (length / 4).clamp(1, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(source: &str, known: &[&str]) -> Vec<String> {
        let known = KnownValues::new(known.iter().map(|name| (*name).to_owned()));
        let template = tags::parse(source).unwrap();
        let references = references_of(&template).into_iter();
        references
            .filter_map(|(reference, ..)| known.warning(&reference))
            .map(|(why, hint)| format!("{why}; {hint}"))
            .collect()
    }

    #[test]
    fn suggests_the_closest_known_value() {
        let known = ["firstName", "order", "PERSONAL.GENDER"];
        for (source, expected) in [
            (
                "Hi $firstNmae",
                "unknown value `$firstNmae`; did you mean `firstName`?",
            ),
            (
                "$!data.get('firstname')",
                "unknown value `$firstname`; did you mean `firstName`?",
            ),
            (
                "%FISTNAME|you%",
                "unknown value `%FISTNAME%`; did you mean `%FIRSTNAME%`?",
            ),
            (
                "${ordr.total}",
                "unknown value `${ordr.total}`; did you mean `order`?",
            ),
            (
                "$data.get('x')",
                "missing, write `$!data.get('x')`, or `${data.get('x')|'…'}`",
            ),
            ("$foo.bar()", "unknown value `$foo.bar()`; check the name"),
            ("$dateTol.format('d', $order)", "did you mean `dateTool`?"),
            ("${PERSONAL.GENDER}", "write `$data.get('PERSONAL.GENDER')`"),
            (
                "Only US$ABC",
                "unknown value `$ABC`; if the dollar sign is text, write `${esc.d}ABC`",
            ),
            (
                "$number.format('0', $totl)",
                "unknown value `$totl`; check the name",
            ),
        ] {
            let found = warnings(source, &known);
            assert!(
                found.len() == 1 && found[0].contains(expected),
                "{source}: {found:?}"
            );
        }
    }

    #[test]
    fn accepts_known_and_optional_values() {
        let known = ["firstName", "order", "price1"];
        assert!(warnings("$!firstname %FIRSTNAME%", &[]).is_empty());
        assert!(warnings("$!firstNmae", &[])[0].contains("did you mean `firstName`?"));
        for source in [
            "$firstName ${order.total} $data.get('firstName') %FIRSTNAME%",
            "$!total ${total|'none'} $!data.get('total')",
            "#if($total)$total#end",
            "#foreach($item in $items)$item.name $foreach.index#end",
            "#set($total = 1)$total $!lastName $!price2",
            "$key $data $math.add(1, 2) $esc.h $null",
            "Only $5, $$, \\$name",
        ] {
            assert_eq!(warnings(source, &known), [""; 0], "{source}");
        }
    }
}
