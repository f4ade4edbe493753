use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = include_str!("../../../../../../examples/birthday/workflow.yaml");

/// Generates fragments of workflows in random order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "workflow",
        "start",
        "steps",
        "where",
        "event",
        "repeat",
        "stop",
        "id",
        "block",
        "with",
        "ports",
        "param",
        "is",
        "any",
        "all",
        "one-of",
        "not-starts-with",
        "at-least",
        "every",
        "end",
        ": ",
        ":",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "get-promocode",
        "send-message",
        "message",
        "channel",
        "email",
        "$x",
        "#oops",
        "&a ",
        "*a",
        "!!str ",
        "|",
        ">",
        "\"",
        "'",
        "---",
        "\t",
        "é",
        "7",
        "null",
    ]);
    proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn never_panics_on_random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse("f", &bytes, &test_catalog(), &templates);
    }

    #[test]
    fn never_panics_on_shuffled_fragments(text in pieces()) {
        parse("f", text.as_bytes(), &test_catalog(), &templates);
    }

    #[test]
    fn never_panics_on_modified_workflows(
        at in 0..EXAMPLE.len(),
        gone in 0..40usize,
        new in pieces(),
    ) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        let end = (at + gone).min(bytes.len());
        bytes.splice(at..end, new.into_bytes());
        let parsed = parse("f", &bytes, &test_catalog(), &templates);
        // Every accepted workflow can be drawn, stored and read back.
        for workflow in parsed.items {
            crate::workflow::flowchart(&workflow);
            let stored = serde_json::to_string(&workflow).unwrap();
            prop_assert_eq!(serde_json::from_str::<Workflow>(&stored).unwrap(), workflow);
        }
    }
}
