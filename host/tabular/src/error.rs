//! What stops a whole upload. People read it: it says where, what was expected and what to do.

use std::io;

/// Why an upload cannot be read, or not any further. It is the file that must change, save for
/// [`Unreadable`](Self::Unreadable), [`Spool`](Self::Spool) and [`Keep`](Self::Keep), where trying
/// again may help.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The text is in another encoding.
    #[error(
        "line {line}: this is not UTF-8{}; save the file as UTF-8 and upload it again",
        .looks_like.map(|name| format!(", it looks like {name}")).unwrap_or_default()
    )]
    NotUtf8 {
        /// The line with the first byte that is not UTF-8, counted from 1.
        line: u64,
        /// The encoding that it probably is.
        looks_like: Option<&'static str>,
    },
    /// It is a file of another kind.
    #[error("line 1: the file is {kind}; export a table as CSV (UTF-8) or JSON and upload that")]
    Kind {
        /// What it is.
        kind: &'static str,
    },
    /// It was to be CSV, and is another text.
    #[error("line {line}: the file is {kind}")]
    NotCsv {
        /// The line on which it begins.
        line: u64,
        /// What it is, and what to do.
        kind: &'static str,
    },
    /// What the author states of the file does not suit it.
    #[error("{option}: {message}")]
    Option {
        /// The option, as uploads over HTTP call it: `column`.
        option: &'static str,
        /// What is wrong and what is expected.
        message: String,
    },
    /// A value that cannot be read before more is stated of the file.
    #[error("line {line}: {field}: {message}")]
    Value {
        /// The line that it stands on.
        line: u64,
        /// The field, named as in an upload.
        field: &'static str,
        /// What is wrong and what to state.
        message: String,
    },
    /// The first line of a CSV file does not name the columns as it should, or a later one names
    /// them again.
    #[error("line {line}: {message}")]
    Header {
        /// The line of the header.
        line: u64,
        /// The column at fault as the file names it; empty where it is the line as a whole.
        field: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The file is not JSON from here on, or holds something else than rows.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// The line, counted from 1.
        line: u64,
        /// The column, in bytes, counted from 1.
        column: u64,
        /// What is wrong and what is expected.
        message: String,
    },
    /// A key of a call such as `{"promocodes": […], …}`, which would hold for all of its rows.
    #[error("line {line}: {message}; correct the call and upload it again")]
    Call {
        /// The line that it stands on.
        line: u64,
        /// The key, as the file has it.
        field: String,
        /// What is wrong and what is expected.
        message: String,
    },
    /// A row, or a value of JSON, that cannot be an honest one.
    #[error(
        "line {line}: the row or value that begins here is longer than {limit} bytes; \
         a quote or a bracket is probably not closed"
    )]
    TooLong {
        /// The line where it begins.
        line: u64,
        /// How long it may be.
        limit: usize,
    },
    /// A value to fill in that no row may have.
    #[error("the {field} to fill in: {message}")]
    Fill {
        /// The field, named as in an upload.
        field: &'static str,
        /// What is wrong and what is expected.
        message: String,
    },
    /// The reader failed.
    #[error("the upload could not be read at or after line {line}: {source}")]
    Unreadable {
        /// The line that was being read.
        line: u64,
        /// The reader's own error.
        source: io::Error,
    },
    /// Rows wait in a temporary file for attributes that stand after them, and it failed.
    #[error(
        "the codes before the attributes could not be kept in a temporary file ({0}); \
         write the attributes before `promocodes`, or make room in the temporary folder"
    )]
    Spool(io::Error),
    /// An upload that is all or nothing waits in a temporary file for its end, and that failed.
    #[error(
        "the upload could not be kept in a temporary file ({0}); make room in the temporary folder"
    )]
    Keep(io::Error),
}

impl UploadError {
    /// The line at fault, counted from 1; `None` where it is none of the file's.
    pub fn line(&self) -> Option<u64> {
        match self {
            UploadError::NotUtf8 { line, .. }
            | UploadError::NotCsv { line, .. }
            | UploadError::Value { line, .. }
            | UploadError::Header { line, .. }
            | UploadError::Json { line, .. }
            | UploadError::Call { line, .. }
            | UploadError::TooLong { line, .. }
            | UploadError::Unreadable { line, .. } => Some(*line),
            UploadError::Kind { .. } => Some(1),
            UploadError::Option { .. }
            | UploadError::Fill { .. }
            | UploadError::Spool(_)
            | UploadError::Keep(_) => None,
        }
    }

    /// The field at fault; empty where it is not one field.
    pub fn field(&self) -> &str {
        match self {
            UploadError::Header { field, .. } | UploadError::Call { field, .. } => field,
            UploadError::Fill { field, .. } | UploadError::Value { field, .. } => field,
            UploadError::Option { option, .. } => option,
            _ => "",
        }
    }
}
