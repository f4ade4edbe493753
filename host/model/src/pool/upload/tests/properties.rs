//! Property tests: arbitrary bytes, and round trips through export and import.

use proptest::prelude::*;

use super::*;
use crate::pool::upload::headings::{HEADINGS, split_list};
use crate::pool::{ExportRow, ExportWriter};
use promoflow_tabular::{clean_exact, clean_readable};

/// Reads to the end; only panics and lost rows matter, not the outcome.
fn read_to_end(bytes: &[u8]) {
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

/// Fragments that reach deeper into the readers than random bytes do.
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
        b"sep=",
        b"|",
        b"Coupon Code",
        b"<html>",
        b"# ",
        b"=\"",
        b"\xE2\x80\x8B",
        b"01/02/2030",
        b"1.2E+11",
        b"\"code\":\"A1\"",
        b"\"promocodes\":[",
    ])
}

/// A heading in one of its spellings: a known one, or words for codes.
fn heading() -> impl Strategy<Value = String> {
    let known: Vec<&str> = HEADINGS
        .iter()
        .filter(|(column, _)| column.name() == "code")
        .flat_map(|(_, headings)| split_list(headings))
        .collect();
    let words = prop::sample::select(vec![
        "My codes",
        "Unsere Codes",
        "Rabattkod",
        "promo_list",
        "Promo",
        "Liste der Codes",
    ]);
    let known = prop::sample::select(known);
    (
        prop_oneof![known, words],
        0..4_usize,
        "[ \u{200B}\u{A0}]?",
        "[:*]?",
    )
        .prop_map(|(text, spelling, around, mark)| {
            let text = match spelling {
                0 => text.to_uppercase(),
                1 => text.to_lowercase(),
                2 => text.replace(' ', "_"),
                _ => text.to_owned(),
            };
            format!("{around}{text}{mark}{around}")
        })
}

/// Lines that people and programs put above a table.
fn preamble() -> impl Strategy<Value = String> {
    prop_oneof![
        "[#;%!] ?[A-Za-z0-9 ]{1,20}",
        "(//|--) ?[A-Za-z0-9 ]{1,20}",
        "[A-Z][a-z]{2,8} [A-Za-z]{2,8}( [0-9]{1,4})?",
        "20[0-9]{2}-[01][1-9]-[012][1-9]( [01][0-9]:[0-5][0-9])?",
        "<[a-z]{1,5}>",
        "[-*•] [A-Z0-9]{3,8}",
    ]
}

proptest! {
    #[test]
    fn headings_and_comments_never_become_codes(
        first in prop_oneof![heading(), preamble()],
        codes in prop::collection::vec("[A-Z0-9]{3}-?[A-Z0-9]{1,6}[0-9]", 0..5),
        is_full in any::<bool>(),
    ) {
        let header = if is_full { "code\n" } else { "" };
        let text = format!("{first}\n{header}{}\n", codes.join("\n"));
        let options = UploadOptions { format: Some(Format::Csv), ..UploadOptions::default() };
        if let Ok(rows) = read_with(text.as_bytes(), options) {
            for row in rows {
                if let Row::Accepted(code) = row {
                    prop_assert!(codes.contains(&code.code), "{:?} in {text:?}", code.code);
                }
            }
        }
    }

    #[test]
    fn cleaning_a_value_is_idempotent(
        value in "[=\"'`“”«» \u{200B}\u{FEFF}A1]{0,12}",
    ) {
        for clean in [clean_exact, clean_readable] {
            let once = clean(&value).into_owned();
            prop_assert_eq!(clean(&once).into_owned(), once);
        }
    }

    #[test]
    fn uniform_codes_need_no_heading(
        codes in prop::collection::vec("[A-Z]{2}[A-Z0-9]{5}[0-9]", 1..20),
    ) {
        let text = codes.join("\n");
        let rows = read_with(text.as_bytes(), UploadOptions::default());
        prop_assert_eq!(rows.map(|rows| rows.len()).ok(), Some(codes.len()));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_to_end(&bytes);
    }

    #[test]
    fn fragments_of_uploads_do_not_panic(pieces in prop::collection::vec(piece(), 0..60)) {
        read_to_end(&pieces.concat());
    }

    #[test]
    fn arbitrary_dates_do_not_panic(date in "[+-]?[0-9]{1,7}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?([+-][0-9]{2}:[0-9]{2}|Z)?") {
        read_to_end(format!("code,expirationDate\nA1,{date}").as_bytes());
    }

    #[test]
    fn exports_import_unchanged(
        rows in prop::collection::vec(
            // Without texts that are mistaken for something else: comments, dashes.
            ("A([^\\p{C}]{0,20}[^\\p{C}\\p{Z}])?7", "[^\\p{C}\\p{Z}]{1,20}", 0u8..=99, any::<bool>(), prop::option::of(0i64..253_000_000_000_000)),
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
                    code_type: Some(match clean_readable(code_type).as_ref() {
                        "" => DEFAULT_TYPE.to_owned(),
                        other => other.to_owned(),
                    }),
                    discount: Some(*discount),
                    expires: Some(expires),
                    in_use: Some(*in_use),
                    ..new_code(expected.len() as u64 + 2, &clean_exact(code))
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
