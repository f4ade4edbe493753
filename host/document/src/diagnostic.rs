//! Problems found in a file, with their positions.

use std::fmt;

use serde::Serialize;

use super::node::Position;
use super::suggest::did_you_mean;

/// Maximum length of an excerpt of a file in a message, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// Number of errors after which no more suggestions are computed. Each suggestion compares all
/// candidates, and a file can be crafted to request tens of thousands of them.
const MAX_SUGGESTING_ERRORS: usize = 200;

/// The severity of a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The file is rejected.
    Error,
    /// The file is accepted.
    Warning,
}

/// A problem in a file, for the author who fixes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// The severity.
    pub severity: Severity,
    /// The file name as given by the caller.
    pub file: String,
    /// The line, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
    /// A description of the problem.
    pub message: String,
    /// A suggested fix.
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

/// Collects the diagnostics of one file.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    file: String,
    list: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    /// Creates an empty collection for the named file.
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

    /// Appends diagnostics that were collected separately for the same file.
    pub fn extend(&mut self, other: Diagnostics) {
        self.errors += other.errors;
        self.list.extend(other.list);
    }

    /// Adds an error.
    pub fn error(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let file = self.file.clone();
        self.error_in(file, at, message, hint);
    }

    /// Adds an error in another file that this one includes.
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

    /// Adds a warning.
    pub fn warning(&mut self, at: Position, message: impl Into<String>, hint: Option<String>) {
        let file = self.file.clone();
        self.warning_in(file, at, message, hint);
    }

    /// Adds a warning in another file that this one includes.
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

    /// Returns a hint with the closest candidate to a misspelled name. Returns `None` once the file
    /// has very many errors.
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

    /// Returns the number of errors so far. A part is valid if it adds none.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Returns all diagnostics in file order.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        // Diagnostics of other files come after the file's own.
        let own = |d: &Diagnostic| d.file != self.file;
        self.list.sort_by(|a, b| {
            (own(a), &a.file, a.line, a.column).cmp(&(own(b), &b.file, b.line, b.column))
        });
        self.list
    }
}

/// The contents of a file together with its diagnostics.
#[derive(Clone, Debug)]
pub struct Parsed<T> {
    /// One item per document without errors, in file order.
    pub items: Vec<T>,
    /// The diagnostics, in file order.
    pub diagnostics: Vec<Diagnostic>,
}

impl<T> Parsed<T> {
    /// Returns true if the file is rejected.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|d| d.severity == Severity::Error)
    }

    /// Returns the items with the warnings, or all diagnostics if one of them is an error.
    pub fn into_result(self) -> Result<(Vec<T>, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.has_errors() {
            Err(self.diagnostics)
        } else {
            Ok((self.items, self.diagnostics))
        }
    }
}

/// Quotes an excerpt of a file for a message: in backticks, truncated if long, and without control
/// characters, which could break the line or manipulate a terminal.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("`");
    for (number, character) in text.chars().enumerate() {
        if number == MAX_SHOWN_CHARS {
            quoted.push('…');
            break;
        }
        match character {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            // Directional marks reorder the line that contains them.
            c if c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                quoted.push(char::REPLACEMENT_CHARACTER);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('`');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_position_message_and_hint() {
        let mut out = Diagnostics::new("birthday.yaml");
        out.error(
            Position {
                line: 12,
                column: 12,
            },
            "unknown block `get-promcode`",
            Some("did you mean `get-promocode`?".into()),
        );
        out.warning(Position { line: 3, column: 1 }, "check this", None);
        let list = out.into_sorted();
        assert_eq!(
            list[0].to_string(),
            "birthday.yaml:3:1: warning: check this"
        );
        assert_eq!(
            list[1].to_string(),
            "birthday.yaml:12:12: unknown block `get-promcode`\n  hint: did you mean `get-promocode`?"
        );
        assert_eq!(
            serde_json::to_string(&list[0]).unwrap(),
            r#"{"severity":"warning","file":"birthday.yaml","line":3,"column":1,"message":"check this","hint":null}"#
        );
    }

    #[test]
    fn keeps_excerpts_short_and_on_one_line() {
        assert_eq!(
            quoted("a\nb\u{1b}[2J\u{202e}"),
            "`a\\nb\u{fffd}[2J\u{fffd}`"
        );
        assert_eq!(
            quoted(&"x".repeat(1000)).chars().count(),
            MAX_SHOWN_CHARS + 3
        );
    }
}
