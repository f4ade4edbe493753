//! Tests of the example programs: each line of a mixed input is answered, and a message of 20 KB is
//! rendered in time.

#[allow(dead_code, reason = "main belongs to the program")]
#[path = "../examples/render.rs"]
mod render;

#[allow(dead_code, reason = "main belongs to the program")]
#[path = "../examples/speed.rs"]
mod speed;

use std::time::Duration;

use serde_json::{Value, json};

/// Returns the answers to lines, which need not be UTF-8.
fn answers(input: &[u8]) -> Vec<Value> {
    let mut output = Vec::new();
    render::answer(input, &mut output).expect("memory takes everything");
    let output = String::from_utf8(output).expect("JSON is text");
    let lines = output.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

#[test]
fn answers_each_line_despite_invalid_ones() {
    let mut input =
        br#"{"template": "Hi $data.name, $x\u2028", "data": {"name": "Ann"}, "context": {"x": 1.0}}
{"template": "a\n #if($x", "data": {}}
no JSON

{"template": "$x"
[1, 2]
{"data": {}}
{"template": 7}
{"template": "x", "context": [1]}
"#
        .to_vec();
    input.extend(b"{\"template\": \"\xff\"}\n");
    input
        .extend(br#"{"template": "$data.l.get(5)", "data": {"l": []}, "expected": "", "tier": 1}"#);
    input.extend(b"\r\n{\"template\": \"the last\", \"context\": null}");
    let error = |message: &str, line: u32, column: u32| json!({ "error": { "message": message, "line": line, "column": column } });
    assert_eq!(
        answers(&input),
        [
            json!({ "output": "Hi Ann, 1.0\u{2028}" }),
            error(
                "expected an operator or the ')' of #if, found the end of the template",
                2,
                8
            ),
            error(
                "line 3 of the input: is not JSON: expected a JSON value",
                1,
                1
            ),
            error(
                "line 5 of the input: is not JSON: expected ',' or '}'",
                1,
                18
            ),
            error("line 6 of the input: expected a JSON object", 1, 1),
            error("line 7 of the input: expected a text as `template`", 1, 1),
            error("line 8 of the input: expected a text as `template`", 1, 1),
            error("line 9 of the input: expected an object as `context`", 1, 1),
            error("line 10 of the input: is not UTF-8", 1, 15),
            error("there is no element 5 in the list", 1, 9),
            json!({ "output": "the last" }),
        ]
    );
}

/// The goal is 50 µs, which the program meets on an idle machine; tests share theirs.
#[test]
fn a_message_of_20_kb_is_rendered_in_time() {
    let most = Duration::from_micros(if cfg!(debug_assertions) { 5_000 } else { 500 });
    let source = speed::message();
    assert!(
        (20_000..21_000).contains(&source.len()),
        "{} bytes",
        source.len()
    );
    assert_eq!(source.matches('$').count(), 20);
    for (escape, median) in speed::medians(&source).expect("a template") {
        assert!(median <= most, "{escape:?}: {median:?}");
    }
}
