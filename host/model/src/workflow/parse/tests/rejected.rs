use super::*;

/// Checks the exact diagnostics of a file.
macro_rules! rejects {
    ($($name:ident: $file:expr => $expected:expr;)*) => { $(
        #[test]
        fn $name() {
            let parsed = parsed(&$file);
            let actual: Vec<_> = parsed.diagnostics.iter().map(ToString::to_string).collect();
            assert_eq!(actual.join("\n"), $expected);
            assert!(parsed.has_errors());
        }
    )* };
}

/// A workflow with these steps.
fn steps(steps: &str) -> String {
    format!("workflow: w\nstart: {{ event: e }}\nsteps:\n{steps}")
}

/// A workflow whose first step has these parameters in addition to `type` and `discount`.
fn code(with: &str) -> String {
    steps(&format!(
        "  - id: code\n    block: get-promocode\n    with:\n      type: a\n      discount: 1\n{with}"
    ))
}

/// A workflow that sends a message with these parameters.
fn mail(with: &str) -> String {
    steps(&format!(
        "  - id: mail\n    block: send-message\n    with: {with}\n"
    ))
}

/// A workflow with this start condition.
fn start(start: &str) -> String {
    format!(
        "workflow: w\nstart: {start}\nsteps: [{{ id: mail, block: send-message, with: {{ message: birthday-email }} }}]\n"
    )
}

rejects! {
    rejects_unknown_keys_everywhere:
        "workflow: w
nmae: x
start: { event: e, repaet: once }
steps:
  - id: mail
    block: send-message
    with: { message: birthday-email }
    prots: { next: end }
" => "w.yaml:2:1: unknown key `nmae` in the workflow
  hint: did you mean `name`?
w.yaml:3:20: unknown key `repaet` in `start`
  hint: did you mean `repeat`?
w.yaml:8:5: unknown key `prots` in a step
  hint: did you mean `ports`?";

    lists_the_known_keys_without_a_close_match:
        start("{ event: e, colour: red }")
        => "w.yaml:2:20: unknown key `colour` in `start`
  hint: known keys: event, where, repeat, skip-if-running";

    names_missing_keys:
        "name: x" => "w.yaml:1:1: the workflow lacks `workflow`
w.yaml:1:1: the workflow lacks `start`
w.yaml:1:1: the workflow lacks `steps`";

    requires_id_and_block_in_a_step:
        steps("  - with: {}\n") => "w.yaml:4:5: a step lacks `id`
w.yaml:4:5: a step lacks `block`";

    rejects_duplicate_keys:
        "workflow: w\nstart: { event: e }\nworkflow: v\nsteps: [{ id: mail, block: send-message, with: { message: birthday-email } }]"
        => "w.yaml:3:1: duplicate key `workflow` in the workflow
  hint: first used at 1:1";

    rejects_values_of_the_wrong_type:
        "workflow: [w]\nname: {}\nstart: soon\nsteps: none\nstop: [x]\n"
        => "w.yaml:1:11: expected text for `workflow`, found a list
w.yaml:2:7: expected text for `name`, found a mapping
w.yaml:3:8: expected a mapping for `start`, found text
  hint: write `key: value` lines
w.yaml:4:8: expected a list for `steps`, found text
  hint: begin each item with `- `
w.yaml:5:7: expected a mapping for `stop`, found a list
  hint: write `key: value` lines";

    reads_an_empty_value_as_nothing:
        start("{ event: }") => "w.yaml:2:15: expected text for `event`, found nothing";

    rejects_invalid_ids:
        "workflow: my flow\nstart: { event: e }\nsteps: [{ id: -x, block: send-message, with: { message: birthday-email } }]"
        => "w.yaml:1:11: `my flow` is not an id
  hint: use letters a-z, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`; at most 100 characters
w.yaml:3:15: `-x` is not an id
  hint: use letters a-z, digits, `-`, `_` and `.`, beginning with a letter, a digit or `_`; at most 100 characters";

    rejects_invalid_event_types:
        start("{ event: a/b }") => "w.yaml:2:17: `a/b` is not an event type
  hint: an event type has 1 to 100 characters and none of < ; ’ \\ / | \" ` ' ^ ? ! , >";

    requires_steps:
        "workflow: w\nstart: { event: e }\nsteps: []" => "w.yaml:3:8: the workflow has no steps";

    rejects_unknown_blocks:
        steps("  - id: code\n    block: get-promcode\n") => "w.yaml:5:12: unknown block `get-promcode`
  hint: did you mean `get-promocode`?";

    suggests_listing_blocks_without_a_close_match:
        steps("  - id: code\n    block: teleport\n") => "w.yaml:5:12: unknown block `teleport`
  hint: run `promoflow block list` to see the available blocks";

    rejects_unknown_parameters:
        code("      dayz: 7\n      colour: red\n") => "w.yaml:9:7: `get-promocode` has no parameter `dayz`
  hint: did you mean `days`?
w.yaml:10:7: `get-promocode` has no parameter `colour`
  hint: its parameters are type, discount, days, when-empty, reuse";

    reports_a_missing_parameter_at_its_step:
        steps("  - id: code\n    block: get-promocode\n    with: { type: a }\n")
        => "w.yaml:4:5: the step lacks the required parameter `discount` of `get-promocode`
  hint: add `discount` under `with`: the discount";

    reports_missing_parameters_without_with:
        steps("  - id: mail\n    block: send-message\n")
        => "w.yaml:4:5: the step lacks the required parameter `message` of `send-message`
  hint: add `message` under `with`: the message";

    rejects_values_out_of_bounds:
        steps("  - id: code\n    block: get-promocode\n    with: { type: aaaaaaaaaaaaaaaaaaaaa, discount: 150, days: -1 }\n")
        => "w.yaml:6:19: expected text of 1 to 20 characters for `type`, found 21 characters
w.yaml:6:52: expected an integer from 0 to 99 for `discount`, found 150
w.yaml:6:63: expected an integer from 0 to 3650 for `days`, found -1";

    rejects_parameters_of_the_wrong_type:
        steps("  - id: code\n    block: get-promocode\n    with: { type: [a], discount: ten, days: 1.5 }\n")
        => "w.yaml:6:19: expected text of 1 to 20 characters for `type`, found a list
w.yaml:6:34: expected an integer from 0 to 99 for `discount`, found `ten`
w.yaml:6:45: expected an integer from 0 to 3650 for `days`, found 1.5";

    rejects_parameters_without_a_value:
        steps("  - id: code\n    block: get-promocode\n    with: { type: , discount: null }\n")
        => "w.yaml:6:17: expected text of 1 to 20 characters for `type`, found nothing
w.yaml:6:31: expected an integer from 0 to 99 for `discount`, found nothing";

    rejects_lists_with_references_as_text:
        steps("  - id: code\n    block: get-promocode\n    with: { type: [$a], discount: { x: $a } }\n")
        => "w.yaml:6:19: expected text of 1 to 20 characters for `type`, found a list
w.yaml:6:35: expected an integer from 0 to 99 for `discount`, found a mapping";

    rejects_unknown_choices:
        code("      when-empty: prot\n")
        => "w.yaml:9:19: expected one of fail, port, { code: … } for `when-empty`, found `prot`
  hint: did you mean `port`?";

    requires_a_mapping_for_with:
        steps("  - id: code\n    block: get-promocode\n    with: [type, a]\n")
        => "w.yaml:6:11: expected a mapping for `with`, found a list
  hint: write `key: value` lines";

    rejects_unknown_messages:
        mail("{ message: birthday-emial }") => "w.yaml:6:22: unknown message `birthday-emial`
  hint: did you mean `birthday-email`?";

    suggests_applying_an_unknown_message:
        mail("{ message: welcome }") => "w.yaml:6:22: unknown message `welcome`
  hint: apply it first with `promoflow message apply`";

    rejects_messages_of_another_channel:
        mail("{ channel: email, message: birthday-sms }")
        => "w.yaml:6:38: the message `birthday-sms` is for sms, but the step's channel is email
  hint: change the message or the channel";

    checks_the_default_channel_of_a_block:
        mail("{ message: birthday-sms }")
        => "w.yaml:6:22: the message `birthday-sms` is for sms, but the step's channel is email
  hint: change the message or the channel";

    rejects_unknown_channels:
        mail("{ channel: emial, message: birthday-sms }")
        => "w.yaml:6:22: expected one of email, sms, viber, mobile-push, web-push, telegram for `channel`, found `emial`
  hint: did you mean `email`?
w.yaml:6:38: the message `birthday-sms` is for sms, but the step's channel is email
  hint: change the message or the channel";

    rejects_unknown_ports:
        code("    ports: { exausted: end, later: end }\n") => "w.yaml:9:14: `get-promocode` has no port `exausted`
  hint: did you mean `exhausted`?
w.yaml:9:29: `get-promocode` has no port `later`
  hint: its ports are next, exhausted";

    rejects_unknown_targets:
        code("    ports: { next: cod, exhausted: nobody }\n")
        => "w.yaml:9:20: the port `next` leads to the unknown step `cod`
  hint: did you mean `code`?
w.yaml:9:36: the port `exhausted` leads to the unknown step `nobody`
  hint: use the id of a step, or `end`";

    suggests_end_for_a_typo:
        code("    ports: { next: emd }\n") => "w.yaml:9:20: the port `next` leads to the unknown step `emd`
  hint: did you mean `end`?";

    rejects_duplicate_step_ids:
        steps("  - { id: a, block: send-message, with: { message: birthday-email } }\n  - { id: a, block: send-message, with: { message: birthday-email } }\n")
        => "w.yaml:5:11: duplicate step id `a`
  hint: first used at 4:11";

    rejects_end_as_a_step_id:
        steps("  - { id: end, block: send-message, with: { message: birthday-email } }\n")
        => "w.yaml:4:11: `end` is reserved and cannot be a step's id
  hint: `end` under `ports` ends the run; choose another id";

    rejects_unreachable_steps:
        steps("  - { id: a, block: send-message, with: { message: birthday-email }, ports: { next: end } }
  - { id: b, block: send-message, with: { message: birthday-email } }
  - { id: c, block: send-message, with: { message: birthday-email } }
") => "w.yaml:5:5: no port leads to the step `b`
  hint: name it under the `ports` of another step, or delete it
w.yaml:6:5: no port leads to the step `c`
  hint: name it under the `ports` of another step, or delete it";

    reports_a_cycle_where_it_leads_back:
        steps("  - { id: a, block: send-message, with: { message: birthday-email } }
  - { id: b, block: get-promocode, with: { type: x, discount: 1 }, ports: { exhausted: a } }
  - { id: c, block: send-message, with: { message: birthday-email }, ports: { next: c } }
") => "w.yaml:5:88: the steps form a cycle without a wait: `a` → `b` → `a`
  hint: connect this port to a later step, or to `end`
w.yaml:6:85: the steps form a cycle without a wait: `c` → `c`
  hint: connect this port to a later step, or to `end`";

    reports_a_cycle_through_list_order_where_it_leads_back:
        steps("  - { id: a, block: send-message, with: { message: birthday-email }, ports: { next: c } }
  - { id: b, block: send-message, with: { message: birthday-email } }
  - { id: c, block: send-message, with: { message: birthday-email }, ports: { next: b } }
") => "w.yaml:6:85: the steps form a cycle without a wait: `c` → `b` → `c`
  hint: connect this port to a later step, or to `end`";

    locates_template_errors:
        mail("{ message: birthday-email, to: a$b#oops, json: [{ x: 'b #oops' }] }")
        => "w.yaml:6:45: unknown directive `#oops`
w.yaml:6:67: unknown directive `#oops`";

    locates_errors_in_block_text:
        mail("\n      message: birthday-email\n      to: |\n        one\n         two #oops\n")
        => "w.yaml:10:14: unknown directive `#oops`";

    requires_one_parameter_and_one_test_per_condition:
        start("{ event: e, where: [{ is: set }, { param: a }, { param: a, is: set, equals: b }, { param: '' , is: set }] }")
        => "w.yaml:2:28: a condition lacks `param`
w.yaml:2:41: a condition has no test
  hint: add a test: is, equals, contains, one-of, starts-with, ends-with or a comparison such as at-least
w.yaml:2:76: `equals` is a second test in the same condition
  hint: write one list item per test
w.yaml:2:98: `` is not a parameter name
  hint: names have 1 to 100 characters";

    rejects_unknown_tests:
        start("{ event: e, where: [{ param: a, is: sett }, { param: a, is: 7 }, { param: a, one_of: [b] }] }")
        => "w.yaml:2:44: expected set or empty for `is`, found `sett`
  hint: did you mean `set`?
w.yaml:2:68: expected set or empty for `is`, found `7`
  hint: use `equals` to compare with a value
w.yaml:2:73: a condition has no test
  hint: add a test: is, equals, contains, one-of, starts-with, ends-with or a comparison such as at-least
w.yaml:2:85: unknown key `one_of` in a condition
  hint: did you mean `one-of`?";

    rejects_tests_without_a_value:
        start("{ event: e, where: [{ param: a, one-of: [] }, { param: a, contains: '' }, { param: a, equals: [x] }, { any: [] }] }")
        => "w.yaml:2:48: `one-of` is empty
w.yaml:2:76: `contains` is empty, and every text contains the empty text
w.yaml:2:102: expected text for `equals`, found a list
w.yaml:2:116: `any` is empty; expected at least one condition";

    rejects_negations_and_comparisons_without_a_value:
        start("{ event: e, where: [{ param: a, not-one-of: [] }, { param: a, starts-with: '' }, { param: a, not-ends-with: '' }, { param: a, at-least: many }, { param: a, less-than: '7' }, { param: a, not-is: set }, { param: a, not_equals: b }] }")
        => "w.yaml:2:52: `not-one-of` is empty
w.yaml:2:83: `starts-with` is empty, and every text starts with the empty text
w.yaml:2:116: `not-ends-with` is empty, and every text ends with the empty text
w.yaml:2:144: expected a number for `at-least`, found text
  hint: write a number without quotes, such as 99.5
w.yaml:2:175: expected a number for `less-than`, found text
  hint: write a number without quotes, such as 99.5
w.yaml:2:182: a condition has no test
  hint: add a test: is, equals, contains, one-of, starts-with, ends-with or a comparison such as at-least
w.yaml:2:194: unknown key `not-is` in a condition
  hint: known keys: param, is, equals, not-equals, contains, not-contains, one-of, not-one-of, starts-with, not-starts-with, ends-with, not-ends-with, greater-than, at-least, less-than, at-most
w.yaml:2:209: a condition has no test
  hint: add a test: is, equals, contains, one-of, starts-with, ends-with or a comparison such as at-least
w.yaml:2:221: unknown key `not_equals` in a condition
  hint: did you mean `not-equals`?";

    rejects_other_keys_with_all_and_any:
        start("{ event: e, where: { any: [{ param: a, is: set }], param: b, all: [{ param: a, is: set }] } }")
        => "w.yaml:2:59: `param` cannot be combined with `all` or `any`
  hint: make it an item of the `all` or `any` list
w.yaml:2:69: `all` and `any` cannot be in the same mapping
  hint: nest one of them in the other's list";

    rejects_text_as_a_condition:
        start("{ event: e, where: country }")
        => "w.yaml:2:27: expected a list for `where`, found text
  hint: begin each item with `- `";

    rejects_unknown_repeat:
        start("{ event: e, repeat: evrytime, skip-if-running: yes }")
        => "w.yaml:2:28: expected every-time, once or { every: 30d } for `repeat`, found `evrytime`
  hint: did you mean `every-time`?
w.yaml:2:55: expected true or false for `skip-if-running`, found `yes`";

    requires_a_duration_as_period:
        start("{ event: e, repeat: { every: 365 } }")
        => "w.yaml:2:37: expected a duration such as 90s, 15m, 12h or 30d for `every`, found `365`";

    checks_each_alternative:
        mail("{ message: birthday-email, otherwise: [{ channel: sms, message: birthday-emial }, { chanel: sms, message: $m }, { channel: sms, message: birthday-email }, sms, { channel: $c, message: birthday-sms, to: 38050 }] }")
        => "w.yaml:6:75: unknown message `birthday-emial`
  hint: did you mean `birthday-email`?
w.yaml:6:93: an alternative of `otherwise` lacks `channel`
w.yaml:6:95: unknown key `chanel` in an alternative of `otherwise`
  hint: did you mean `channel`?
w.yaml:6:148: the message `birthday-email` is for email, but the step's channel is sms
  hint: change the message or the channel
w.yaml:6:166: expected a mapping for an alternative of `otherwise`, found text
  hint: write `key: value` lines";

    requires_a_list_of_alternatives:
        mail("{ message: birthday-email, otherwise: { channel: sms, message: birthday-sms } }")
        => "w.yaml:6:49: expected a list for `otherwise`, found a mapping
  hint: begin each item with `- `";

    rejects_an_empty_list_of_alternatives:
        mail("{ message: birthday-email, otherwise: [] }")
        => "w.yaml:6:49: expected 1 to 5 alternatives, found 0";

    limits_the_number_of_alternatives:
        mail("{ message: birthday-email, otherwise: [{ channel: sms, message: birthday-sms }, { channel: sms, message: birthday-sms }, { channel: sms, message: birthday-sms }, { channel: sms, message: birthday-sms }, { channel: sms, message: birthday-sms }, { channel: sms, message: birthday-sms }] }")
        => "w.yaml:6:49: expected 1 to 5 alternatives, found 6";

    checks_templates_in_alternatives_once:
        mail("{ message: birthday-email, otherwise: [{ channel: sms, message: birthday-sms, to: \"#oops\" }] }")
        => "w.yaml:6:94: unknown directive `#oops`";

    rejects_duplicate_workflows:
        format!("{0}---\n{0}", start("{ event: e }"))
        => "w.yaml:5:1: the workflow `w` is defined twice in this file
  hint: give one of them another id";

    recognizes_message_files:
        "message: m\nchannel: email\n" => "w.yaml:1:1: this is a message, not a workflow
  hint: apply messages with `promoflow message apply`";

    rejects_a_list_as_a_workflow:
        "- a" => "w.yaml:1:1: expected a mapping for the workflow, found a list
  hint: write `key: value` lines";

    locates_yaml_syntax_errors:
        "workflow: [w\n" => "w.yaml:2:1: invalid YAML: while parsing a flow sequence, expected ',' or ']'";
}

#[test]
fn limits_the_number_of_steps() {
    let step = |number| {
        format!(
            "  - {{ id: s{number}, block: send-message, with: {{ message: birthday-email }} }}\n"
        )
    };
    let file = |count: usize| steps(&(0..count).map(step).collect::<String>());
    assert!(!parsed(&file(crate::workflow::MAX_STEPS)).has_errors());
    let actual = &parsed(&file(crate::workflow::MAX_STEPS + 1)).diagnostics;
    assert_eq!(actual.len(), 1);
    assert_eq!(
        actual[0].to_string(),
        "w.yaml:504:5: a workflow has at most 500 steps"
    );
}
