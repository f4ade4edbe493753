//! Detects files that are neither CSV nor JSON by their first bytes.

/// Leading bytes of other kinds of files, with a description of each.
const KINDS: &[(&[u8], &str)] = &[
    (
        b"PK\x03\x04",
        "an Excel workbook (XLSX), or another ZIP archive",
    ),
    (b"PK\x05\x06", "a ZIP archive without files"),
    (
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
        "an Excel workbook (XLS)",
    ),
    (b"\x09\x08\x10\0\0\x06", "an Excel workbook (XLS)"),
    (b"\x1F\x8B", "compressed by gzip"),
    (b"BZh91AY&SY", "compressed by bzip2"),
    (b"\xFD7zXZ\0", "compressed by xz"),
    (b"\x28\xB5\x2F\xFD", "compressed by zstd"),
    (b"7z\xBC\xAF\x27\x1C", "a 7-Zip archive"),
    (b"Rar!\x1A\x07", "a RAR archive"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "a rich text document (RTF)"),
    (b"\x89PNG\r\n", "an image (PNG)"),
    (b"\xFF\xD8\xFF", "an image (JPEG)"),
    (b"GIF87a", "an image (GIF)"),
    (b"GIF89a", "an image (GIF)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1\x15", "a Parquet file"),
    (b"Obj\x01", "an Avro file"),
    (b"ID;P", "a SYLK spreadsheet"),
    (b"\x7FELF", "a program"),
    (b"MZ\x90\0", "a program"),
];

/// Returns the kind of a file by its first bytes, or `None` if it may be text.
pub(super) fn kind_of(head: &[u8]) -> Option<&'static str> {
    let known = KINDS.iter().find(|(magic, _)| head.starts_with(magic));
    known.map(|(_, kind)| *kind)
}

/// Returns the kind of a text that was uploaded as CSV but is not CSV.
pub(super) fn text_kind_of(head: &[u8]) -> Option<&'static str> {
    let mut text = head.trim_ascii_start();
    while let Some(rest) = text.strip_prefix(b"\xEF\xBB\xBF") {
        text = rest.trim_ascii_start();
    }
    let starts = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    let after = |at: usize| text[at..].trim_ascii_start().first().copied();
    match text.first()? {
        b'<' if starts("<!doctype html") || starts("<html") || starts("<head") => {
            Some("a web page (HTML), perhaps a sign-in or error page; open it to check")
        }
        b'<' => {
            let next = text.get(1).copied().unwrap_or_default();
            let is_markup = next.is_ascii_alphabetic() || matches!(next, b'!' | b'?' | b'/');
            is_markup.then_some("a document in XML or HTML, not a table")
        }
        b'{' => Some(
            "JSON; open it to check, and if it holds rows, read it as JSON (`--format json`, over HTTP `Content-Type: application/json`)",
        ),
        b'[' => {
            let next = after(1);
            let is_json = next.is_none_or(|byte| matches!(byte, b'{' | b'"' | b'[' | b']'));
            is_json.then_some("JSON; read it as JSON (`--format json`, over HTTP `Content-Type: application/json`)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_other_kinds_of_files() {
        assert!(kind_of(b"PK\x03\x04\x14\0\x06\0").unwrap().contains("XLSX"));
        assert!(
            kind_of(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0")
                .unwrap()
                .contains("XLS")
        );
        assert!(kind_of(b"%PDF-1.7").unwrap().contains("PDF"));
        assert_eq!(kind_of(b"code\nA1"), None);
        assert!(
            text_kind_of(b"\xEF\xBB\xBF \n<!DOCTYPE HTML>\n")
                .unwrap()
                .contains("HTML")
        );
        assert!(
            text_kind_of(b"<?xml version='1.0'?>")
                .unwrap()
                .contains("XML")
        );
        assert!(text_kind_of(b"{\"error\": 1}").unwrap().contains("JSON"));
        assert!(text_kind_of(b"[\n {}]").unwrap().contains("JSON"));
        assert_eq!(text_kind_of(b"[A1]\n"), None);
        assert_eq!(text_kind_of(b"<3LOVE\n"), None);
        assert_eq!(text_kind_of(b""), None);
    }
}
