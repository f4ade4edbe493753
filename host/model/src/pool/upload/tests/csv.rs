//! Uploads in CSV.

use super::*;

#[test]
fn reads_every_field_of_a_full_row() {
    let expected = NewCode {
        line: 2,
        code: "A1".to_owned(),
        code_type: Some("birthday".to_owned()),
        discount: Some(10),
        expires: Some(NEW_YEAR),
        in_use: Some(true),
    };
    for text in [
        "code,expirationDate,discount,type,inUse\nA1,2026-12-31,10,birthday,true\n",
        "code;expirationDate;discount;type;inUse\r\nA1;2026-12-31T23:59;10;birthday;YES\r\n",
        "code\texpirationDate\tdiscount\ttype\tinUse\nA1\t2026.12.31\t10\tbirthday\t1",
        "\u{feff}Type,IN_USE,Expiration Date, Code ,DISCOUNT\rbirthday,Yes,2026-12-31,A1,10\r",
        "\"code\";\"expiration_date\";\"discount\";\"type\";\"in use\"\n\"A1\";\"2026-12-31\";\"10\";\"birthday\";\"True\"",
        "code, expirationDate, discount, type, inUse\n A1 , 2026-12-31 , 10 , \"birthday\" , true ",
    ] {
        assert_eq!(one(text), expected, "{text:?}");
    }
}

#[test]
fn an_empty_cell_is_the_default_and_a_missing_column_is_absent() {
    let stated = one("code,expirationDate,discount,type,inUse\nA1,,,,");
    let expected = NewCode {
        code_type: Some(DEFAULT_TYPE.to_owned()),
        discount: Some(0),
        expires: Some(Timestamp::NEVER),
        in_use: Some(false),
        ..new_code(2, "A1")
    };
    assert_eq!(stated, expected);
    assert_eq!(one("code\nA1"), new_code(2, "A1"));
}

#[test]
fn a_list_of_codes_needs_no_header() {
    let expected = [(1, "A1".to_owned()), (2, "B 2".to_owned())];
    for text in ["A1\nB 2", "A1,\r\nB 2,\r\n", "\"A1\"\n\"B 2\"\n"] {
        assert_eq!(codes(text), expected, "{text:?}");
    }
    for heading in [
        "code",
        "Code",
        "promo codes",
        "PromoCode",
        "Coupon Code",
        "Промокод",
        "Code:",
    ] {
        assert_eq!(codes(&format!("{heading}\nA1")), [(2, "A1".to_owned())]);
    }
}

#[test]
fn line_numbers_count_blank_lines_and_quoted_line_breaks() {
    let text = "\n\ncode,type\n\nA1,a\n , \nA2,\"b\n\nc\"\n\n\nA3,c\n\"A4\",d";
    for text in [
        text.to_owned(),
        text.replace('\n', "\r\n"),
        text.replace('\n', "\r"),
    ] {
        let lines: Vec<_> = read(&text)
            .into_iter()
            .map(|row| match row {
                Row::Accepted(code) => (code.line, true),
                Row::Rejected(errors) => (errors[0].line, false),
            })
            .collect();
        assert_eq!(
            lines,
            [(5, true), (7, false), (12, true), (13, true)],
            "{text:?}"
        );
    }
}

#[test]
fn quoted_delimiters_and_quotes_belong_to_the_value() {
    let code = one("code,type\n\"A,1\",\"say \"\"hi\"\"\"");
    assert_eq!(
        (code.code.as_str(), code.code_type.as_deref()),
        ("A,1", Some("say \"hi\""))
    );
    let code = one("code;type\nA,1;a,b,c");
    assert_eq!(
        (code.code.as_str(), code.code_type.as_deref()),
        ("A,1", Some("a,b,c"))
    );
}

#[test]
fn accepts_a_trailing_delimiter_on_all_lines() {
    assert_eq!(codes("code,type,\nA1,a,\nA2,b,\n").len(), 2);
    assert_eq!(
        row_errors("code,type,\nA1,a,b\n"),
        ["2 : `b` is in a column without a name; name it or remove it"]
    );
}

#[test]
fn rejects_rows_of_another_length_individually() {
    let text = "code,type\nA1\nA2,a,b\nA3,c\n";
    assert_eq!(
        row_errors(text),
        [
            "2 : found 1 field, expected 2 as in the first line",
            "3 : found 3 fields, expected 2 as in the first line",
        ]
    );
    assert_eq!(read(text).len(), 3);
}

#[test]
fn reports_every_invalid_field_of_a_row() {
    let text = "code,expirationDate,discount,type,inUse\n,soon,ten,,maybe\n";
    assert_eq!(
        row_errors(text),
        [
            "2 code: the code is empty",
            "2 expirationDate: `soon` is not a date; expected one like 2026-12-31, 2026-12-31T23:59 or 2026.12.31",
            "2 discount: `ten` is not a discount; expected a whole number from 0 to 99",
            "2 inUse: `maybe` is neither true nor false; expected true, false, 1, 0, yes or no",
        ]
    );
    assert_eq!(read(text).len(), 1);
}

#[test]
fn a_discount_is_a_whole_number_up_to_99() {
    let discount = |text: &str| one(&format!("code,discount\nA1,{text}")).discount;
    assert_eq!(
        [discount("0"), discount("07"), discount("99")],
        [Some(0), Some(7), Some(99)]
    );
    for text in [
        "10",
        "10%",
        "10 %",
        "10.0",
        "10.00",
        "\"10,0\"",
        "=\"10\"",
        "\u{200B}10\u{A0}%",
        "10.0%",
    ] {
        assert_eq!(discount(text), Some(10), "{text}");
    }
    for text in [
        "100",
        "-1",
        "+1",
        "10.5",
        "\"10,000\"",
        "10.000",
        "%",
        ".0",
        "10%%",
        "1e1",
        "999999999999999999999",
        "١",
    ] {
        let row_errors = row_errors(&format!("code,discount\nA1,{text}"));
        assert!(row_errors[0].starts_with("2 discount: `"), "{row_errors:?}");
    }
}

#[test]
fn rejects_long_texts_and_control_characters() {
    let alone = |code: String| format!("code\n{code}");
    assert_eq!(codes(&alone("ї".repeat(200))).len(), 1);
    let faults_of = row_errors(&alone("ї".repeat(201)));
    assert!(
        faults_of[0].ends_with("has 201 characters; a code has at most 200"),
        "{faults_of:?}"
    );
    assert_eq!(
        row_errors("code,type\nA\u{7}1,a\u{85}b"),
        [
            r"2 code: `A\u{7}1` contains the control character \u{7}; expected a code without control characters",
            r"2 type: `a\u{85}b` contains the control character \u{85}; expected a type without control characters",
        ]
    );
    let long = format!("code,type\nA1,{}", "t".repeat(101));
    assert!(row_errors(&long)[0].ends_with("a type has at most 100"));
}

#[test]
fn rejects_years_beyond_the_calendar() {
    for date in [
        "+262142-12-31T23:59",
        "-262143-01-01",
        "+262142-12-31 23:59:59",
        "+999999999-01-01",
    ] {
        let row_errors = row_errors(&format!("code,expirationDate\nA1,{date}"));
        assert!(row_errors[0].contains("is not a date"), "{row_errors:?}");
    }
}

#[test]
fn repeated_dates_are_read_alike() {
    let mut text = "code,expirationDate\n".to_owned();
    for n in 0..5_000 {
        text += &format!("A{n},2026-12-31T{:02}:{:02}\n", n / 60 % 24, n % 60);
    }
    for row in read(&text) {
        let Row::Accepted(code) = row else {
            panic!("{row:?}")
        };
        let minute: i64 = code.code[1..].parse().unwrap();
        let begin = NEW_YEAR.0 - 24 * 3_600_000;
        assert_eq!(
            code.expires,
            Some(Timestamp(begin + (minute % 1440 + 1) * 60_000))
        );
    }
}

#[test]
fn rejects_unknown_columns_with_a_suggestion() {
    let error = file_error("code,discont\nA1,10");
    assert_eq!((error.line(), error.field()), (Some(1), "discont"));
    assert_eq!(
        error.to_string(),
        "line 1: `discont` is not a column; did you mean `discount`? \
         The fields are code, expirationDate, discount, type, inUse; map it with \
         `--column discount=discont` (over HTTP `column=…`)"
    );
    let error = file_error("\ncode,colour\nA1,red").to_string();
    assert!(
        error.starts_with("line 2: `colour` is not a column; "),
        "{error}"
    );
}

#[test]
fn rejects_headers_without_codes_or_with_repeated_columns() {
    let error = file_error("type,discount\na,10");
    assert_eq!(error.field(), "code");
    assert!(
        error
            .to_string()
            .contains("there is no `code` column in `type,discount`")
    );
    let error = file_error("code,in use,inUse\nA1,0,1");
    assert!(
        error
            .to_string()
            .contains("the column `inUse` appears twice"),
        "{error}"
    );
}

#[test]
fn rejects_several_columns_without_a_header() {
    let error = file_error("A1,2026-12-31,10\nA2,2026-12-31,10").to_string();
    assert_eq!(
        error,
        "line 1: `A1,2026-12-31,10` names no column; expected a header such as \
         code,expirationDate,discount,type,inUse; if it is a header, map its columns \
         (`--column code=HEADING`, over HTTP `column=…`); if it is a row, use \
         `--no-header --column code=1` (over HTTP `noHeader=true&column=…`); read as 3 columns: `A1` `2026-12-31` `10` / `A2` `2026-12-31` `10`"
    );
}

#[test]
fn an_unclosed_quote_uses_bounded_memory() {
    let text = format!("code,type\nA1,a\nA2,\"b\n{}", "A3,c\n".repeat(100_000));
    let error = file_error(&text);
    assert!(
        matches!(error, UploadError::TooLong { line: 3, .. }),
        "{error}"
    );
}

/// Reads an upload with these CSV options.
fn read_as(text: &str, csv: CsvOptions) -> Result<Vec<Row>, UploadError> {
    let options = UploadOptions {
        csv,
        ..UploadOptions::default()
    };
    read_with(text.as_bytes(), options)
}

fn stated(columns: &[&str]) -> CsvOptions {
    CsvOptions {
        columns: columns
            .iter()
            .map(|text| StatedColumn::parse(text).unwrap())
            .collect(),
        ..CsvOptions::default()
    }
}

fn codes_of(rows: Result<Vec<Row>, UploadError>) -> Vec<String> {
    let accepted = |row| match row {
        Row::Accepted(code) => Some(code.code),
        Row::Rejected(_) => None,
    };
    rows.unwrap().into_iter().filter_map(accepted).collect()
}

#[test]
fn the_sep_line_sets_the_delimiter() {
    for text in [
        "sep=;\r\ncode;type\r\nA1;x\r\n",
        "\"sep=;\"\ncode;type\nA1;x",
        "\u{feff}sep=,\ncode,type\nA1,x\n",
        "sep=|\ncode|type\nA1|x\n",
        "sep=;\ncode,type\nA1,x\n",
        "\nSEP=\t\ncode\ttype\nA1\tx\n",
    ] {
        let code = one(text);
        assert_eq!(
            (&*code.code, code.code_type.as_deref()),
            ("A1", Some("x")),
            "{text:?}"
        );
        assert_eq!(code.line, 3 + u64::from(text.starts_with('\n')), "{text:?}");
    }
    assert_eq!(codes("sep=;\ncode\nA1"), [(3, "A1".to_owned())]);
    assert_eq!(codes("sep=;\nA1\nA2").len(), 2);
    assert_eq!(read("sep=;"), []);
    assert!(read("sep=;\n").is_empty());
}

#[test]
fn rejects_unclear_lists_and_suggests_options() {
    for (text, expected) in [
        ("Angebot\nAB12\nAB13", "--column code=Angebot"),
        ("My codes\nAB12\nAB13", "--column 'code=My codes'"),
        ("Angebot\nAB12\nAB13", "--no-header"),
        (
            "Angebot\nAB12\nAB13",
            "read as 1 column: `Angebot` / `AB12` / `AB13`",
        ),
        (
            "Export of winter\ncode,type\nA1,x",
            "remove the lines above it",
        ),
        (
            "Winter codes,,\ncode,type,discount\nA1,x,1",
            "`code,type,discount`",
        ),
        ("# winter\ncode\nA1", "remove the lines above it"),
        ("code|type\nA1|x", "--delimiter '|'"),
        ("code^type\nA1^x", "--delimiter '^'"),
        ("code:type\nA1:x", "--delimiter ':'"),
        ("\"code,type\"\n\"A1,x\"", "quoted as a whole"),
        ("code,Notes,Uses\nA1,x,1", "(also unknown: `Uses`)"),
        ("code,Notes\nA1,x", "--column ignore=Notes"),
        (
            "code,valid_until\nA1,2030-01-01",
            "--column expirationDate=valid_until",
        ),
        ("Name,Notes\nA1,x", "--column code=HEADING"),
        ("Unauthorized", "--no-header"),
    ] {
        let error = file_error(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn rejects_other_documents_whatever_the_options() {
    let headless = CsvOptions {
        no_header: true,
        ..CsvOptions::default()
    };
    for (text, expected) in [
        ("<!DOCTYPE html>\n<html></html>", "HTML"),
        ("\n\u{feff}<html>", "HTML"),
        ("<?xml version=\"1.0\"?>\n<a/>", "XML"),
        ("{\"error\": \"unauthorized\"}", "JSON"),
        ("[{\"code\": \"A1\"}]", "JSON"),
        ("PK\u{3}\u{4}\u{14}\0", "XLSX"),
        ("%PDF-1.7\n", "PDF"),
        ("{\\rtf1\\ansi", "RTF"),
    ] {
        for csv in [CsvOptions::default(), headless.clone()] {
            let options = UploadOptions {
                format: Some(Format::Csv),
                csv,
                ..UploadOptions::default()
            };
            let error = read_with(text.as_bytes(), options).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}

#[test]
fn stops_at_a_second_file() {
    for (text, line) in [
        ("code,type\nA1,x\ncode,type\nB1,y", 3),
        ("code,type\nA1,x\n\u{feff}type,code\ny,B1", 3),
        ("code\nA1\nCoupon Code\nB1", 3),
        ("A1\nA2\n\ncode\nB1", 1),
        ("code,type\nA1,x\u{feff}type,code\ny,B1", 2),
        ("A1\nA2\u{feff}B1\nB2", 2),
        ("Promo codes\ncode\nA1", 2),
    ] {
        let error = file_error(text);
        assert_eq!(error.line(), Some(line), "{text:?}: {error}");
    }
    // A byte order mark at the start of a line is not inside a value.
    assert_eq!(codes("A1\n\u{feff}A2\n").len(), 2);
    // A word for codes may be a code if the header or an option makes that clear.
    assert_eq!(codes("code,type\nVOUCHER,x\n").len(), 1);
    assert_eq!(
        codes_of(read_as("code\nVOUCHER\n", stated(&["code=code"]))),
        ["VOUCHER"]
    );
}

#[test]
fn column_options_apply() {
    let text = "Name;Notes;Until\nA1;x;2030-01-01\nA2;;2030-01-01\n";
    let csv = stated(&["code=name", "ignore=Notes", "expirationDate=Until"]);
    assert_eq!(codes_of(read_as(text, csv)), ["A1", "A2"]);
    let error = read_as(text, stated(&["code=Coupon"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("column: there is no heading `Coupon`; read as 3 columns"),
        "{error}"
    );
    let error = read_as(text, stated(&["colour=Name"]))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("column: `colour` is not a field; "),
        "{error}"
    );

    let headless = |columns: &[&str]| CsvOptions {
        no_header: true,
        ..stated(columns)
    };
    let text = "x;Angebot;10\ny;AB 12;20\n";
    assert_eq!(
        codes_of(read_as(text, headless(&["code=2"]))),
        ["Angebot", "AB 12"]
    );
    for columns in [&["code=4"][..], &["code=Angebot"], &["code=0"], &[]] {
        let error = read_as(text, headless(columns)).unwrap_err();
        assert!(
            matches!(
                error,
                UploadError::Option {
                    option: "column",
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(
        codes_of(read_as("Angebot\nAB12", headless(&[]))),
        ["Angebot", "AB12"]
    );

    let piped = |delimiter| CsvOptions {
        delimiter: Some(delimiter),
        ..CsvOptions::default()
    };
    assert_eq!(codes_of(read_as("code|type\nA;1|x", piped(b'|'))), ["A;1"]);
    assert_eq!(
        codes_of(read_as("sep=;\ncode|type\nA1|x", piped(b'|'))),
        ["A1"]
    );
}

#[test]
fn rejects_placeholders_as_codes() {
    for (value, expected) in [
        ("1.23457E+11", "rounded"),
        ("\"1,23457E+11\"", "rounded"),
        ("#N/A", "no value"),
        ("NULL", "no value"),
        ("-----", "without a letter"),
        ("# winter", "a comment"),
        ("(3 rows)", "a count of rows"),
        ("<br>", "markup"),
        ("A1;x", "may separate columns"),
    ] {
        let row_errors = row_errors(&format!("code\nA1\n{value}\nA2"));
        assert_eq!(row_errors.len(), 1, "{value}");
        assert!(
            row_errors[0].starts_with("3 code: `") && row_errors[0].contains(expected),
            "{row_errors:?}"
        );
    }
    assert_eq!(
        codes("code\n4E5\n8E8\n=\"0012\"\n\"=\"\"0013\"\"\"")[2..],
        [(4, "0012".to_owned()), (5, "0013".to_owned())]
    );
}

#[test]
fn an_ambiguous_date_stops_the_file() {
    let text = "code,expirationDate\nA0,2030-01-01\nA1,01/02/2030\nA2,03/04/2030\n";
    let error = file_error(text);
    assert_eq!((error.line(), error.field()), (Some(3), "expirationDate"));
    assert!(
        error.to_string().contains("--date-format DD/MM/YYYY"),
        "{error}"
    );
    let options = UploadOptions {
        date_format: Some("MM/DD/YYYY".parse().unwrap()),
        ..UploadOptions::default()
    };
    assert_eq!(
        codes_of(read_with(text.as_bytes(), options)),
        ["A0", "A1", "A2"]
    );
    assert!(file_error(r#"[{"code": "A1", "expirationDate": "01/02/2030"}]"#).line() == Some(1));
}

#[test]
fn warnings_describe_how_a_file_was_read() {
    let warnings_of = |text: &str| {
        let mut reader = open(text.as_bytes(), UploadOptions::default(), utc()).unwrap();
        while reader.next_row().unwrap().is_some() {}
        reader.warnings()
    };
    assert_eq!(warnings_of("A1\nA2\nA3"), ["no heading: 3 codes"]);
    assert_eq!(warnings_of("A1"), ["no heading: 1 code"]);
    assert_eq!(
        warnings_of("Coupon Code\nA1"),
        ["the heading `Coupon Code` is read as `code`"]
    );
    assert!(warnings_of("code,Expiration Date\nA1,").is_empty());
    for text in ["", "\n \n", "code\n", "sep=;\n", "[]"] {
        assert_eq!(
            warnings_of(text),
            ["the file is empty: there are no codes in it"],
            "{text:?}"
        );
    }
    let dates = warnings_of("code,expirationDate\nA1,soon\nA2,46387\n");
    assert_eq!(dates.len(), 1);
    assert!(dates[0].contains("--date-format"), "{dates:?}");
    let rounded = warnings_of("code\n1234567890123450\n1234567890123460\n");
    assert!(rounded[0].contains("rounded"), "{rounded:?}");
    assert!(warnings_of("code\n1234567890123450\n1234567890123461\n").is_empty());
}
