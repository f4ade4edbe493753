use super::*;

#[track_caller]
fn warnings(file: &str) -> Vec<String> {
    let (_, warnings) = parsed(file).into_result().unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

fn workflow_of(steps: &str) -> String {
    format!(
        "workflow: w\nstart:\n  event: birthday\n  where: {{ param: nme, is: set }}\nsteps:\n{steps}"
    )
}

#[test]
fn warns_about_unknown_values_at_the_step() {
    let step =
        "  - id: sms\n    block: send-message\n    with: { channel: sms, message: birthday-sms }\n";
    assert_eq!(
        warnings(&workflow_of(step)),
        [
            "w.yaml:8:36: warning: message `birthday-sms`: unknown value \
             `$firstNmae`\n  hint: did you mean `firstName`?"
        ]
    );
}

#[test]
fn warns_about_unknown_values_in_parameters() {
    let step = "  - id: code\n    block: get-promocode\n    with: { type: \"a-$totl\", discount: '$total' }\n    \
                ports: { exhausted: end }\n";
    assert_eq!(
        warnings(&workflow_of(step)),
        ["w.yaml:8:22: warning: unknown value `$totl`\n  hint: did you mean `total`?"]
    );
}

#[test]
fn warns_about_merge_tags_in_parameters() {
    let step = "  - id: sms\n    block: send-message\n    with: { channel: email, message: birthday-email, \
                to: \"%EMAIL%\" }\n";
    let found = warnings(&workflow_of(step));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("w.yaml:8:59: warning: `%EMAIL%` is not replaced"),
        "{found:?}"
    );
}

#[test]
fn warns_about_missing_codes_and_inverted_zone_signs() {
    let steps = "  - id: code\n    block: get-promocode\n    with: { type: Birthday, discount: 10 }\n    \
                 ports: { exhausted: end }\n  - id: sms\n    block: send-message\n    with:\n      \
                 channel: email\n      message: birthday-email\n      allowed-hours: 09:00-21:00\n      \
                 time-zone: Etc/GMT+3\n";
    let found = warnings(&workflow_of(steps));
    assert_eq!(found[0], "w.yaml:8:19: warning: no codes\n  hint: birthday");
    assert!(
        found[1].starts_with("w.yaml:16:18: warning: Etc/GMT+3 is 3 hours behind UTC"),
        "{found:?}"
    );
}
