//! What is wrong with a file, and where.

use std::fmt;

use serde::Serialize;

use super::node::Position;
use super::suggest::did_you_mean;

/// The longest piece of a file that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// After so many errors no more names are compared: a comparison costs time by the names that
/// there are, and a file can be made to ask for it tens of thousands of times.
const MAX_SUGGESTING_ERRORS: usize = 200;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken.
    Warning,
}

/// One fault of a file. For the author, who mends it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, named as it was given.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects the faults of one file.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    file: String,
    list: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// None yet, for the file of that name.
    pub fn new(file: impl Into<String>) -> Diagnostics {
        Diagnostics {
            file: file.into(),
            list: Vec::new(),
            errors: 0,
        }
    }

    /// The name of the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Takes over what was noted of the same file elsewhere.
    pub fn extend(&mut self, other: Diagnostics) {
        self.errors += other.errors;
        self.list.extend(other.list);
    }

    /// Notes an error.
    pub fn error(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let file = self.file.clone();
        self.error_in(file, at, message, hint);
    }

    /// Notes an error in another file that belongs to this one.
    pub fn error_in(
        &mut self,
        file: impl Into<String>,
        at: Position,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.errors += 1;
        self.list.push(Diagnostic {
            severity: Severity::Error,
            file: file.into(),
            line: at.line,
            column: at.column,
            message: message.into(),
            hint,
        });
    }

    /// Notes a warning.
    pub fn warning(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let file = self.file.clone();
        self.warning_in(file, at, message, hint);
    }

    /// Notes a warning in another file that belongs to this one.
    pub fn warning_in(
        &mut self,
        file: impl Into<String>,
        at: Position,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.list.push(Diagnostic {
            severity: Severity::Warning,
            file: file.into(),
            line: at.line,
            column: at.column,
            message: message.into(),
            hint,
        });
    }

    /// The hint that names the candidate which the name is most likely a slip of. In a file with
    /// very many errors there is none.
    pub fn did_you_mean<'c>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> Option<String> {
        if self.errors > MAX_SUGGESTING_ERRORS {
            return None;
        }
        did_you_mean(name, candidates)
    }

    /// How many errors there are so far; a part that adds none is sound.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All of them, in the order of the file.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        // Faults of another file stand after the file's own.
        let own = |d: &Diagnostic| d.file != self.file;
        self.list.sort_by(|a, b| {
            (own(a), &a.file, a.line, a.column).cmp(&(own(b), &b.file, b.line, b.column))
        });
        self.list
    }
}

/// What a file holds, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// One for each document without errors, in the order of the file.
    pub items: Vec<T>,
    /// What is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Parsed<T> {
    /// Whether anything is wrong enough to refuse the file.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|d| d.severity == Severity::Error)
    }

    /// All that the file holds, with the warnings; or its faults, if one of them is an error.
    pub fn into_result(self) -> Result<(Vec<T>, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.has_errors() {
            Err(self.diagnostics)
        } else {
            Ok((self.items, self.diagnostics))
        }
    }
}

/// A piece of a file as a message repeats it: in backticks, cut where it is long, and without
/// control characters, which could break the message's line or play tricks on a terminal.
pub fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    for (number, character) in text.chars().enumerate() {
        if number == MAX_SHOWN_CHARS {
            shown.push('…');
            break;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            // Directional marks reorder the line that they stand in.
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                shown.push(char::REPLACEMENT_CHARACTER);
            }
            c => shown.push(c),
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_reads_as_place_fault_and_hint() {
        let mut out = Diagnostics::new("birthday.yaml");
        out.error(
            Position {
                line: 12,
                column: 12,
            },
            "unknown block `get-promcode`",
            Some("did you mean `get-promocode`?".into()),
        );
        out.warning(Position { line: 3, column: 1 }, "odd", None);
        let list = out.into_sorted();
        assert_eq!(list[0].to_string(), "birthday.yaml:3:1: warning: odd");
        assert_eq!(
            list[1].to_string(),
            "birthday.yaml:12:12: unknown block `get-promcode`\n  hint: did you mean `get-promocode`?"
        );
        assert_eq!(
            serde_json::to_string(&list[0]).unwrap(),
            r#"{"severity":"warning","file":"birthday.yaml","line":3,"column":1,"message":"odd","hint":null}"#
        );
    }

    #[test]
    fn what_is_repeated_stays_on_one_short_line() {
        assert_eq!(shown("a\nb\u{1b}[2J\u{202e}"), "`a\\nb\u{fffd}[2J\u{fffd}`");
        assert_eq!(
            shown(&"x".repeat(1000)).chars().count(),
            MAX_SHOWN_CHARS + 3
        );
    }
}
