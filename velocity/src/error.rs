//! Errors and positions.

use std::borrow::Cow;

/// Maximum number of characters that an error quotes.
const MAX_QUOTED: usize = 40;

/// A position in the source of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Pos {
    pub(crate) const START: Pos = Pos { line: 1, column: 1 };
}

/// The reason why a template could not be parsed or rendered.
///
/// Line and column start at 1. The column counts characters, not bytes; a tab is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
#[non_exhaustive]
pub struct Error {
    /// A description of the problem and of the expected input, without the position.
    pub message: String,
    /// The line, from 1; a line ends with LF, CR LF or CR.
    pub line: u32,
    /// The character in the line, from 1.
    pub column: u32,
    /// A suggested fix, if there is one.
    pub hint: Option<String>,
}

impl Error {
    pub(crate) fn new(pos: Pos, message: impl Into<String>) -> Error {
        Error {
            message: message.into(),
            line: pos.line,
            column: pos.column,
            hint: None,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Error {
        Error {
            hint: Some(hint.into()),
            ..self
        }
    }
}

const _: () = {
    const fn crosses_threads<T: std::error::Error + Send + Sync + 'static>() {}
    crosses_threads::<Error>();
};

/// Returns the start of a text for a message, because the whole may be as long as the output.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")).into(),
        None => text.into(),
    }
}

/// Crate-wide shorthand.
pub(crate) type Result<T> = std::result::Result<T, Error>;
