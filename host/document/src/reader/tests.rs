use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::NodeValue;

fn parse(bytes: &[u8]) -> (Vec<serde_json::Value>, String) {
    parse_named("f", bytes)
}

fn parse_named(name: &str, bytes: &[u8]) -> (Vec<serde_json::Value>, String) {
    let mut out = Diagnostics::new(name);
    let nodes = read(bytes, &mut out);
    let faults: Vec<_> = out.into_sorted().iter().map(ToString::to_string).collect();
    (
        nodes.iter().map(|node| node.to_json(true)).collect(),
        faults.join("\n"),
    )
}

#[track_caller]
fn assert_rejected(bytes: &[u8], expected: &str) {
    let (_, faults) = parse(bytes);
    assert!(faults.contains(expected), "{faults:?} lacks {expected:?}");
}

#[test]
fn reads_yaml_json_and_several_documents() {
    let (documents, faults) = parse(b"a: [1, 'x']\n---\n{\"b\": {\"c\": null}}\n---\n");
    assert_eq!(faults, "");
    assert_eq!(
        documents,
        [json!({"a": [1, "x"]}), json!({"b": {"c": null}})]
    );
}

#[test]
fn rejects_u_0000_in_keys_and_values() {
    let expected = "f:2:4: contains the character U+0000, which cannot be stored; remove it";
    assert_rejected(b"a: 1\nb: \"x\\0\"\n", expected);
    assert_rejected(
        b"{\n\"b\": [\"\\u0000\"]}",
        "f:2:7: contains the character U+0000",
    );
    assert_rejected(b"{\"a\\u0000\": 1}", "f:1:2: contains the character U+0000");
    let (_, faults) = parse(b"a: '\\0'");
    assert_eq!(faults, "");
}

#[test]
fn ignores_byte_order_marks_and_windows_line_endings() {
    let (documents, faults) = parse(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\n");
    assert_eq!(faults, "");
    assert_eq!(documents, [json!({"a": 1, "b": "x\ny\n"})]);
    let mut out = Diagnostics::new("f");
    let nodes = read(b"\xef\xbb\xbf\n  a: 1", &mut out);
    assert_eq!(nodes[0].at, Position { line: 2, column: 3 });
}

#[test]
fn reads_yaml_1_1_booleans_as_text() {
    let (documents, _) = parse(b"on: no\noff: yes\nphone: +380501234567\n");
    assert_eq!(
        documents,
        [json!({"on": "no", "off": "yes", "phone": "+380501234567"})]
    );
}

#[test]
fn rejects_directives_that_yaml_reads_as_comments() {
    for directive in ["#if($x)you#end", "#foreach ($a in $b)", "#set($a = 1)"] {
        let (_, faults) = parse(format!("a: Привіт! {directive}\n").as_bytes());
        let expected = format!(
            "f:1:11: the text after ` #` is cut off: YAML reads `{directive}` as a comment\n  \
             hint: put the text in quotes, or write it below `|`"
        );
        assert_eq!(faults, expected, "{directive}");
    }
    for sound in [
        "a: b # if (x)",
        "a: 'b #if($x)'",
        "a: b#if($x)",
        "a: |\n  b #if($x)",
        "a: b # iffy",
    ] {
        assert_eq!(parse(sound.as_bytes()).1, "", "{sound}");
    }
}

#[test]
fn reads_json_regardless_of_the_file_name() {
    let file = br#"{"a": "x\ud83c\udf89\u00e9\n", "b": [1.50, -2, true, null, "007", {}], "c\u0064": 1e3}"#;
    let document = json!({
        "a": "x\u{1f389}\u{e9}\n", "b": [1.5, -2, true, null, "007", {}], "cd": 1000.0
    });
    for name in ["f.json", "f.JSON", "f", "<stdin>", "f.yaml"] {
        assert_eq!(
            parse_named(name, file),
            (vec![document.clone()], String::new()),
            "{name}"
        );
    }
    let (documents, faults) = parse(b"{\"a\": 1}\n{\"a\": 2}\n");
    assert_eq!((documents.len(), faults.as_str()), (2, ""));
    // YAML may look like JSON, and accepts a trailing comma.
    assert_eq!(
        parse_named("f.yaml", b"{\"a\": b, # here\n}"),
        (vec![json!({"a": "b"})], String::new())
    );
    assert_eq!(parse(b"{a: b}").0, [json!({"a": "b"})]);
}

#[test]
fn rejects_invalid_json_with_position_and_hint() {
    for (file, expected) in [
        (
            "{\"a\": 1,\n}",
            "2:1: invalid JSON: trailing comma\n  hint: remove the comma",
        ),
        (
            "[1, 2,]",
            "1:7: invalid JSON: trailing comma\n  hint: remove the comma",
        ),
        (
            "{\"a\": 1 // x\n}",
            "1:9: invalid JSON: expected `,` or `}`\n  hint: JSON has no comments",
        ),
        (
            "{\n  # x\n \"a\": 1}",
            "2:3: invalid JSON: key must be a string\n  hint: JSON has no comments",
        ),
        (
            "{'a': 1}",
            "1:2: invalid JSON: key must be a string\n  hint: put strings and keys in straight",
        ),
        (
            "{\"a\": \u{201c}b\u{201d}}",
            "1:7: invalid JSON: expected value\n  hint: put strings",
        ),
        (
            "{a: 1}",
            "1:2: invalid JSON: key must be a string\n  hint: put the key in double quotes",
        ),
        ("{\"\u{457}\u{457}\": \"x\\ud83c y\"}", "1:"),
        ("{\"a\": \"\\udf89\"}", "1:"),
        (
            "{\"a\": 1, \"b\": 2,\n  \"a\": 3}",
            "2:3: duplicate key `a`\n  hint: keep one of them; the first is at 1:2",
        ),
        ("{\"a\": {\"b\": 1, \"b\": 2}}", "1:16: duplicate key `b`"),
        ("{\"a\": \"b", "hint: a quote or a bracket is not closed"),
        (
            "{\"a\": \"b\nc\"}",
            "hint: write a line break within a string as \\n",
        ),
        ("{\"a\": \"\\x\"}", "hint: write a backslash as"),
        ("{\"a\": 1} x", "1:10: invalid JSON: expected value"),
        ("", "f.json:1:1: the file is empty"),
    ] {
        let (_, faults) = parse_named("f.json", file.as_bytes());
        assert!(faults.contains(expected), "{file}: {faults}");
    }
    let (_, faults) = parse_named("f.json", b"{\"a\": \"x\\ud83c y\"}");
    assert!(
        faults.contains("surrogate") && faults.contains("\\ud83c\\udf89"),
        "{faults}"
    );
    // Errors of a file that looks like JSON are JSON errors, whatever its name.
    let (_, faults) = parse(b"{\"a\": \"b\" \"c\"}");
    assert!(faults.contains("invalid JSON"), "{faults}");
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let (_, faults) = parse_named("f.json", deep.as_bytes());
    assert!(
        faults.contains("nested more than 64 levels deep"),
        "{faults}"
    );
    let many = format!("[{}1]", "1,".repeat(60_000));
    let (_, faults) = parse_named("f.json", many.as_bytes());
    assert!(faults.contains("more than 50000 values"), "{faults}");
}

#[test]
fn joins_surrogate_pairs_in_yaml() {
    let (documents, faults) = parse(
        "a: \"\\ud83c\\udf89 x \\uD83D\\uDE00\"\nb: { c: \"\\ud83c\\udf89\", d: !x y }\n"
            .as_bytes(),
    );
    assert_eq!(documents[0]["a"], "\u{1f389} x \u{1f600}");
    assert_eq!(documents[0]["b"]["c"], "\u{1f389}");
    assert!(faults.starts_with("f:2:28: unknown tag"), "{faults}");
    // An escape exists only in double quotes.
    let (documents, _) = parse(b"a: |\n  \\ud83c\\udf89\nb: '\\ud83c\\udf89'\nc: \"\\\\ud83c\"\n");
    assert_eq!(documents[0]["a"], "\\ud83c\\udf89\n");
    assert_eq!(documents[0]["b"], "\\ud83c\\udf89");
    assert_eq!(documents[0]["c"], "\\ud83c");
    assert_rejected(b"a: \"\\ud83c\"", "two escapes, such as \\ud83c\\udf89");
}

#[test]
fn reports_text_that_needs_quotes() {
    for (file, expected) in [
        (
            "a: Sale: today",
            "hint: put the whole text in quotes, because it contains a colon: write `a`",
        ),
        (
            "a: %NAME%, hi",
            "hint: put the whole text in quotes, because it begins with `%`",
        ),
        (
            "a: \"Hi\" you",
            "hint: put the whole text in quotes, because it begins with `\"`",
        ),
        (
            "a: [SALE] now",
            "hint: put the whole text in quotes, because it begins with `[`",
        ),
        (
            "a: *bold* sale",
            "hint: put the whole text in quotes, because it begins with `*`",
        ),
        (
            "a: - 50% off",
            "hint: put the whole text in quotes, because it begins with `-`",
        ),
        (
            "a: 'It's here'",
            "hint: put the whole text in quotes, because it begins with `'`",
        ),
        (
            "a: > today",
            "hint: put the whole text in quotes, because it begins with `>`",
        ),
        ("a: !now x", "hint: put text that begins with `!` in quotes"),
        (
            "a: &co shop",
            "warning: the word that begins with `&` is dropped",
        ),
        (
            "a: our #1 fan",
            "f:1:8: warning: the text after ` #` is cut off: YAML reads `#1 fan` as a comment",
        ),
    ] {
        let (_, faults) = parse(file.as_bytes());
        assert!(faults.contains(expected), "{file}: {faults}");
    }
    for sound in [
        "a: 1 #one",
        "a: true #yes",
        "a: b # c",
        "a: b ## c",
        "a: # b\n  c: d",
    ] {
        assert_eq!(parse(sound.as_bytes()).1, "", "{sound}");
    }
}

#[test]
fn copies_the_anchored_value_for_an_alias() {
    let (documents, faults) = parse(b"a: &x { b: 1 }\nc: *x\n");
    assert_eq!(faults, "");
    assert_eq!(documents, [json!({"a": {"b": 1}, "c": {"b": 1}})]);
}

#[test]
fn rejects_invalid_utf8_and_yaml_with_position() {
    assert_rejected(b"", "f:1:1: the file is empty");
    assert_rejected(b"# only a comment\n", "f:1:1: the file is empty");
    assert_rejected(
        "a: 1\nbé: \u{e9}".as_bytes().split_last().unwrap().1,
        "f:2:5: invalid UTF-8\n  hint: save it as UTF-8",
    );
    assert_rejected(b"a: [1\nb: 2\n", "invalid YAML");
    assert_rejected(b"a:\n\tb: 1\n", "hint: indent with spaces");
    assert_rejected(b"a: !secret x\n", "f:1:4: unknown tag `!secret`");
    assert_rejected(b"? [a, b]\n: c\n", "a key must be text, found a list");
    assert_rejected(b"a: *b\n", "f:1:");
    assert_rejected(
        b"a: &b 1\n---\nc: *b\n",
        "this alias has no matching anchor",
    );
    assert_rejected(b"&a [*a]", "this alias has no matching anchor");
}

#[test]
fn rejects_files_that_would_exhaust_memory_or_stack() {
    assert_rejected(&vec![b'a'; MAX_FILE_BYTES + 1], "the file is larger than");
    assert_rejected(&b"[".repeat(100), "nested more than 64 levels deep");
    // The parser looks ahead for the end of a key and reports these itself.
    assert_rejected(&b"[".repeat(100_000), "recursion limit exceeded");
    assert_rejected(&b"{a: ".repeat(100_000), "recursion limit exceeded");
    assert_rejected(&b"- ".repeat(500_000), "nested more than 64 levels deep");
    assert_rejected(&b"? ".repeat(500_000), "nested more than 64 levels deep");
    assert_rejected(
        format!("[{}]", "1,".repeat(60_000)).as_bytes(),
        "more than 50000 values",
    );
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let below = format!("*a{}, ", level - 1).repeat(9);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_rejected(laughs.as_bytes(), "aliases repeat too much");
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(500_000),
        "*a, ".repeat(10_000)
    );
    assert_rejected(long.as_bytes(), "aliases repeat too much");
}

/// Returns the file position of each `!` in the first value of the mapping.
fn marks(file: &str) -> Vec<(u32, u32)> {
    let mut out = Diagnostics::new("f");
    let nodes = read(file.as_bytes(), &mut out);
    let NodeValue::Mapping(entries) = &nodes[0].content else {
        panic!("{nodes:?}")
    };
    let scalar = entries[0].value.scalar().unwrap();
    let mut marks = Vec::new();
    for (line, text) in scalar.text().split('\n').enumerate() {
        for (column, _) in text.chars().enumerate().filter(|(_, c)| *c == '!') {
            let at = scalar.locate(line + 1, column + 1);
            marks.push((at.line, at.column));
        }
    }
    marks
}

#[test]
fn locates_positions_within_scalars() {
    assert_eq!(marks("a: x!y!"), [(1, 5), (1, 7)]);
    assert_eq!(marks("# тло\nпривіт: т!у\n"), [(2, 10)]);
    assert_eq!(marks("a: 'x!'"), [(1, 6)]);
    assert_eq!(marks("{\"a\": \"x!\"}"), [(1, 9)]);
    assert_eq!(marks("a: |\n  x\n   !y\n\n  z!\n"), [(3, 4), (5, 4)]);
    assert_eq!(marks("a: |-\n\n    x!\nb: 1"), [(3, 6)]);
    assert_eq!(marks("a: |2\n    x!\n"), [(2, 6)]);
    assert_eq!(marks("a: \"\\x41!\""), [(1, 4)]);
    assert_eq!(marks("a: >\n  x\n  y!\n"), [(2, 3)]);
}

proptest! {
    #[test]
    fn never_panics_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse(&bytes);
    }

    #[test]
    fn never_panics_on_yaml_punctuation(text in "[-?:,\\[\\]{}#&*!|>'\"%@` \t\r\nab0é\u{feff}]{0,120}") {
        parse(text.as_bytes());
    }
}
