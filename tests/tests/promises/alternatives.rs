//! Alternatives: the next one is tried only after a permanent failure of the previous one.

use promoflow::channel::DeliveryOutcome;
use promoflow::message::ChannelKind;
use promoflow::store::{Action, ActionResult, DeliveryHistory, DeliveryId, DeliveryState};
use promoflow::{Promoflow, event::Event};
use promoflow_tests::{PromoflowExt, TestApp, until};

const TEXT: &str = "{ message: text, channel: sms, text: \"$!data.get('promocode')\" }";

/// Sends a code by email with SMS as the alternative; then the run waits until 2026-06-02.
const ONE_FROM_MANY: &str = "
workflow: many
start: { event: many }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: tell
    block: send-message
    with:
      channel: email
      message: mail
      otherwise:
        - { channel: sms, message: text, to: \"$!data.get('Phone')\" }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
";

fn app() -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_messages(TEXT);
    promoflow.add_workflows(ONE_FROM_MANY);
    (app, promoflow)
}

fn event(email: &str, phone: &str) -> Event {
    let event = Event::new("many", "ann").with_param("EmailAddress", email);
    event.with_param("Phone", phone)
}

const ANN: (&str, &str) = ("ann@example.com", "+380501234567");

fn permanent_failure() -> DeliveryOutcome {
    DeliveryOutcome::PermanentFailure {
        error: "no such mailbox".into(),
    }
}

fn retryable_failure() -> DeliveryOutcome {
    DeliveryOutcome::RetryableFailure {
        error: "busy".into(),
        after: None,
        ambiguous: false,
    }
}

/// Returns an ambiguous failure.
fn ambiguous() -> DeliveryOutcome {
    DeliveryOutcome::RetryableFailure {
        error: "no answer".into(),
        after: None,
        ambiguous: true,
    }
}

fn history(promoflow: &Promoflow) -> DeliveryHistory {
    promoflow.delivery_history(DeliveryId(1)).unwrap().unwrap()
}

/// Returns the alternative and outcome of each attempt.
fn attempts(history: &DeliveryHistory) -> Vec<(u32, &str)> {
    let attempts = history.attempts.iter();
    attempts
        .map(|one| (one.alternative, one.outcome.as_deref().unwrap_or("none")))
        .collect()
}

fn state(promoflow: &Promoflow) -> DeliveryState {
    let row = promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
    row.state
}

#[test]
fn a_permanent_failure_tries_the_next_alternative_and_each_attempt_records_its_own() {
    let (app, promoflow) = app();
    app.channel.queue_outcome(permanent_failure());
    let running = promoflow.start().unwrap();
    let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
    // The run is idle only after the second alternative was tried.
    running.wait_idle(&receipt.runs).unwrap();
    drop(running);
    let sent = app.channel.sent().into_iter();
    let sent: Vec<_> = sent.map(|one| (one.id, one.address)).collect();
    // A provider that serves both alternatives must be able to distinguish their messages.
    let [first, second] = ["delivery-1", "delivery-1-2"].map(str::to_owned);
    assert_eq!(
        sent,
        [(first, ANN.0.to_owned()), (second, ANN.1.to_owned())]
    );
    assert_eq!(app.channel.texts(), ["C-0000", "C-0000"]);
    let row = promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
    assert_eq!(row.state, DeliveryState::Delivered);
    assert_eq!(
        (row.channel, row.address.as_str()),
        (ChannelKind::Sms, ANN.1)
    );
    let history = history(&promoflow);
    assert_eq!(attempts(&history), [(0, "permanent"), (1, "delivered")]);
    assert_eq!(history.current, 1);
    let alternatives: Vec<_> = history
        .alternatives
        .iter()
        .map(|alternative| alternative.channel)
        .collect();
    assert_eq!(alternatives, [ChannelKind::Email, ChannelKind::Sms]);
    promoflow.assert_audit();
}

#[test]
fn a_retryable_failure_retries_the_same_alternative() {
    let (app, promoflow) = app();
    app.channel.queue_outcome(retryable_failure());
    let running = promoflow.start().unwrap();
    let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    assert_eq!(state(&promoflow), DeliveryState::Pending);
    app.clock.advance(60_000);
    until(|| state(&promoflow) == DeliveryState::Delivered);
    drop(running);
    assert_eq!(
        attempts(&history(&promoflow)),
        [(0, "retryable"), (0, "delivered")]
    );
}

#[test]
fn the_next_alternative_is_tried_only_if_no_earlier_attempt_is_ambiguous() {
    for (first, expected) in [
        (
            retryable_failure(),
            [(0, "retryable"), (0, "permanent"), (1, "delivered")].as_slice(),
        ),
        (ambiguous(), &[(0, "ambiguous"), (0, "permanent")]),
    ] {
        let (app, promoflow) = app();
        app.channel.queue_outcome(first);
        app.channel.queue_outcome(permanent_failure());
        let running = promoflow.start().unwrap();
        let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        app.clock.advance(60_000);
        until(|| state(&promoflow) != DeliveryState::Pending);
        drop(running);
        assert_eq!(attempts(&history(&promoflow)), expected);
        assert_eq!(app.channel.sent().len(), expected.len());
        if expected.len() == 2 {
            let row = promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
            assert_eq!(row.state, DeliveryState::Failed);
            let error = row.error.unwrap();
            assert!(
                error.starts_with("no such mailbox; an earlier attempt may"),
                "{error}"
            );
        }
        promoflow.assert_audit();
    }
}

#[test]
fn an_attempt_without_an_end_is_ambiguous() {
    let (app, promoflow) = app();
    app.channel.queue_outcome(retryable_failure());
    let running = promoflow.start().unwrap();
    let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    drop(running);
    // The same state as after a kill between the answer and its commit.
    let unended = "UPDATE attempt
                   SET ended_at = NULL, outcome = NULL, error = NULL, ambiguous = 1";
    assert_eq!(app.inspect().execute(unended, &[]), Ok(1));
    app.channel.queue_outcome(permanent_failure());
    app.clock.advance(60_000);
    let running = promoflow.start().unwrap();
    until(|| state(&promoflow) == DeliveryState::Failed);
    drop(running);
    assert_eq!(
        attempts(&history(&promoflow)),
        [(0, "none"), (0, "permanent")]
    );
}

#[test]
fn an_alternative_without_a_valid_address_is_skipped_and_logged() {
    let (app, promoflow) = app();
    let running = promoflow.start().unwrap();
    let receipt = running.send(event("nobody", ANN.1)).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    let (_, steps) = promoflow.run_of(receipt.runs[0]);
    let note = steps.iter().flat_map(|step| &step.log).next().unwrap();
    assert!(note.contains("channel email skipped"), "{note}");
    assert_eq!(app.channel.sent()[0].address, ANN.1);
    // A single remaining alternative needs no rows.
    assert_eq!(app.inspect().count("delivery_alternative"), Ok(0));
    // Without any address, the run fails with an error for each channel, and its code is released.
    let receipt = running.send(event("nobody", "none")).unwrap();
    running.wait_idle(&receipt.runs).unwrap();
    let error = promoflow.run_of(receipt.runs[0]).0.error.unwrap();
    assert!(
        error.contains("email:") && error.contains("sms:"),
        "{error}"
    );
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
}

#[test]
fn p4_a_code_is_released_only_if_every_alternative_failed_permanently() {
    for (answers, released) in [
        (vec![permanent_failure(), permanent_failure()], 1),
        (vec![permanent_failure(), retryable_failure()], 0),
        (vec![permanent_failure(), DeliveryOutcome::Delivered], 0),
        (
            vec![
                permanent_failure(),
                retryable_failure(),
                permanent_failure(),
            ],
            0,
        ),
    ] {
        let (app, promoflow) = app();
        answers
            .iter()
            .for_each(|answer| app.channel.queue_outcome(answer.clone()));
        let running = promoflow.start().unwrap();
        let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        if answers.len() > 2 {
            app.clock.advance(60_000);
            until(|| app.channel.sent().len() == 3 && state(&promoflow) == DeliveryState::Failed);
        }
        let ordered = promoflow
            .apply_run_action(receipt.runs[0], Action::Cancel)
            .unwrap();
        let cancelled_deliveries = released;
        let expected = ActionResult::Done {
            released,
            cancelled_deliveries,
        };
        assert_eq!(ordered, expected, "{answers:?}");
        drop(running);
        promoflow.assert_audit();
    }
}

#[test]
fn a_retried_dead_letter_starts_with_its_first_alternative_unless_another_is_ambiguous() {
    for (answers, first_again) in [
        (vec![permanent_failure(), permanent_failure()], 0),
        (
            vec![
                permanent_failure(),
                retryable_failure(),
                permanent_failure(),
            ],
            0,
        ),
        (
            vec![permanent_failure(), ambiguous(), permanent_failure()],
            1,
        ),
    ] {
        let (app, promoflow) = app();
        answers
            .iter()
            .for_each(|answer| app.channel.queue_outcome(answer.clone()));
        let running = promoflow.start().unwrap();
        let receipt = running.send(event(ANN.0, ANN.1)).unwrap();
        running.wait_idle(&receipt.runs).unwrap();
        until(|| {
            app.clock.advance(60_000);
            state(&promoflow) == DeliveryState::Failed
        });
        promoflow
            .apply_delivery_action(DeliveryId(1), Action::Retry)
            .unwrap();
        running.wait_all_idle().unwrap();
        until(|| state(&promoflow) == DeliveryState::Delivered);
        drop(running);
        let history = history(&promoflow);
        assert_eq!(attempts(&history).last(), Some(&(first_again, "delivered")));
    }
}
