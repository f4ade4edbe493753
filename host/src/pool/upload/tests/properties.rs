//! Whatever the bytes are, and there and back.

use proptest::prelude::*;

use super::*;
use crate::pool::{ExportRow, ExportWriter};

/// Reads to the end; the outcome does not matter, that there is one does.
fn survive(bytes: &[u8]) {
    for format in [None, Some(Format::Csv), Some(Format::Json)] {
        let options = UploadOptions {
            format,
            ..UploadOptions::default()
        };
        let lines = bytes.len() as u64 + 1;
        match read_with(bytes, options) {
            Ok(rows) => {
                for row in rows {
                    match row {
                        Row::Accepted(code) => {
                            assert!((1..=lines).contains(&code.line));
                            assert_eq!(code.code, code.code.trim());
                            assert!(!code.code.is_empty());
                        }
                        Row::Rejected(errors) => assert!(!errors.is_empty()),
                    }
                }
            }
            Err(error) => assert!(
                error.line().is_some_and(|line| (1..=lines).contains(&line)),
                "{error}"
            ),
        }
    }
}

/// Pieces that reach further into the readers than random bytes do.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"code"[..],
        b"type",
        b"discount",
        b"expirationDate",
        b"inUse",
        b"promocodes",
        b",",
        b";",
        b"\t",
        b"\n",
        b"\r\n",
        b"\r",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b" ",
        b"null",
        b"true",
        b"10",
        b"1.5",
        b"-",
        b"A1",
        b"2026-12-31",
        b"+262142-12-31T23:59",
        b"\xD0\x90",
        b"\xD0",
        b"\xFF\xFE",
        b"\xEF\xBB\xBF",
        b"\0",
        b"\"code\":\"A1\"",
        b"\"promocodes\":[",
    ])
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survive(&bytes);
    }

    #[test]
    fn no_pieces_of_uploads_make_it_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        survive(&pieces.concat());
    }

    #[test]
    fn no_date_makes_it_panic(date in "[+-]?[0-9]{1,7}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?([+-][0-9]{2}:[0-9]{2}|Z)?") {
        survive(format!("code,expirationDate\nA1,{date}").as_bytes());
    }

    #[test]
    fn what_is_exported_is_imported_unchanged(
        rows in prop::collection::vec(
            ("[^\\p{C}\\p{Z}]([^\\p{C}]{0,20}[^\\p{C}\\p{Z}])?", "[^\\p{C}\\p{Z}]{1,20}", 0u8..=99, any::<bool>(), prop::option::of(0i64..253_000_000_000_000)),
            0..20,
        ),
    ) {
        for zone in [chrono_tz::Tz::UTC, chrono_tz::Europe::Kyiv, chrono_tz::America::Sao_Paulo] {
            let calendar = Calendar::new(zone);
            let mut writer = ExportWriter::new(Vec::new(), calendar).unwrap();
            let mut expected = Vec::new();
            for (code, code_type, discount, in_use, expires) in &rows {
                let expires = expires.map_or(Timestamp::NEVER, Timestamp);
                writer.write(&ExportRow { code, expires, discount: *discount, code_type, in_use: *in_use }).unwrap();
                expected.push(Row::Accepted(NewCode {
                    code_type: Some(code_type.clone()),
                    discount: Some(*discount),
                    expires: Some(expires),
                    in_use: Some(*in_use),
                    ..new_code(expected.len() as u64 + 2, code)
                }));
            }
            let csv = writer.finish().unwrap();
            let mut reader = UploadReader::new(csv.as_slice(), UploadOptions::default(), calendar).unwrap();
            let mut read = Vec::new();
            while let Some(row) = reader.next_row().unwrap() {
                read.push(row);
            }
            prop_assert_eq!(&read, &expected);
        }
    }
}
