//! Encodings and line ends.

use super::*;

fn encoding_of(bytes: &[u8]) -> (u64, Option<&'static str>) {
    match read_with(bytes, UploadOptions::default()) {
        Err(UploadError::NotUtf8 { line, looks_like }) => (line, looks_like),
        other => panic!("{other:?}"),
    }
}

#[test]
fn detects_utf_16_with_and_without_a_byte_order_mark() {
    let text = "code\nA1\n";
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
    for bytes in [
        marked(b"\xFF\xFE", &little),
        marked(b"\xFE\xFF", &big),
        little,
        big,
    ] {
        assert_eq!(encoding_of(&bytes), (1, Some("UTF-16")));
    }
}

#[test]
fn detects_windows_1251_with_the_line() {
    // "birthday" in Ukrainian.
    let word = b"\xE4\xE5\xED\xFC \xED\xE0\xF0\xEE\xE4\xE6\xE5\xED\xED\xFF";
    let csv = [&b"code,type\nA1,a\nA2,"[..], word].concat();
    assert_eq!(encoding_of(&csv), (3, Some("Windows-1251")));
    let json = [
        &b"[{\"code\": \"A1\"},\n\n{\"code\": \"A2\", \"type\": \""[..],
        word,
        b"\"}]",
    ]
    .concat();
    assert_eq!(encoding_of(&json), (3, Some("Windows-1251")));
    let message = read_with(&csv, UploadOptions::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "line 3: this is not UTF-8, it looks like Windows-1251; save the file as UTF-8 and upload it again"
    );
}

#[test]
fn rejects_other_encodings_without_a_guess() {
    assert_eq!(encoding_of(b"code,type\nA1,caf\xE9\n"), (2, None));
    // A character split between two cells is invalid, even if the halves would join.
    assert_eq!(encoding_of(b"code,type\nA\xD0,\x90\n"), (2, None));
}

#[test]
fn normalises_line_endings_across_reads() {
    /// Returns one byte at a time.
    struct Dripping<'a>(&'a [u8]);
    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = out.len().min(1);
            self.0.read(&mut out[..n])
        }
    }
    // Longer than a block, so that some block boundary splits a line ending.
    let mut text = "code\r\n".to_owned();
    for n in 0..30_000 {
        text += &format!("A{n}\r\n");
    }
    let mut reader =
        UploadReader::new(Dripping(text.as_bytes()), UploadOptions::default(), utc()).unwrap();
    for n in 0..30_000 {
        let row = reader.next_row().unwrap();
        assert_eq!(row, Some(Row::Accepted(new_code(n + 2, &format!("A{n}")))));
    }
    assert_eq!(reader.next_row().unwrap(), None);
}
