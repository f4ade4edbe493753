//! CSV.

use super::*;

#[test]
fn a_full_row_states_every_field() {
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
fn an_empty_cell_states_the_default_and_a_missing_column_states_nothing() {
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
fn codes_alone_need_no_header() {
    let expected = [(1, "A1".to_owned()), (2, "B 2".to_owned())];
    for text in ["A1\nB 2", "A1,\r\nB 2,\r\n", "\"A1\"\n\"B 2\"\n"] {
        assert_eq!(codes(text), expected, "{text:?}");
    }
    for heading in ["code", "Code", "promo codes", "PromoCode"] {
        assert_eq!(codes(&format!("{heading}\nA1")), [(2, "A1".to_owned())]);
    }
}

#[test]
fn lines_count_blank_lines_and_line_ends_within_quotes() {
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
fn delimiters_and_quotes_within_quotes_belong_to_the_value() {
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
fn a_delimiter_at_the_end_of_all_lines_is_tolerated() {
    assert_eq!(codes("code,type,\nA1,a,\nA2,b,\n").len(), 2);
    assert_eq!(
        faults("code,type,\nA1,a,b\n"),
        ["2 : `b` stands in a column without a name; name it or remove it"]
    );
}

#[test]
fn a_row_of_another_length_is_refused_alone() {
    let text = "code,type\nA1\nA2,a,b\nA3,c\n";
    assert_eq!(
        faults(text),
        [
            "2 : found 1 field, expected 2 as in the first line",
            "3 : found 3 fields, expected 2 as in the first line",
        ]
    );
    assert_eq!(read(text).len(), 3);
}

#[test]
fn every_field_at_fault_is_named_and_the_row_is_one() {
    let text = "code,expirationDate,discount,type,inUse\n,soon,ten,,maybe\n";
    assert_eq!(
        faults(text),
        [
            "2 code: the code is empty; expected one",
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
        "100",
        "-1",
        "+1",
        "10.0",
        "10%",
        "1e1",
        "999999999999999999999",
        "١",
    ] {
        let faults = faults(&format!("code,discount\nA1,{text}"));
        assert!(faults[0].starts_with("2 discount: `"), "{faults:?}");
    }
}

#[test]
fn a_code_and_a_type_are_bounded_and_without_control_characters() {
    assert_eq!(codes(&"ї".repeat(200)).len(), 1);
    let faults_of = faults(&"ї".repeat(201));
    assert!(
        faults_of[0].ends_with("has 201 characters; a code has at most 200"),
        "{faults_of:?}"
    );
    assert_eq!(
        faults("code,type\nA\u{7}1,a\u{85}b"),
        [
            r"2 code: `A\u{7}1` holds the control character \u{7}; expected a code without",
            r"2 type: `a\u{85}b` holds the control character \u{85}; expected a type without",
        ]
    );
    let long = format!("code,type\nA1,{}", "t".repeat(101));
    assert!(faults(&long)[0].ends_with("a type has at most 100"));
}

#[test]
fn years_beyond_the_calendar_are_refused() {
    for date in [
        "+262142-12-31T23:59",
        "-262143-01-01",
        "+262142-12-31 23:59:59",
        "+999999999-01-01",
    ] {
        let faults = faults(&format!("code,expirationDate\nA1,{date}"));
        assert!(faults[0].contains("is not a date"), "{faults:?}");
    }
}

#[test]
fn dates_that_repeat_are_read_alike() {
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
fn a_header_with_an_unknown_column_is_refused_with_a_guess() {
    let error = stop("code,discont\nA1,10");
    assert_eq!((error.line(), error.field()), (Some(1), "discont"));
    assert_eq!(
        error.to_string(),
        "line 1: `discont` is not a column; did you mean `discount`? \
         There are code, expirationDate, discount, type, inUse"
    );
    let error = stop("\ncode,colour\nA1,red").to_string();
    assert!(
        error.starts_with("line 2: `colour` is not a column; "),
        "{error}"
    );
}

#[test]
fn a_header_without_codes_or_with_a_column_twice_is_refused() {
    let error = stop("type,discount\na,10");
    assert_eq!(error.field(), "code");
    assert!(
        error
            .to_string()
            .contains("there is no `code` column in `type,discount`")
    );
    let error = stop("code,in use,inUse\nA1,0,1");
    assert!(
        error
            .to_string()
            .contains("the column `inUse` stands twice"),
        "{error}"
    );
}

#[test]
fn several_columns_without_a_header_are_refused() {
    let error = stop("A1,2026-12-31,10\nA2,2026-12-31,10").to_string();
    assert_eq!(
        error,
        "line 1: `A1,2026-12-31,10` names no column; expected a header such as \
         code,expirationDate,discount,type,inUse, or codes alone, one a line"
    );
}

#[test]
fn a_quote_that_is_never_closed_does_not_take_the_file_into_memory() {
    let text = format!("code,type\nA1,a\nA2,\"b\n{}", "A3,c\n".repeat(100_000));
    let error = stop(&text);
    assert!(
        matches!(error, UploadError::TooLong { line: 3, .. }),
        "{error}"
    );
}
