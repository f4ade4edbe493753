//! Channel queues: a slow channel does not delay others, and no channel gets more than its limits
//! allow.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use promoflow::channel::{Channel, DeliveryOutcome, Limits, OutboundMessage};
use promoflow::event::Event;
use promoflow::message::ChannelKind;
use promoflow::store::{Action, DeliveryId, DeliveryState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_test_support::Change;
use promoflow_tests::{PromoflowExt, TestApp, until};

const TEXT: &str = "{ message: text, channel: sms, text: hello }";

/// Sends an email and an SMS per event.
const BOTH: &str = "
workflow: both
start: { event: both }
steps:
  - id: mail
    block: send-message
    with: { channel: email, message: mail, to: ann@example.com }
  - id: text
    block: send-message
    with: { channel: sms, message: text, to: '+380501234567' }
";

/// An email channel that delivers while it is open, with the given limits.
#[derive(Clone)]
struct Gate {
    limits: Limits,
    open: Arc<(Mutex<bool>, Condvar)>,
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    passed: Arc<Mutex<Vec<Instant>>>,
}

impl Gate {
    fn new(limits: Limits) -> Gate {
        Gate {
            limits,
            open: Arc::new((Mutex::new(true), Condvar::new())),
            inside: Arc::default(),
            most: Arc::default(),
            passed: Arc::default(),
        }
    }

    fn set(&self, open: bool) {
        *self.open.0.lock().unwrap() = open;
        self.open.1.notify_all();
    }

    fn passed(&self) -> usize {
        self.passed.lock().unwrap().len()
    }
}

impl Channel for Gate {
    fn supports(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Email
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn deliver(&self, _: &OutboundMessage<'_>) -> DeliveryOutcome {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        let open = self.open.0.lock().unwrap();
        drop(self.open.1.wait_while(open, |open| !*open).unwrap());
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.passed.lock().unwrap().push(Instant::now());
        DeliveryOutcome::Delivered
    }
}

fn app(gate: &Gate) -> (TestApp, Promoflow) {
    let app = TestApp::new();
    let promoflow = open(&app, gate);
    promoflow.add_messages(promoflow_tests::MAIL);
    promoflow.add_messages(TEXT);
    promoflow.add_workflows(BOTH);
    (app, promoflow)
}

fn open(app: &TestApp, gate: &Gate) -> Promoflow {
    let builder = app.builder_before(gate.clone());
    builder.drain(Duration::from_millis(300)).open().unwrap()
}

fn send(running: &EngineHandle, events: usize) {
    for _ in 0..events {
        running.send(Event::new("both", "ann")).unwrap();
    }
}

fn count(app: &TestApp, what: &str) -> i64 {
    app.inspect().count(what).unwrap()
}

#[test]
fn p3_a_stuck_channel_delays_neither_other_channels_nor_the_shutdown() {
    let gate = Gate::new(Limits::ONE);
    let (app, promoflow) = app(&gate);
    let running = promoflow.start().unwrap();
    // It was fast before, so the queue has fetched several deliveries when it gets stuck.
    send(&running, 40);
    until(|| gate.passed() == 40);
    gate.set(false);
    send(&running, 40);
    until(|| app.channel.sent().len() == 80);
    until(|| gate.inside.load(Ordering::SeqCst) == 1);
    let before = Instant::now();
    running.shut_down();
    assert!(
        before.elapsed() < Duration::from_secs(5),
        "{:?}",
        before.elapsed()
    );
    drop(running);
    // The attempt in progress has no end; no other attempt has started.
    assert_eq!(count(&app, "attempt WHERE ended_at IS NULL"), 1);
    assert_eq!(
        count(&app, "delivery WHERE state = 'pending' AND attempts = 0"),
        39
    );
    assert_eq!(count(&app, "delivery WHERE state = 'pending'"), 40);

    gate.set(true);
    let promoflow = open(&app, &gate);
    let running = promoflow.start().unwrap();
    running.wait_all_idle().unwrap();
    drop(running);
    assert_eq!(count(&app, "delivery WHERE state = 'delivered'"), 160);
    assert_eq!(count(&app, "attempt WHERE ended_at IS NULL"), 1);
    promoflow.assert_audit();
}

#[test]
fn a_channel_gets_as_many_concurrent_deliveries_as_its_limit_allows() {
    let gate = Gate::new(Limits {
        concurrency: 3,
        rate: None,
    });
    gate.set(false);
    let (_shop, promoflow) = app(&gate);
    let running = promoflow.start().unwrap();
    send(&running, 30);
    until(|| gate.inside.load(Ordering::SeqCst) == 3);
    gate.set(true);
    running.wait_all_idle().unwrap();
    assert_eq!(gate.passed(), 30);
    assert_eq!(gate.most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_channel_s_rate_limit_is_respected() {
    let gate = Gate::new(Limits {
        concurrency: 4,
        rate: Some("50/s".parse().unwrap()),
    });
    let (_shop, promoflow) = app(&gate);
    let running = promoflow.start().unwrap();
    let began = Instant::now();
    send(&running, 30);
    running.wait_all_idle().unwrap();
    let passed = gate.passed.lock().unwrap();
    // A burst of 5, then one every 20 ms. Any delivery may have been delayed, so it counts from the
    // beginning.
    let took = passed[29] - began;
    assert!(took > Duration::from_millis(450), "{took:?}");
}

#[test]
fn a_channel_s_rate_limit_is_respected_after_it_was_stuck() {
    let gate = Gate::new(Limits {
        concurrency: 4,
        rate: Some("200/s".parse().unwrap()),
    });
    let (app, promoflow) = app(&gate);
    let running = promoflow.start().unwrap();
    // The queue is fast at first and has fetched several deliveries.
    send(&running, 30);
    until(|| gate.passed() == 30);
    gate.set(false);
    send(&running, 200);
    until(|| gate.inside.load(Ordering::SeqCst) == 4);
    thread::sleep(Duration::from_millis(500));
    let begun = count(
        &app,
        "attempt WHERE ended_at IS NULL AND delivery IN (
        SELECT id FROM delivery WHERE channel = 'email')",
    );
    gate.set(true);
    until(|| gate.passed() == 230);
    let mut passed = gate.passed.lock().unwrap().split_off(30);
    passed.sort_unstable();
    let in_a_tenth = |first: &Instant| {
        let end = *first + Duration::from_millis(100);
        let those = passed.iter().filter(|one| (*first..end).contains(*one));
        those.count()
    };
    let most = passed.iter().map(in_a_tenth).max().unwrap();
    // The four that were stuck, a burst of twenty, and one every 5 ms.
    assert!(most <= 56, "{most} in a tenth of a second");
    // Started attempts can no longer be cancelled.
    assert!((4..=40).contains(&begun), "{begun} have begun");
}

/// Answers with a retryable failure until `takes` is set, and blocks within a delivery while
/// closed.
#[derive(Clone)]
struct FlakyChannel {
    gate: Gate,
    takes: Arc<AtomicBool>,
    /// The delivered messages, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl FlakyChannel {
    fn new() -> FlakyChannel {
        FlakyChannel {
            gate: Gate::new(Limits::ONE),
            takes: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Closes the gate and waits until a delivery is blocked in it.
    fn close(&self, running: &EngineHandle) {
        let before = self.asked().len();
        self.gate.set(false);
        send(running, 1);
        until(|| self.asked().len() > before);
    }
}

impl Channel for FlakyChannel {
    fn supports(&self, kind: ChannelKind) -> bool {
        self.gate.supports(kind)
    }

    fn deliver(&self, message: &OutboundMessage<'_>) -> DeliveryOutcome {
        self.asked.lock().unwrap().push(message.id.to_owned());
        let takes = self.takes.load(Ordering::SeqCst);
        self.gate.deliver(message);
        match takes {
            true => DeliveryOutcome::Delivered,
            false => DeliveryOutcome::RetryableFailure {
                error: "busy".into(),
                after: None,
                ambiguous: false,
            },
        }
    }
}

fn flaky_channel() -> (FlakyChannel, TestApp, Promoflow) {
    let (channel, app) = (FlakyChannel::new(), TestApp::new());
    let promoflow = app.builder_before(channel.clone()).open().unwrap();
    promoflow.add_messages(promoflow_tests::MAIL);
    promoflow.add_messages(TEXT);
    promoflow.add_workflows(BOTH);
    (channel, app, promoflow)
}

#[test]
fn retries_and_new_deliveries_take_turns() {
    let (channel, app, promoflow) = flaky_channel();
    let running = promoflow.start().unwrap();
    let pending = || {
        count(
            &app,
            "delivery WHERE channel = 'email' AND state = 'pending'",
        )
    };
    channel.takes.store(false, Ordering::SeqCst);
    send(&running, 1);
    running.wait_all_idle().unwrap();
    channel.takes.store(true, Ordering::SeqCst);
    let again = channel.asked()[0].clone();

    // It becomes due when three hundred newer ones wait, of which up to 128 may have been fetched.
    channel.close(&running);
    send(&running, 300);
    app.clock.advance(2_000);
    let before = channel.asked().len();
    channel.gate.set(true);
    until(|| pending() == 0);
    let place = |message: &str, before: usize| {
        let asked = channel.asked();
        asked[before..]
            .iter()
            .position(|one| one == message)
            .unwrap()
    };
    let after = place(&again, before);
    assert!(after < 150, "it was tried again after {after} others");

    // A new delivery arrives when three hundred are due for a retry.
    channel.takes.store(false, Ordering::SeqCst);
    send(&running, 300);
    running.wait_all_idle().unwrap();
    channel.takes.store(true, Ordering::SeqCst);
    channel.close(&running);
    app.clock.advance(2_000);
    send(&running, 1);
    let new = "SELECT max(id) FROM delivery WHERE channel = 'email'";
    let new: i64 = app.inspect().row(new, &[]).unwrap();
    let before = channel.asked().len();
    channel.gate.set(true);
    until(|| pending() == 0);
    let after = place(&format!("delivery-{new}"), before);
    assert!(after < 150, "it was tried after {after} others");
}

#[test]
fn an_unreadable_delivery_fails_and_delays_no_other() {
    let (channel, app, promoflow) = flaky_channel();
    channel.takes.store(false, Ordering::SeqCst);
    let running = promoflow.start().unwrap();
    send(&running, 4);
    running.wait_all_idle().unwrap();
    drop(running);
    let ids = "SELECT id FROM delivery WHERE channel = 'email' ORDER BY id";
    let ids: Vec<i64> = app.inspect().rows(ids, &[]).unwrap();
    for (id, damage) in [
        (ids[0], "content = '{'"),
        (ids[2], "allowed_hours = 'always'"),
    ] {
        let sql = format!("UPDATE delivery SET {damage} WHERE id = {id}");
        assert_eq!(app.inspect().execute(&sql, &[]), Ok(1));
    }
    channel.takes.store(true, Ordering::SeqCst);
    app.clock.advance(2_000);
    let running = promoflow.start().unwrap();
    until(|| count(&app, "delivery WHERE state = 'pending'") == 0);
    drop(running);
    let row = |id| promoflow.delivery(DeliveryId(id)).unwrap().unwrap();
    assert_eq!(row(ids[1]).state, DeliveryState::Delivered);
    assert_eq!(row(ids[3]).state, DeliveryState::Delivered);
    for (id, what) in [(ids[0], "the content"), (ids[2], "the hours")] {
        assert_eq!(row(id).state, DeliveryState::Failed);
        let error = row(id).error.unwrap();
        let expected = format!("cannot read {what} of delivery {id} from the database");
        assert!(error.starts_with(&expected), "{error}");
    }
    let failed = promoflow.deliveries_after(Some(DeliveryState::Failed), None, 10);
    assert_eq!(failed.unwrap().len(), 2, "failed deliveries are not listed");
}

#[test]
fn attempts_that_cannot_be_committed_delay_no_other() {
    let (channel, app, promoflow) = flaky_channel();
    let running = promoflow.start().unwrap();
    // The second email cannot start an attempt, the fourth cannot end one.
    let database = app.inspect();
    let reject = |change, condition| database.reject(change, "attempt", condition).unwrap();
    reject(Change::Insert, "NEW.delivery = 3");
    reject(
        Change::Update,
        "NEW.delivery = 7 AND NEW.ended_at IS NOT NULL",
    );
    send(&running, 20);
    let mails = "delivery WHERE channel = 'email' AND";
    until(|| count(&app, &format!("{mails} state = 'delivered'")) == 18);
    let once = |id: &str| channel.asked().iter().filter(|one| *one == id).count();
    assert_eq!((once("delivery-3"), once("delivery-7")), (0, 1));
    for change in [Change::Insert, Change::Update] {
        database.accept(change, "attempt").unwrap();
    }
    until(|| count(&app, &format!("{mails} state = 'delivered'")) == 20);
    assert_eq!((once("delivery-3"), once("delivery-7")), (1, 1));
    assert_eq!(count(&app, "attempt WHERE ended_at IS NULL"), 0);
    promoflow.assert_audit();
}

#[test]
fn retry_after_throttles_all_deliveries_to_a_provider() {
    let (app, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    app.channel
        .queue_outcome(DeliveryOutcome::RetryableFailure {
            error: "too many requests".into(),
            after: Some(Duration::from_secs(600)),
            ambiguous: false,
        });
    // Each run becomes idle: a throttled delivery is not waited for.
    promoflow.run_event(&running, "birthday", "ann@example.com");
    promoflow.run_event(&running, "birthday", "bob@example.com");
    assert_eq!(app.channel.sent().len(), 1);
    drop(running);
    // A restart respects it too, for new deliveries as well.
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "birthday", "eve@example.com");
    app.clock.advance(599_000);
    running.wait_all_idle().unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(app.channel.sent().len(), 1);
    app.clock.advance(2_000);
    until(|| app.channel.sent().len() == 4);
    running.wait_all_idle().unwrap();
    assert_eq!(count(&app, "delivery WHERE state = 'delivered'"), 3);
}

#[test]
fn a_panicking_channel_fails_its_attempt_but_not_its_queue() {
    let (app, promoflow) = TestApp::with_codes(2);
    let running = promoflow.start().unwrap();
    let times = AtomicUsize::new(0);
    app.channel.on_delivery(move |_| {
        assert!(
            times.fetch_add(1, Ordering::SeqCst) > 0,
            "a panicking channel"
        );
    });
    promoflow.run_event(&running, "birthday", "ann@example.com");
    promoflow.run_event(&running, "birthday", "bob@example.com");
    let row = |id| promoflow.delivery(DeliveryId(id)).unwrap().unwrap();
    assert_eq!(row(1).state, DeliveryState::Pending);
    assert_eq!(row(1).error.as_deref(), Some("the channel panicked"));
    assert_eq!(row(2).state, DeliveryState::Delivered);
    app.clock.advance(60_000);
    until(|| row(1).state == DeliveryState::Delivered);
}

#[test]
fn a_retried_dead_letter_starts_again_with_the_first_back_off() {
    let (app, promoflow) = TestApp::with_codes(1);
    let later = || DeliveryOutcome::RetryableFailure {
        error: "busy".into(),
        after: None,
        ambiguous: false,
    };
    let running = promoflow.start().unwrap();
    (0..4).for_each(|_| app.channel.queue_outcome(later()));
    app.channel
        .queue_outcome(DeliveryOutcome::PermanentFailure {
            error: "no such mailbox".into(),
        });
    promoflow.run_event(&running, "birthday", "ann@example.com");
    let row = || promoflow.delivery(DeliveryId(1)).unwrap().unwrap();
    until(|| {
        app.clock.advance(60_000);
        row().state == DeliveryState::Failed
    });
    assert_eq!(row().attempts, 5);
    app.channel.queue_outcome(later());
    promoflow
        .apply_delivery_action(DeliveryId(1), Action::Retry)
        .unwrap();
    running.wait_all_idle().unwrap();
    until(|| row().attempts == 6 && row().error.is_some());
    let history = promoflow.delivery_history(DeliveryId(1)).unwrap().unwrap();
    let wait = history.due.unwrap().0 - promoflow.now().0;
    assert!(
        (1..=2_000).contains(&wait),
        "expected the first back-off again, not the sixth: {wait}"
    );
    let outcomes: Vec<_> = history
        .attempts
        .iter()
        .map(|one| one.outcome.as_deref())
        .collect();
    let retryable = Some("retryable");
    let mut expected = [retryable; 6];
    expected[4] = Some("permanent");
    assert_eq!(outcomes, expected);
}
