//! Promo codes claimed by merge tags in messages: P1, P2, P4 and P11 hold for them as for codes
//! claimed by blocks.

use std::ops::ControlFlow;

use promoflow::Promoflow;
use promoflow::channel::DeliveryOutcome;
use promoflow::event::Event;
use promoflow::message::RenderedMessage;
use promoflow::store::{Action, RunState};
use promoflow_tests::{PromoflowExt, TestApp};

const TAGGED: &str = r#"
message: tagged
channel: email
subject: "Your %PC_birthday_0_10%"
text: "%PC_birthday_0_10% and again %pc_birthday_0_10%"
html: "<p>%PC_birthday_0_10%</p>"
languages:
  uk: { subject: Вітаємо, text: "%PC_ua_0_10|ВІТАЄМО%" }
"#;

const WORKFLOW: &str = "
workflow: tagged
start: { event: tagged }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: tagged }
";

/// Sends a tagged message, then fails until codes of another type exist.
const THEN_FAILS: &str = "
workflow: tagged
start: { event: tagged }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: tagged }
  - id: more
    block: get-promocode
    with: { type: late, discount: 10, days: 0, when-empty: fail }
    ports: { exhausted: end }
";

fn app(codes: usize, workflow: &str) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(codes);
    promoflow.add_messages(TAGGED);
    promoflow.add_workflows(workflow);
    (app, promoflow)
}

fn contents(promoflow: &Promoflow) -> Vec<RenderedMessage> {
    let mut contents = Vec::new();
    promoflow
        .deliveries(None, |delivery| {
            contents.push(delivery.content);
            ControlFlow::Continue(())
        })
        .unwrap();
    contents
}

#[test]
fn p1_a_tag_claims_one_code_however_often_it_occurs_in_a_message() {
    let (_shop, promoflow) = app(3, WORKFLOW);
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "tagged", "ann@example.com");
    promoflow.run_event(&running, "tagged", "ben@example.com");
    let contents = contents(&promoflow);
    for (content, code) in contents.iter().zip(["C-0000", "C-0001"]) {
        assert_eq!(content.subject.as_deref(), Some(&*format!("Your {code}")));
        assert_eq!(
            content.text.as_deref(),
            Some(&*format!("{code} and again {code}"))
        );
        assert_eq!(content.html.as_deref(), Some(&*format!("<p>{code}</p>")));
    }
    assert_eq!(contents.len(), 2);
    assert_eq!(promoflow.available_codes(), ["C-0002"]);
    let used = promoflow.all_codes().into_iter().find(|code| code.in_use);
    assert_eq!(used.unwrap().used_by.unwrap().step, "mail");
    promoflow.assert_audit();
}

#[test]
fn p2_a_tag_claims_one_code_however_often_its_step_runs() {
    let (app, promoflow) = app(3, THEN_FAILS);
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "tagged", "ann@example.com");
    for _ in 0..2 {
        assert_eq!(promoflow.run_of(run).0.state, RunState::Failed);
        assert_eq!(
            promoflow.available_codes().len(),
            3,
            "a code of a failed segment was not released"
        );
        promoflow.apply_run_action(run, Action::Retry).unwrap();
        running.wait_idle(&[run]).unwrap();
    }
    promoflow.import_codes("code,expirationDate,discount,type\nL-1,2999-12-31,10,late\n");
    promoflow.apply_run_action(run, Action::Retry).unwrap();
    running.wait_idle(&[run]).unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
    assert_eq!(app.channel.texts(), ["C-0000 and again C-0000"]);
    assert_eq!(promoflow.available_codes(), ["C-0001", "C-0002"]);
    promoflow.assert_audit();
}

#[test]
fn p4_a_message_without_an_available_code_is_not_sent_and_its_run_keeps_nothing() {
    let (app, promoflow) = TestApp::with_codes(1);
    let tagged = TAGGED.replace("birthday_0_10", "New_Year_1_7");
    promoflow.add_messages(&tagged);
    let code = "steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
";
    promoflow.add_workflows(&WORKFLOW.replace("steps:\n", code));
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "tagged", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    let error = row.error.unwrap();
    let expected = "step `mail` (send-message): message `tagged`, %PC_New_Year_1_7%: no promo code of \
                type `New_Year` with discount 7 and at least 1 days of validity is left";
    assert!(error.contains(expected), "{error}");
    assert!(app.channel.sent().is_empty());
    assert_eq!(promoflow.available_codes(), ["C-0000"]);

    promoflow.import_codes("code,expirationDate,discount,type\nN-1,2999-12-31,7,New_Year\n");
    promoflow.apply_run_action(run, Action::Retry).unwrap();
    running.wait_idle(&[run]).unwrap();
    assert_eq!(app.channel.texts(), ["N-1 and again N-1"]);
    promoflow.assert_audit();
}

#[test]
fn a_tag_may_have_a_default_and_claims_the_code_of_its_language() {
    let (app, promoflow) = app(1, WORKFLOW);
    let running = promoflow.start().unwrap();
    let send = |key: &str| {
        let event = Event::new("tagged", key)
            .with_param("EmailAddress", key)
            .with_param("language", "uk-UA");
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
    };
    send("ann@example.com");
    promoflow.import_codes("code,expirationDate,discount,type\nU-1,2999-12-31,10,ua\n");
    send("ben@example.com");
    assert_eq!(app.channel.texts(), ["ВІТАЄМО", "U-1"]);
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
    promoflow.assert_audit();
}

/// A message that contains a code for some contacts only.
const BRANCHES: &str = "
message: tagged
channel: email
subject: Your present
text: \"#if($vip == 'yes')Your code: %PC_birthday_0_10%#{else}No code for you#end\"
html: \"<p>#foreach($item in $items)%PC_birthday_0_10% #end</p>#define($none)%PC_nothing_0_1%#end\"
";

#[test]
fn p1_a_tag_in_an_untaken_branch_claims_no_code_even_with_an_empty_pool() {
    let (app, promoflow) = TestApp::with_codes(1);
    promoflow.add_messages(BRANCHES);
    promoflow.add_workflows(WORKFLOW);
    let running = promoflow.start().unwrap();
    let send = |key: &str, vip: &str| {
        let event = Event::new("tagged", key)
            .with_param("EmailAddress", key)
            .with_param("vip", vip);
        let receipt = running.send(event).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        let (row, _) = promoflow.run_of(receipt.runs[0]);
        (row.state, row.error.unwrap_or_default())
    };
    assert_eq!(send("ann@example.com", "no").0, RunState::Completed);
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
    assert_eq!(send("ben@example.com", "yes").0, RunState::Completed);
    assert!(promoflow.available_codes().is_empty());
    // A message without a code is sent; a message that needs one fails with an error.
    assert_eq!(send("eve@example.com", "no").0, RunState::Completed);
    let (state, error) = send("joe@example.com", "yes");
    assert_eq!(state, RunState::Failed);
    assert!(
        error.contains("%PC_birthday_0_10%: no promo code"),
        "{error}"
    );
    let texts = ["No code for you", "Your code: C-0000", "No code for you"];
    assert_eq!(app.channel.texts(), texts);
    promoflow.assert_audit();
}

#[test]
fn a_default_replaces_the_code_wherever_the_tag_occurs() {
    let (app, promoflow) = TestApp::with_codes(0);
    let both = "#if($vip)%PC_birthday_0_10%#{else}%PC_birthday_0_10|A%%PC_birthday_0_10|B%#end";
    promoflow.add_messages(&format!(
        "{{ message: tagged, channel: email, subject: s, text: \"{both}\" }}"
    ));
    promoflow.add_workflows(WORKFLOW);
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "tagged", "ann@example.com");
    assert_eq!(app.channel.texts(), ["AB"]);
    promoflow.assert_audit();
}

#[test]
fn p1_the_alternatives_of_a_delivery_share_the_code_of_a_tag() {
    let (app, promoflow) = TestApp::with_codes(3);
    promoflow.add_messages(TAGGED);
    promoflow.add_messages("{ message: short, channel: sms, text: \"%PC_birthday_0_10%\" }");
    let otherwise = ", otherwise: [{ channel: sms, message: short, to: \"+380501234567\" }] }";
    promoflow.add_workflows(
        &WORKFLOW.replace("message: tagged }", &format!("message: tagged{otherwise}")),
    );
    app.channel
        .queue_outcome(DeliveryOutcome::PermanentFailure {
            error: "no such mailbox".into(),
        });
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "tagged", "ann@example.com");
    // An alternative without a valid address claims none.
    promoflow.run_event(&running, "tagged", "nobody");
    let texts = ["C-0000 and again C-0000", "C-0000", "C-0001"];
    assert_eq!(app.channel.texts(), texts);
    assert_eq!(promoflow.available_codes(), ["C-0002"]);
    promoflow.assert_audit();
}

#[test]
fn p1_racing_senders_get_one_code_per_tag_until_none_is_left() {
    let (app, promoflow) = app(20, WORKFLOW);
    let running = promoflow.start().unwrap();
    std::thread::scope(|scope| {
        for sender in 0..5 {
            let (promoflow, running) = (&promoflow, &running);
            scope.spawn(move || {
                for number in 0..6 {
                    let key = format!("{sender}-{number}@example.com");
                    promoflow.run_event(running, "tagged", &key);
                }
            });
        }
    });
    let mut texts = app.channel.texts();
    assert_eq!(texts.len(), 20);
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 20);
    assert!(promoflow.available_codes().is_empty());
    promoflow.assert_audit();
}

#[test]
fn p11_a_test_run_shows_the_code_that_a_tag_would_claim() {
    let (app, promoflow) = app(2, WORKFLOW);
    let event =
        Event::new("tagged", "ann@example.com").with_param("EmailAddress", "ann@example.com");
    for _ in 0..2 {
        let would = promoflow.test_run(event.clone()).unwrap();
        assert_eq!(would[0].codes, ["C-0000"]);
        let subject = would[0].deliveries[0].content.subject.as_deref();
        assert_eq!(subject, Some("Your C-0000"));
    }
    assert_eq!(promoflow.available_codes().len(), 2);
    assert!(app.channel.sent().is_empty());
}
