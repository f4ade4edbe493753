//! Errors that stop a whole upload. The text says where, what was expected and what to do.

use std::io;

/// The reason why an upload cannot be read (any further). The file must change, except for
/// [`Unreadable`](Self::Unreadable), [`RowBuffer`](Self::RowBuffer) and [`UploadBuffer`](Self::UploadBuffer), where a retry
/// may help.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The text is not UTF-8.
    #[error(
        "line {line}: this is not UTF-8{}; save the file as UTF-8 and upload it again",
        .looks_like.map(|name| format!(", it looks like {name}")).unwrap_or_default()
    )]
    NotUtf8 {
        /// The line with the first byte that is not UTF-8, counted from 1.
        line: u64,
        /// The probable encoding.
        looks_like: Option<&'static str>,
    },
    /// The file is of another kind, such as a workbook or an archive.
    #[error("line 1: the file is {kind}; export a table as CSV (UTF-8) or JSON and upload that")]
    Kind {
        /// A description of the file.
        kind: &'static str,
    },
    /// The file was uploaded as CSV but is another kind of text.
    #[error("line {line}: the file is {kind}")]
    NotCsv {
        /// The line where the text starts.
        line: u64,
        /// A description of the text and what to do.
        kind: &'static str,
    },
    /// An option does not fit the file.
    #[error("{option}: {message}")]
    Option {
        /// The option as named in the HTTP API, such as `column`.
        option: &'static str,
        /// The value found and the expected one.
        message: String,
    },
    /// A value that cannot be read without a further option.
    #[error("line {line}: {field}: {message}")]
    Value {
        /// The line of the value.
        line: u64,
        /// The field as named in an upload.
        field: &'static str,
        /// The value found and the option to use.
        message: String,
    },
    /// The first line of a CSV file does not name the columns correctly, or a later line repeats
    /// the header.
    #[error("line {line}: {message}")]
    Header {
        /// The line of the header.
        line: u64,
        /// The column as named in the file; empty if the error is about the whole line.
        field: String,
        /// The value found and the expected one.
        message: String,
    },
    /// The file is not valid JSON from here on, or holds something other than rows.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// The line, counted from 1.
        line: u64,
        /// The column, in bytes, counted from 1.
        column: u64,
        /// The value found and the expected one.
        message: String,
    },
    /// A key of a call such as `{"promocodes": […], …}` that would apply to all of its rows.
    #[error("line {line}: {message}; correct the call and upload it again")]
    Call {
        /// The line of the key.
        line: u64,
        /// The key as written in the file.
        field: String,
        /// The value found and the expected one.
        message: String,
    },
    /// A row or a JSON value of an implausible length.
    #[error(
        "line {line}: the row or value that begins here is longer than {limit} bytes; \
         a quote or a bracket is probably not closed"
    )]
    TooLong {
        /// The line where it starts.
        line: u64,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// A default value that no row may have.
    #[error("default {field}: {message}")]
    DefaultValue {
        /// The field as named in an upload.
        field: &'static str,
        /// The value found and the expected one.
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
    /// The temporary file for rows that precede the attributes of their call failed.
    #[error(
        "the codes before the attributes could not be buffered in a temporary file ({0}); \
         write the attributes before `promocodes`, or make room in the temporary folder"
    )]
    RowBuffer(io::Error),
    /// The temporary file for an all-or-nothing upload failed.
    #[error(
        "the upload could not be buffered in a temporary file ({0}); make room in the temporary folder"
    )]
    UploadBuffer(io::Error),
}

impl UploadError {
    /// Returns the line of the error, counted from 1, or `None` if it has no line.
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
            | UploadError::DefaultValue { .. }
            | UploadError::RowBuffer(_)
            | UploadError::UploadBuffer(_) => None,
        }
    }

    /// Returns the field of the error; empty if it is not about one field.
    pub fn field(&self) -> &str {
        match self {
            UploadError::Header { field, .. } | UploadError::Call { field, .. } => field,
            UploadError::DefaultValue { field, .. } | UploadError::Value { field, .. } => field,
            UploadError::Option { option, .. } => option,
            _ => "",
        }
    }
}
