use serde_json::{Number, json};

use super::*;
use crate::workflow::{Condition, ParamValue, Repeat, Target, Test};

#[test]
fn accepts_the_shipped_example() {
    let workflow = workflow(include_str!(
        "../../../../../../examples/birthday/workflow.yaml"
    ));
    assert_eq!(workflow.id, "birthday");
    assert_eq!(workflow.name, "Birthday greeting");
    assert_eq!(workflow.start.event, "birthday");
    assert_eq!(workflow.start.repeat, Repeat::EveryTime);
    let [code, mail, sorry] = workflow.steps.as_slice() else {
        panic!("{:?}", workflow.steps)
    };
    assert_eq!(code.digest, "digest-of-get-promocode");
    assert_eq!(
        code.with[0],
        ("type".into(), ParamValue::Text("birthday".into()))
    );
    assert_eq!(
        code.with[1],
        ("discount".into(), ParamValue::Json(json!(10)))
    );
    assert_eq!(code.target("next"), Some(Target::Step(1)));
    assert_eq!(code.target("exhausted"), Some(Target::Step(2)));
    assert_eq!(mail.target("next"), Some(Target::End));
    assert_eq!(sorry.target("next"), Some(Target::End));
    let to = ParamValue::Text("$!data.get('EmailAddress')".into());
    assert_eq!(sorry.with[2], ("to".into(), to));
}

#[test]
fn resolves_every_port_and_leaves_explicit_ones_unconnected() {
    let workflow = workflow(
        "workflow: w
start: { event: e }
steps:
  - id: code
    block: get-promocode
    with: { type: 2026, discount: '10' }
",
    );
    assert_eq!(workflow.name, "w");
    let ports = [
        ("next".to_owned(), Target::End),
        ("exhausted".to_owned(), Target::Unconnected),
    ];
    assert_eq!(workflow.steps[0].ports, ports);
    // The author's spelling is kept: the year is text here.
    assert_eq!(workflow.steps[0].with[0].1, ParamValue::Text("2026".into()));
}

#[test]
fn accepts_references_for_any_type() {
    let workflow = workflow(
        "workflow: w
start: { event: e }
steps:
  - id: code
    block: get-promocode
    with: { type: $!data.get('kind'), discount: $discount, days: \"${days}\" }
  - id: mail
    block: send-message
    with: { channel: $channel, message: '${language}-email', json: { a: [1, $x, yes, true] } }
",
    );
    assert_eq!(
        workflow.steps[0].with[1].1,
        ParamValue::Text("$discount".into())
    );
    let json = json!({ "a": [1, "$x", "yes", true] });
    assert_eq!(workflow.steps[1].with[2].1, ParamValue::Json(json));
}

#[test]
fn conditions_nest_and_a_list_means_all() {
    let workflow = workflow(
        "workflow: w
start:
  event: e
  where:
    - { param: EmailAddress, is: set }
    - any:
        - { param: country, one-of: [UA, NO, 7] }
        - all: [{ param: vip, equals: true }, { param: note, is: empty }]
    - param: tags
      contains: gold
    - { param: country, not-one-of: [RU] }
    - { param: phone, not-starts-with: +380 }
    - { param: total, at-least: 99.5 }
steps: [{ id: mail, block: send-message, with: { message: birthday-email } }]
",
    );
    let param = |name: &str, test| Condition::Param {
        name: name.into(),
        test,
    };
    let not = |test| Test::Not(Box::new(test));
    let one_of = Test::OneOf(vec!["UA".into(), "NO".into(), "7".into()]);
    let expected = Condition::All(vec![
        param("EmailAddress", Test::Set),
        Condition::Any(vec![
            param("country", one_of),
            Condition::All(vec![
                param("vip", Test::Equals("true".into())),
                param("note", Test::Empty),
            ]),
        ]),
        param("tags", Test::Contains("gold".into())),
        param("country", not(Test::OneOf(vec!["RU".into()]))),
        param("phone", not(Test::StartsWith("+380".into()))),
        param("total", Test::AtLeast(Number::from_f64(99.5).unwrap())),
    ]);
    assert_eq!(workflow.start.condition, Some(expected));
}

#[test]
fn accepts_json_and_several_documents() {
    let one = r#"{"workflow": "one", "start": {"event": "e", "repeat": "every-time", "skip-if-running": false},
        "steps": [{"id": "mail", "block": "send-message", "with": {"message": "birthday-email"}}]}"#;
    let two = one.replace("one", "two");
    let (workflows, _) = parsed(&format!("{one}\n---\n{two}")).into_result().unwrap();
    let ids: Vec<_> = workflows
        .iter()
        .map(|workflow| workflow.id.as_str())
        .collect();
    assert_eq!(ids, ["one", "two"]);
}

#[test]
fn returns_only_documents_without_errors() {
    let sound = "workflow: a
start: { event: e }
steps: [{ id: mail, block: send-message, with: { message: birthday-email } }]
";
    let parsed = parsed(&format!("{sound}---\nworkflow: b\n"));
    assert_eq!(parsed.items.len(), 1);
    assert!(parsed.has_errors());
    assert!(parsed.into_result().is_err());
}

#[test]
fn steps_may_join_and_skip() {
    let workflow = workflow(
        "workflow: w
start: { event: e }
steps:
  - { id: a, block: get-promocode, with: { type: x, discount: 1 }, ports: { next: c, exhausted: b } }
  - { id: b, block: send-message, with: { message: birthday-email } }
  - { id: c, block: send-message, with: { message: birthday-email } }
",
    );
    assert_eq!(workflow.steps[0].target("next"), Some(Target::Step(2)));
    assert_eq!(workflow.steps[1].target("next"), Some(Target::Step(2)));
}
