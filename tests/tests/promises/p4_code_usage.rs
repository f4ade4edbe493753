//! P4: a code is released if no message that carries it may have left, whatever else its run has
//! sent.

use promoflow::channel::DeliveryOutcome;
use promoflow::contact::ContactOptions;
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::store::{Action, ActionResult, DeliveryId, DeliveryState, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp, until};

/// Texts, and whether each carries the code. Values of the event do not count; derived values
/// cannot be searched for, so they do.
const TEXTS: [(&str, bool); 4] = [
    ("We miss you, $!EmailAddress$!key", false),
    ("Use <b>$!data.get('promocode')</b>", true),
    (
        "$!data.get('promocode').substring(5), and before it $!promocode.substring(0, 5)",
        true,
    ),
    ("#if($promocode)It is yours#end", true),
];

/// Steps for the workflows of this suite.
const CODE: &str = "
  - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 0 }, ports: { exhausted: end } }";
const KEEPS: &str = "
  - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 0, reuse: { contact: 30d } }, ports: { exhausted: end } }";
const TEXT: &str = "
  - { id: text, block: send-message, with: { channel: sms, message: text, to: '+380501234567' } }";
const MAIL: &str = "
  - { id: mail, block: send-message, with: { channel: email, message: mail }, ports: { unsubscribed: sorry } }";
const MAIL_TONIGHT: &str = "
  - { id: night, block: send-message, with: { channel: email, message: mail, allowed-hours: 20:00-23:00 } }";
const SORRY: &str = "
  - { id: sorry, block: send-message, with: { channel: sms, message: text, to: '+380501234567' } }";
/// Until 2026-06-03.
const SLEEP: &str = "
  - { id: sorry, block: mischief, with: { do: wait, until: 1780488000000 }, ports: { other: end } }";
const TEXT_OR_MAIL: &str = "
  - id: many
    block: send-message
    with: { channel: email, message: mail, otherwise: [{ channel: sms, message: text, to: '+380501234567' }] }";

fn app(text: &str, steps: &[&str]) -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_messages(&format!(
        "{{ message: text, channel: sms, text: {text:?} }}"
    ));
    let steps = steps.concat();
    promoflow.add_workflows(&format!(
        "workflow: w\nstart: {{ event: w }}\nsteps:{steps}\n"
    ));
    let contacts = "contact,email\nA,ann@example.com\n".as_bytes();
    let report = promoflow.import_contacts(contacts, ContactOptions::default(), &mut |_| ());
    assert_eq!(report.unwrap().rejected, 0);
    (app, promoflow)
}

fn unsubscribe(promoflow: &Promoflow) {
    let known = promoflow.unsubscribe("A", &[ChannelKind::Email]).unwrap();
    assert!(known.is_some());
}

fn sends(promoflow: &Promoflow, running: &EngineHandle) -> RunId {
    promoflow.run_event(running, "w", "ann@example.com")
}

/// Returns the available codes, depending on whether the message carried the run's code.
fn pool(carried: bool) -> &'static [&'static str] {
    match carried {
        true => &["C-0001"],
        false => &["C-0000", "C-0001"],
    }
}

/// Returns true if the delivery was cancelled without an attempt.
fn is_cancelled(promoflow: &Promoflow, id: i64) -> bool {
    let row = promoflow.delivery(DeliveryId(id)).unwrap().unwrap();
    row.state == DeliveryState::Cancelled && row.attempts == 0
}

#[test]
fn p4_a_code_is_released_although_a_later_message_without_it_leaves() {
    for (text, carried) in TEXTS {
        let (app, promoflow) = app(text, &[CODE, MAIL, SORRY]);
        unsubscribe(&promoflow);
        let running = promoflow.start().unwrap();
        let run = sends(&promoflow, &running);
        assert_eq!(promoflow.run_of(run).0.state, RunState::Completed);
        assert_eq!(promoflow.available_codes(), pool(carried), "{text}");
        assert_eq!(app.channel.sent().len(), 1);
        // It is not even claimed.
        assert_eq!(app.inspect().count("claim"), Ok(i64::from(carried)));
        promoflow.assert_audit();
    }
}

#[test]
fn p4_a_code_is_released_with_the_email_that_carries_it_although_another_message_left() {
    for (text, carried) in TEXTS {
        let (app, promoflow) = app(text, &[CODE, TEXT, MAIL_TONIGHT]);
        let running = promoflow.start().unwrap();
        sends(&promoflow, &running);
        assert_eq!(promoflow.available_codes(), ["C-0001"]);
        unsubscribe(&promoflow);
        app.clock.set("2026-06-01T20:30:00Z");
        until(|| is_cancelled(&promoflow, 2));
        assert_eq!(promoflow.available_codes(), pool(carried), "{text}");
        assert_eq!(app.channel.sent().len(), 1);
        promoflow.assert_audit();
    }
}

#[test]
fn p4_a_continuing_run_releases_the_code_of_an_unsent_message_at_its_end() {
    for (mail, unsent_at_once) in [(MAIL, true), (MAIL_TONIGHT, false)] {
        for (text, carried) in TEXTS {
            let (app, promoflow) = app(text, &[CODE, TEXT, mail, SLEEP]);
            if unsent_at_once {
                unsubscribe(&promoflow);
            }
            let running = promoflow.start().unwrap();
            let run = sends(&promoflow, &running);
            unsubscribe(&promoflow);
            app.clock.set("2026-06-01T20:30:00Z");
            until(|| unsent_at_once || is_cancelled(&promoflow, 2));
            // A later message may still carry it.
            assert_eq!(promoflow.available_codes(), ["C-0001"]);
            app.clock.set("2026-06-03T12:30:00Z");
            until(|| promoflow.run_of(run).0.state == RunState::Completed);
            assert_eq!(promoflow.available_codes(), pool(carried), "{mail} {text}");
            promoflow.assert_audit();
        }
    }
}

#[test]
fn p4_a_kept_code_is_released_with_the_last_message_that_carries_it() {
    for delivered_first in [false, true] {
        let (app, promoflow) = app("Hello", &[KEEPS, MAIL_TONIGHT]);
        let running = promoflow.start().unwrap();
        sends(&promoflow, &running);
        if delivered_first {
            app.clock.set("2026-06-01T20:30:00Z");
            until(|| app.channel.sent().len() == 1);
            app.clock.set("2026-06-02T12:00:00Z");
        }
        sends(&promoflow, &running);
        assert_eq!(promoflow.available_codes(), ["C-0001"]);
        unsubscribe(&promoflow);
        app.clock.set("2026-06-02T20:30:00Z");
        until(|| is_cancelled(&promoflow, 2));
        assert_eq!(promoflow.available_codes(), pool(delivered_first));
        promoflow.assert_audit();
    }
}

#[test]
fn p4_an_earlier_alternative_that_carried_a_code_still_counts() {
    let (app, promoflow) = app("Hello", &[CODE, TEXT_OR_MAIL, MAIL_TONIGHT]);
    app.channel
        .queue_outcome(DeliveryOutcome::PermanentFailure {
            error: "no such mailbox".into(),
        });
    let running = promoflow.start().unwrap();
    sends(&promoflow, &running);
    assert_eq!(app.channel.texts(), ["C-0000", "Hello"]);
    unsubscribe(&promoflow);
    app.clock.set("2026-06-01T20:30:00Z");
    until(|| is_cancelled(&promoflow, 2));
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    promoflow.assert_audit();
}

#[test]
fn p4_a_cancelled_run_releases_uncarried_codes_and_cancels_only_its_own_deliveries() {
    for (text, carried) in TEXTS {
        let (app, promoflow) = app(text, &[CODE, TEXT, MAIL_TONIGHT, SLEEP]);
        let running = promoflow.start().unwrap();
        let run = sends(&promoflow, &running);
        let count = u64::from(!carried);
        let done = ActionResult::Done {
            released: count,
            cancelled_deliveries: count,
        };
        assert_eq!(
            promoflow.apply_run_action(run, Action::Cancel).unwrap(),
            done
        );
        assert_eq!(promoflow.available_codes(), pool(carried), "{text}");
        assert_eq!(is_cancelled(&promoflow, 2), !carried);
        app.clock.set("2026-06-01T20:30:00Z");
        running.wait_all_idle().unwrap();
        let all = 1 + usize::from(carried);
        until(|| app.channel.sent().len() == all);
        promoflow.assert_audit();
    }
}

#[test]
fn p12_the_audit_reports_a_release_whose_code_may_have_left_by_any_alternative() {
    let (app, promoflow) = app("Hello", &[CODE, TEXT_OR_MAIL]);
    let running = promoflow.start().unwrap();
    let event = Event::new("w", "ben").with_param("EmailAddress", "ben@example.com");
    running
        .wait_idle(&running.send(event).unwrap().runs)
        .unwrap();
    running.stop();
    let database = app.inspect();
    let release = "INSERT INTO claim_release (claim, created_at) VALUES (1, 0);
         INSERT INTO available_code (code_group, expires_at, code_id, code)
         SELECT code_group, expires_at, code_id, code FROM claim;";
    database.execute(release, &[]).unwrap();
    let violations_after = |damage: &str| {
        database.execute(damage, &[]).unwrap();
        let p1 = promoflow.audit().unwrap().remove(0);
        p1.violations.join("; ")
    };
    let left = "claim 1 was released although delivery 1 of run 1 may have carried its code";
    assert_eq!(violations_after(""), left);
    assert_eq!(
        violations_after("UPDATE delivery SET content = '{\"codeless\":true}'"),
        left
    );
    assert_eq!(
        violations_after("UPDATE delivery_alternative SET content = '{\"codeless\":true}'"),
        ""
    );
    assert_eq!(
        violations_after("UPDATE delivery_alternative SET content = '{'"),
        left
    );
    let waits = violations_after("UPDATE attempt SET outcome = 'permanent'");
    assert!(waits.contains("was not cancelled"), "{waits}");
    assert_eq!(
        violations_after("UPDATE delivery SET state = 'cancelled'"),
        ""
    );
}
