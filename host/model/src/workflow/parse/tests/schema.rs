use std::collections::BTreeSet;

use super::super::keys;
use super::*;
use crate::schema_check::{properties, violation};
use crate::workflow::SCHEMA;
use promoflow_document::{Diagnostics, read};

fn json(file: &str) -> serde_json::Value {
    read(file.as_bytes(), &mut Diagnostics::new("f"))[0].to_json(true)
}

#[test]
fn the_schema_has_the_same_keys_as_the_parser() {
    for (place, keys) in [
        ("", keys::WORKFLOW),
        ("/$defs/start", keys::START),
        ("/$defs/repeat", keys::REPEAT),
        ("/$defs/stop", keys::STOP),
        ("/$defs/step", keys::STEP),
        ("/$defs/test", keys::TEST),
        ("/$defs/condition/anyOf/2", &[keys::ALL]),
        ("/$defs/condition/anyOf/3", &[keys::ANY]),
    ] {
        let in_schema = properties(SCHEMA, place);
        let in_schema: BTreeSet<_> = in_schema.iter().map(String::as_str).collect();
        assert_eq!(in_schema, keys.iter().copied().collect(), "{place}");
    }
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let example = include_str!("../../../../../../examples/birthday/workflow.yaml");
    let full = "workflow: w
name: W
start:
  event: e
  where: { any: [{ param: a, equals: 1 }, [{ param: b, one-of: [x, true] }, { param: b, not-equals: x },
    { param: c, not-one-of: [x] }, { param: c, at-most: 9.5 }, { param: c, not-ends-with: 7 }]] }
  repeat: { every: 365d }
  skip-if-running: true
stop: { event: left }
steps:
  - id: code
    block: get-promocode
    with: { type: 2026, discount: $d, days: 7, as: x, when-empty: { code: W }, reuse: { contact: 30d } }
  - { id: mail, block: send-message, with: { channel: $c, message: m, to: 1 }, ports: { next: end } }
  - { id: own, block: other, with: { anything: [1] } }
";
    for file in [example, full] {
        assert_eq!(violation(SCHEMA, &json(file)), None);
    }
}

#[test]
fn the_schema_rejects_what_the_parser_rejects() {
    let good = "workflow: w
start: { event: e, repeat: once, where: [{ param: a, is: set }] }
steps: [{ id: mail, block: send-message, with: { message: m }, ports: { next: end } }]
";
    assert_eq!(violation(SCHEMA, &json(good)), None);
    for (from, to) in [
        ("workflow: w", "name: w"),
        ("event: e", "evnt: e"),
        ("repeat: once", "repeat: sometimes"),
        ("is: set", "is: there"),
        ("is: set", "is: set, equals: 1"),
        ("is: set", "other: 1"),
        ("is: set", "not-one-of: []"),
        ("is: set", "not-equals: 1, equals: 2"),
        ("is: set", "not-is: set"),
        ("is: set", "at-least: many"),
        ("[{ param: a, is: set }]", "[]"),
        (
            "[{ param: a, is: set }]",
            "{ any: [{ param: a, is: set }], all: [{ param: a, is: set }] }",
        ),
        ("id: mail", "id: end"),
        ("block: send-message", "blok: send-message"),
        ("with: { message: m }", "with: [m]"),
        ("ports: { next: end }", "ports: { next: [end] }"),
        ("workflow: w", "workflow: -w"),
        ("workflow: w", "workflow: w w"),
        ("id: mail", "id: mäil"),
        ("repeat: once", "repeat: { every: 12 }"),
        ("repeat: once", "repeat: { every: 12x }"),
        ("repeat: once", "repeat: { every: 0d }"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(violation(SCHEMA, &json(&bad)).is_some(), "{bad}");
        assert!(parsed(&bad).has_errors(), "{bad}");
    }
}

#[test]
fn the_schema_bounds_the_numbers_of_get_promocode() {
    for (parameter, accepted) in [
        ("discount: 0", true),
        ("discount: 99", true),
        ("discount: $d", true),
        ("discount: 100", false),
        ("discount: -1", false),
        ("days: 0", true),
        ("days: -1", false),
    ] {
        let step = format!("{{ id: code, block: get-promocode, with: {{ {parameter} }} }}");
        let file = format!("workflow: w\nstart: {{ event: e }}\nsteps: [{step}]\n");
        assert_eq!(
            violation(SCHEMA, &json(&file)).is_none(),
            accepted,
            "{parameter}"
        );
    }
}

#[test]
fn the_schema_describes_every_key() {
    for place in [
        "",
        "/$defs/start",
        "/$defs/step",
        "/$defs/test",
        "/$defs/get-promocode",
        "/$defs/send-message",
    ] {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let at = &schema.pointer(place).unwrap()["properties"];
        for (key, property) in at.as_object().unwrap() {
            let referred = property["$ref"]
                .as_str()
                .and_then(|to| schema.pointer(&to[1..]));
            for word in ["title", "description"] {
                let said = property.get(word).or(referred.and_then(|to| to.get(word)));
                assert!(said.is_some(), "{place}/{key} has no {word}");
            }
        }
    }
}
