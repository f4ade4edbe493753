//! Uploads in JSON.

use super::*;

fn full(line: u64, code: &str) -> NewCode {
    NewCode {
        code_type: Some("type1".to_owned()),
        discount: Some(10),
        expires: Some(NEW_YEAR),
        in_use: Some(false),
        ..new_code(line, code)
    }
}

fn accepted(codes: impl IntoIterator<Item = NewCode>) -> Vec<Row> {
    codes.into_iter().map(Row::Accepted).collect()
}

#[test]
fn call_attributes_apply_to_all_codes_in_any_order() {
    for text in [
        r#"{"promocodes": ["A1", "A2"], "expirationDate": "2026-12-31", "discount": 10, "type": "type1", "inUse": false}"#,
        r#"{"expirationDate": "2026-12-31", "discount": 10, "type": "type1", "inUse": false, "promocodes": ["A1", "A2"]}"#,
        r#"{"expirationDate": "2026-12-31", "discount": 10, "promocodes": ["A1", "A2"], "type": "type1", "inUse": false}"#,
        r#"{"promocodes": [{"code": "A1"}, {"code": "A2"}], "expirationDate": "2026-12-31", "discount": "10", "type": "type1", "inUse": "no"}"#,
    ] {
        assert_eq!(
            read(text),
            accepted([full(1, "A1"), full(1, "A2")]),
            "{text}"
        );
    }
}

#[test]
fn rows_override_the_attributes_of_their_call() {
    let text = r#"{"promocodes": [{"code": "A1", "discount": 20}], "discount": 10, "type": "x"}"#;
    let code = one(text);
    assert_eq!(
        (code.discount, code.code_type.as_deref()),
        (Some(20), Some("x"))
    );
}

#[test]
fn reads_arrays_and_lines_of_objects_with_line_numbers() {
    let object = r#"{"code": "CODE", "expirationDate": "2026-12-31", "discount": 10, "type": "type1", "inUse": false}"#;
    let (a, b) = (object.replace("CODE", "A1"), object.replace("CODE", "A2"));
    for text in [
        format!("[\n{a},\n{b}\n]\n"),
        format!("\n{a}\n{b}\n"),
        format!("\r\n{a}\r\n{b}"),
        format!("{{\"promocodes\":\n[{a}\n,{b}]}}"),
    ] {
        assert_eq!(
            read(&text),
            accepted([full(2, "A1"), full(3, "A2")]),
            "{text}"
        );
    }
}

#[test]
fn reads_an_array_of_texts_as_codes() {
    assert_eq!(
        read("[\"A1\",\n \" A\\u0032 \"\n,\n\"ї\"]"),
        accepted([new_code(1, "A1"), new_code(2, "A2"), new_code(4, "ї")])
    );
}

#[test]
fn reads_several_calls_in_sequence() {
    let text =
        "{\"promocodes\": [\"A1\"], \"discount\": 1}\n{\"promocodes\": [\"B1\"], \"discount\": 2}";
    let discounts: Vec<_> = read(text)
        .into_iter()
        .map(|row| match row {
            Row::Accepted(code) => (code.line, code.code, code.discount),
            Row::Rejected(errors) => panic!("{errors:?}"),
        })
        .collect();
    assert_eq!(
        discounts,
        [(1, "A1".to_owned(), Some(1)), (2, "B1".to_owned(), Some(2))]
    );
}

#[test]
fn null_is_absent_and_an_empty_text_is_the_default() {
    let text = r#"[{"code": "A1", "expirationDate": null, "discount": null, "type": null, "inUse": null}]"#;
    assert_eq!(one(text), new_code(1, "A1"));
    let code = one(r#"{"code": "A1", "expirationDate": "", "type": "", "inUse": ""}"#);
    assert_eq!(code.expires, Some(Timestamp::NEVER));
    assert_eq!(code.code_type.as_deref(), Some(DEFAULT_TYPE));
    assert_eq!(code.in_use, Some(false));
}

#[test]
fn rejects_items_of_the_wrong_kind_individually() {
    let text = "[\"A1\", 12345,\n null, [\"x\", {}], -1.5e3, true, \"\", {}, {\"code\": 7}]";
    assert_eq!(
        row_errors(text),
        [
            "1 : `12345` is not a code; expected a text in quotes or an object",
            "2 : null is not a code; expected a text in quotes or an object",
            "2 : a list is not a code; expected a text in quotes or an object",
            "2 : `-1500.0` is not a code; expected a text in quotes or an object",
            "2 : `true` is not a code; expected a text in quotes or an object",
            "2 code: the code is empty",
            "2 code: the code is missing",
            "2 code: found `7`; expected a text in quotes",
        ]
    );
}

#[test]
fn reports_fields_of_the_wrong_kind() {
    assert_eq!(
        row_errors(
            r#"[{"code": "A1", "discount": 10.5, "inUse": 2, "type": 5, "expirationDate": [1]}]"#
        ),
        [
            "1 discount: `10.5` is not a discount; expected a whole number from 0 to 99",
            "1 inUse: `2` is neither true nor false; expected true, false, 1, 0, yes or no",
            "1 type: found `5`; expected a text in quotes",
            "1 expirationDate: found a list; expected a single value",
        ]
    );
}

#[test]
fn rejects_rows_with_unknown_or_repeated_keys() {
    let message = "`discont` is not a field; did you mean `discount`? The fields are code, expirationDate, discount, type, inUse";
    assert_eq!(
        row_errors(r#"[{"code": "A1", "discont": 1}]"#),
        [format!("1 discont: {message}")]
    );
    assert_eq!(
        row_errors(r#"{"code": "A1", "type": "a", "type": "b"}"#),
        ["1 type: `type` appears twice; keep one of them"]
    );
    let lines = row_errors("{\"code\": \"A1\"}\n{\"promocode\": [\"A2\"]}");
    assert!(
        lines[0].starts_with("2 promocode: `promocode` is not a field; did you mean `promocodes`?"),
        "{lines:?}"
    );
}

#[test]
fn rejects_calls_with_invalid_attributes() {
    for (text, line, field) in [
        (
            "{\"discount\": \"ten\",\n\"promocodes\": [\"A1\"]}",
            2,
            "discount",
        ),
        (
            "{\"promocodes\": [\"A1\"],\n\n\"discount\": 100}",
            3,
            "discount",
        ),
        ("{\"promocodes\": [\"A1\"], \"discont\": 100}", 1, "discont"),
        (
            "{\"promocodes\": [\"A1\"],\n\"promocodes\": []}",
            2,
            "promocodes",
        ),
        ("{\"promocodes\": [\"A1\"],\n\"code\": \"A2\"}", 2, "code"),
        ("{\"code\": null,\n\"promocodes\": [\"A1\"]}", 2, "code"),
    ] {
        let error = file_error(text);
        assert!(matches!(error, UploadError::Call { .. }), "{error}");
        assert_eq!(
            (error.line(), error.field()),
            (Some(line), field),
            "{error}"
        );
    }
}

#[test]
fn rejects_invalid_json_with_line_and_column() {
    for (text, at) in [
        ("[\"A1\",\n  \"A2\" \"A3\"]", (2, 8)),
        ("[\"A1\",\n]", (2, 1)),
        ("[\"A1\"", (1, 6)),
        ("[\"A1\"] x", (1, 8)),
        ("[\"A1\", tru]", (1, 10)),
        ("[{\"code\": \"A1\", 5}]", (1, 17)),
        ("[\n{\"code\":\n \"A1\" \"x\"}]", (3, 7)),
        ("{\"code\" \"A1\"}", (1, 9)),
        ("{\"promocodes\": \"A1\"}", (1, 16)),
        ("{\"code\": \"A1\"}\n[\"A2\"]", (2, 1)),
        ("{\"code\": }", (1, 10)),
        ("{code: 1}", (1, 2)),
        ("[\"ab\\q\"]", (1, 6)),
    ] {
        let error = file_error(text);
        let UploadError::Json { line, column, .. } = error else {
            panic!("{text}: {error}")
        };
        assert_eq!((line, column), at, "{text}: {error}");
    }
    let error = file_error("[\"A1\",\n  \"A2\" \"A3\"]").to_string();
    assert_eq!(
        error,
        "line 2, column 8: found `\"` where `,` or `]` is expected; check the JSON around it"
    );
}

#[test]
fn rejects_an_unclosed_quote_on_its_line() {
    let text = format!("[\"A1\",\n\"A2,\n{}]", "\"A3\",\n".repeat(50_000));
    let error = file_error(&text);
    assert!(matches!(error, UploadError::Json { .. }), "{error}");
    assert!(
        error.line().is_some_and(|line| line == 2 || line == 3),
        "{error}"
    );
}

#[test]
fn an_unclosed_bracket_uses_bounded_memory() {
    let text = format!(
        "[\"A1\",\n{{\"code\": \"A2\",\n{}]",
        "\"A3\",\n".repeat(50_000)
    );
    let error = file_error(&text);
    assert!(
        matches!(error, UploadError::TooLong { line: 2, .. }),
        "{error}"
    );
    let deep = "[".repeat(60_000);
    assert!(matches!(file_error(&deep), UploadError::Json { .. }));
}

#[test]
fn buffers_many_codes_until_their_attributes() {
    let codes: Vec<String> = (0..60_000).map(|n| format!("\"PROMO{n}\"")).collect();
    let text = format!(
        "{{\"promocodes\": [\n{}\n], \"discount\": 10}}",
        codes.join(",\n")
    );
    let rows = read(&text);
    assert_eq!(rows.len(), 60_000);
    for (n, row) in rows.into_iter().enumerate() {
        let expected = NewCode {
            discount: Some(10),
            ..new_code(n as u64 + 2, &format!("PROMO{n}"))
        };
        assert_eq!(row, Row::Accepted(expected));
    }
}

#[test]
fn limits_the_errors_of_one_object() {
    let mut text = "{\"code\": \"A1\"".to_owned();
    for n in 0..10_000 {
        text += &format!(", \"key{n}\": {n}");
    }
    text += "}";
    assert_eq!(row_errors(&text).len(), 20);
}
