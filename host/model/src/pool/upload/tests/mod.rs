//! Realistic uploads, and inputs that nothing valid looks like.

mod csv;
mod encoding;
mod json;
mod properties;

use super::*;
use std::path::Path;

use crate::pool::{DEFAULT_TYPE, NewCode};
use promoflow_tabular::{RowError, StatedColumn};

/// Midnight at the end of 2026-12-31 in UTC.
const NEW_YEAR: Timestamp = Timestamp(1_798_761_600_000);

fn utc() -> Calendar {
    Calendar::new(chrono_tz::Tz::UTC)
}

/// Returns all rows of an upload.
fn read_with(bytes: &[u8], options: UploadOptions) -> Result<Vec<Row>, UploadError> {
    let mut reader = UploadReader::new(bytes, options, utc())?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push(row);
    }
    Ok(rows)
}

fn read(text: &str) -> Vec<Row> {
    read_with(text.as_bytes(), UploadOptions::default()).unwrap()
}

/// Returns the line and code of each row; no row may be rejected.
fn codes(text: &str) -> Vec<(u64, String)> {
    let accepted = |row| match row {
        Row::Accepted(code) => (code.line, code.code),
        Row::Rejected(errors) => panic!("{errors:?}"),
    };
    read(text).into_iter().map(accepted).collect()
}

/// Returns the only row, which must be accepted.
fn one(text: &str) -> NewCode {
    match read(text).as_slice() {
        [Row::Accepted(code)] => code.clone(),
        other => panic!("{other:?}"),
    }
}

/// Returns `line field: message` for each error of the rejected rows.
fn row_errors(text: &str) -> Vec<String> {
    let mut row_errors = Vec::new();
    for row in read(text) {
        if let Row::Rejected(errors) = row {
            assert!(!errors.is_empty());
            let shown = |e: RowError| format!("{} {}: {}", e.line, e.field, e.message);
            row_errors.extend(errors.into_iter().map(shown));
        }
    }
    row_errors
}

/// Returns the error that stops the file.
fn file_error(text: &str) -> UploadError {
    read_with(text.as_bytes(), UploadOptions::default()).unwrap_err()
}

fn new_code(line: u64, code: &str) -> NewCode {
    NewCode {
        line,
        code: code.to_owned(),
        code_type: None,
        discount: None,
        expires: None,
        in_use: None,
    }
}

#[test]
fn detects_the_format_by_extension() {
    let of = |name: &str| Format::of_path(Path::new(name));
    assert_eq!(of("codes.CSV"), Some(Format::Csv));
    assert_eq!(of("a/codes.tsv"), Some(Format::Csv));
    assert_eq!(of("codes.jsonl"), Some(Format::Json));
    assert_eq!(of("codes.xlsx"), None);
    assert_eq!(of("json"), None);
}

#[test]
fn detects_the_format_by_the_first_character() {
    assert_eq!(codes("\u{feff} \n[\"A1\"]"), [(2, "A1".to_owned())]);
    let csv = UploadOptions {
        format: Some(Format::Csv),
        csv: CsvOptions {
            no_header: true,
            ..CsvOptions::default()
        },
        ..UploadOptions::default()
    };
    let rows = read_with(b"[A1]\n", csv).unwrap();
    assert_eq!(rows, [Row::Accepted(new_code(1, "[A1]"))]);
}

#[test]
fn empty_uploads_have_no_rows() {
    for text in [
        "",
        "\n\n",
        "\u{feff}",
        "code\n",
        "[]",
        "{\"promocodes\": []}",
    ] {
        assert_eq!(read(text), [], "{text:?}");
    }
}

#[test]
fn defaults_fill_missing_columns_but_not_empty_cells() {
    let options = UploadOptions {
        code_type: Some("birthday".to_owned()),
        discount: Some(10),
        expires: Some(NEW_YEAR),
        in_use: Some(true),
        ..UploadOptions::default()
    };
    let filled = NewCode {
        code_type: Some("birthday".to_owned()),
        discount: Some(10),
        expires: Some(NEW_YEAR),
        in_use: Some(true),
        ..new_code(1, "A1")
    };
    for text in ["A1", "[\"A1\"]", "{\"code\": \"A1\", \"discount\": null}"] {
        let rows = read_with(text.as_bytes(), options.clone()).unwrap();
        assert_eq!(rows, [Row::Accepted(filled.clone())], "{text}");
    }
    let rows = read_with(b"code,type,discount\nA1,,", options).unwrap();
    let stated = NewCode {
        line: 2,
        code_type: Some(DEFAULT_TYPE.to_owned()),
        discount: Some(0),
        ..filled
    };
    assert_eq!(rows, [Row::Accepted(stated)]);
}

#[test]
fn rejects_defaults_out_of_range() {
    let options = UploadOptions {
        discount: Some(100),
        ..UploadOptions::default()
    };
    let error = read_with(b"A1", options).unwrap_err();
    assert_eq!(error.field(), "discount");
    let options = UploadOptions {
        code_type: Some("x".repeat(101)),
        ..UploadOptions::default()
    };
    assert_eq!(read_with(b"A1", options).unwrap_err().field(), "type");
}

#[test]
fn returns_no_rows_after_an_error() {
    let mut reader =
        UploadReader::new(&b"[\"A1\" \"A2\"]"[..], UploadOptions::default(), utc()).unwrap();
    assert!(matches!(reader.next_row(), Ok(Some(Row::Accepted(_)))));
    assert!(reader.next_row().is_err());
    assert!(matches!(reader.next_row(), Ok(None)));
}

#[test]
fn reports_read_errors_with_the_line() {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1..=40_000 => {
                    let n = out.len().min(3);
                    out[..n].copy_from_slice(&b"A1\n"[..n]);
                    Ok(n)
                }
                _ => Err(std::io::Error::other("connection reset")),
            }
        }
    }
    let mut reader = UploadReader::new(Failing(0), UploadOptions::default(), utc()).unwrap();
    let error = loop {
        match reader.next_row() {
            Ok(row) => assert!(row.is_some()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, UploadError::Unreadable { .. }), "{error}");
    assert!(
        error
            .line()
            .is_some_and(|line| line > 1000 && line <= 40_001),
        "{error}"
    );
}
