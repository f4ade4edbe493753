//! The values a message can read: checks references against known names and suggests corrections.

use std::collections::BTreeSet;

use promoflow_velocity::{Template, Usage};

use super::definition::{Message, Unset};
use super::reads::{PROVIDED, Read};
use super::tags;
use promoflow_document::{closest, shown};

/// Maximum number of references per message that are compared with known names. Each comparison
/// takes time proportional to the number of names, and a file can be crafted with tens of thousands
/// of references.
const MAX_WANTS: usize = 200;
/// Names that contacts usually have, and that are suggested even if nothing is known yet.
const COMMON: [&str; 2] = ["firstName", "lastName"];
/// Minimum length of a name for typo detection. Shorter names are too similar to each other.
const LEAST_COMPARED: usize = 4;

/// A value that a template reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The value's name, and the position of its most significant reference.
    pub read: Read,
    /// The reference as written: `${order.total}`, `%FIRSTNAME%`.
    pub source: String,
    /// True if the value is printed without a default.
    pub printed: bool,
    /// True if the dollar sign looks like part of the text, so that the reference is printed as
    /// written if it has no value.
    pub as_text: bool,
}

impl Want {
    /// Describes the output without a value, for a warning.
    pub fn without_value(&self, unset: Unset) -> &'static str {
        match (self.printed, self.as_text, unset) {
            (true, false, Unset::Nothing) => ": without a value it prints nothing",
            (true, ..) => ": without a value it is printed as written",
            (false, ..) => "",
        }
    }

    /// Returns true if this reference makes the other one redundant.
    fn covers(&self, other: &Want) -> bool {
        self.read.covers(&other.read) && (self.printed || !other.printed)
    }
}

impl Message {
    /// Returns the values that the message reads in any language, each once, in file order.
    pub fn wants(&self) -> Vec<Want> {
        let mut wants: Vec<Want> = Vec::new();
        self.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            for (want, line, column) in wants_of(&template) {
                let read = Read {
                    part,
                    language: language.map(str::to_owned),
                    line,
                    column,
                    ..want.read
                };
                let want = Want { read, ..want };
                if wants.len() < MAX_WANTS && !wants.iter().any(|known| known.covers(&want)) {
                    wants.retain(|known| !want.covers(known));
                    wants.push(want);
                }
            }
        });
        wants
    }
}

/// Returns the values that a template of a workflow reads, with line and column.
pub fn wants_of(template: &Template) -> Vec<(Want, u32, u32)> {
    let references = template.references();
    let name = |one: &promoflow_velocity::Reference| match &one.key {
        Some(key) => Some(key.clone()),
        None if PROVIDED.contains(&one.variable.as_str()) => None,
        None => Some(one.variable.clone()),
    };
    let tested: BTreeSet<String> = references
        .iter()
        .filter(|one| one.usage == Usage::Tested)
        .filter_map(name)
        .collect();
    let want = |name: String, tag, source: String, printed, as_text| Want {
        read: Read {
            name,
            tag,
            part: "",
            language: None,
            line: 1,
            column: 1,
        },
        source,
        printed,
        as_text,
    };
    let by_reference = references.iter().filter_map(|one| {
        let name = name(one)?;
        // A template that tests a value expects that it may be missing.
        let as_text = one.usage == Usage::Text;
        let printed = (one.usage == Usage::Printed || as_text) && !tested.contains(&name);
        let want = want(name, false, one.source.clone(), printed, as_text);
        Some((want, one.line, one.column))
    });
    let by_tag = template.tags().iter().filter(|one| tags::prints_value(one));
    let by_tag = by_tag.map(|one| {
        let source = format!("%{}%", one.key.to_ascii_uppercase());
        let want = want(one.key.clone(), true, source, false, false);
        (want, one.line, one.column)
    });
    let mut wants: Vec<_> = by_reference.chain(by_tag).collect();
    wants.sort_by_key(|(_, line, column)| (*line, *column));
    wants
}

/// The names of values that are available to a message.
#[derive(Clone, Debug, Default)]
pub struct KnownValues {
    names: BTreeSet<String>,
    anything: bool,
}

impl KnownValues {
    /// Creates a set of known names.
    pub fn new(names: impl IntoIterator<Item = String>) -> KnownValues {
        KnownValues {
            names: names.into_iter().collect(),
            anything: false,
        }
    }

    /// Adds names.
    pub fn extend(&mut self, names: impl IntoIterator<Item = String>) {
        self.names.extend(names);
    }

    /// Adds the names of another set.
    pub fn join(&mut self, other: &KnownValues) {
        self.names.extend(other.names.iter().cloned());
        self.anything |= other.anything;
    }

    /// Marks that a block may set values with any name.
    pub fn allow_anything(&mut self) {
        self.anything = true;
    }

    /// Returns a message and a hint if the reference is most likely a mistake.
    pub fn doubt(&self, want: &Want) -> Option<(String, String)> {
        let Want {
            read,
            source,
            printed,
            ..
        } = want;
        if self.names.iter().any(|name| read.is_of(name)) {
            return None;
        }
        let meant = self.meant(want);
        if meant.is_none() && (!printed || self.anything) {
            return None;
        }
        let why = format!("unknown value {}", shown(source));
        let hint = meant.unwrap_or_else(|| match source.strip_prefix('$') {
            Some(name) if want.as_text => {
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
    pub fn meant(&self, want: &Want) -> Option<String> {
        let Want {
            read,
            source,
            printed,
            ..
        } = want;
        // `${PERSONAL.GENDER}` reads a member of another value.
        let path = source
            .trim_start_matches(['$', '!', '{'])
            .trim_end_matches('}');
        let path = path.strip_prefix("data.").unwrap_or(path);
        if path.contains('.') && self.names.contains(path) {
            let written = format!("$data.get('{path}')");
            return Some(format!("write {}", shown(&written)));
        }
        let tools = PROVIDED.iter().copied().filter(|_| !read.tag);
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
                names.find(|name| is_slip(&read.name, name))?
            }
        };
        let written = match read.tag {
            true => format!("%{}%", found.to_ascii_uppercase()),
            false => found.to_owned(),
        };
        Some(format!("did you mean {}?", shown(&written)))
    }
}

/// Returns true if the name is most likely a typo of the other one.
fn is_slip(name: &str, other: &str) -> bool {
    let letters = |text: &str| text.to_lowercase().replace(['_', ' ', '-'], "");
    let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let (name, other) = (letters(name), letters(other));
    let length = name.chars().count();
    // `price1` and `price2` are different values.
    name == other
        || (length >= LEAST_COMPARED
            && without_digits(&name) != without_digits(&other)
            && name.len().abs_diff(other.len()) <= 2
            && strsim::osa_distance(&name, &other) <= (length / 4).clamp(1, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, known: &[&str]) -> Vec<String> {
        let known = KnownValues::new(known.iter().map(|name| (*name).to_owned()));
        let template = tags::parse(source).unwrap();
        let doubts = wants_of(&template).into_iter();
        doubts
            .filter_map(|(want, ..)| known.doubt(&want))
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
            let told = told(source, &known);
            assert!(
                told.len() == 1 && told[0].contains(expected),
                "{source}: {told:?}"
            );
        }
    }

    #[test]
    fn accepts_known_and_optional_values() {
        let known = ["firstName", "order", "price1"];
        assert!(told("$!firstname %FIRSTNAME%", &[]).is_empty());
        assert!(told("$!firstNmae", &[])[0].contains("did you mean `firstName`?"));
        for source in [
            "$firstName ${order.total} $data.get('firstName') %FIRSTNAME%",
            "$!total ${total|'none'} $!data.get('total')",
            "#if($total)$total#end",
            "#foreach($item in $items)$item.name $foreach.index#end",
            "#set($total = 1)$total $!lastName $!price2",
            "$key $data $math.add(1, 2) $esc.h $null",
            "Only $5, $$, \\$name",
        ] {
            assert_eq!(told(source, &known), [""; 0], "{source}");
        }
    }
}
