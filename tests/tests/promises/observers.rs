//! Observers learn what was committed, after the commit; none of them stops anything.

use std::collections::HashSet;
use std::future::Future;
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use promoflow::alert::{Kind, Rule, Rules};
use promoflow::event::Event;
use promoflow::run::SubmitError;
use promoflow::store::SqliteStore;
use promoflow::store::{DeliveryState, RunState, Store};
use promoflow::{Observation, Promoflow};
use promoflow_tests::{PromoflowExt, TestApp};

const PATIENCE: Duration = Duration::from_secs(30);

/// Returns true if another connection sees what an observation says.
fn is_committed(reader: &dyn Store, observation: &Observation) -> (&'static str, bool) {
    match observation {
        Observation::RunFinished { run, state, .. } => {
            let (row, _) = reader.run(*run).unwrap().unwrap();
            ("run", row.state == *state)
        }
        Observation::CodeClaimed { run, code, .. } => {
            let used_by = reader.code(code).unwrap().unwrap().0.used_by;
            ("code", used_by.unwrap().run == run.to_string())
        }
        Observation::DeliveryEnded {
            delivery,
            run,
            state,
            ..
        } => {
            let row = reader.delivery(*delivery).unwrap().unwrap();
            ("delivery", row.state == *state && row.run == *run)
        }
        Observation::AlertRaised { alert, .. } => {
            let alerts = reader.alerts().unwrap().into_iter();
            let stored = alerts.filter(|one| one.subject == alert.subject && one.raised);
            ("alert", stored.count() == 1)
        }
        _ => ("unknown", false),
    }
}

#[test]
fn observations_follow_their_commits() {
    let (app, promoflow) = TestApp::with_codes_in_file(2);
    drop(promoflow);
    let rule = Rule {
        kind: Kind::Available,
        code_type: None,
        discount: None,
        warning: 5,
        alarm: 1,
        within_days: 7,
        webhooks: Vec::new(),
    };
    let reader = SqliteStore::open_existing(app.database().file()).unwrap();
    let (sender, observed) = channel();
    let promoflow = app
        .builder()
        .alerts(Rules::new(vec![rule]))
        .observer(move |observation: &Observation| {
            sender.send(is_committed(&reader, observation)).unwrap();
        })
        .open()
        .unwrap();
    let running = promoflow.start().unwrap();
    assert!(promoflow.birthday(&running, "ann@example.com").is_some());
    running.evaluate_alerts();
    let mut missing = HashSet::from(["run", "code", "delivery", "alert"]);
    while !missing.is_empty() {
        let (kind, is_committed) = observed.recv_timeout(PATIENCE).unwrap();
        assert!(is_committed, "{kind}");
        missing.remove(kind);
    }
}

#[test]
fn slow_and_panicking_observers_stop_nothing() {
    let (app, promoflow) = TestApp::with_codes(20);
    drop(promoflow);
    let (release, released) = sync_channel::<()>(0);
    let (sender, observed) = channel();
    let promoflow = app
        .builder()
        .observer(move |_: &Observation| {
            let _ended = released.recv();
        })
        .observer(|_: &Observation| panic!("a panicking observer"))
        .observer(move |observation: &Observation| {
            if let Observation::DeliveryEnded { state, .. } = observation {
                sender.send(*state).unwrap();
            }
        })
        .open()
        .unwrap();
    let running = promoflow.start().unwrap();
    for number in 0..20 {
        let contact = format!("a{number}@example.com");
        assert!(promoflow.birthday(&running, &contact).is_some());
        let state = observed.recv_timeout(PATIENCE).unwrap();
        assert_eq!(state, DeliveryState::Delivered);
    }
    assert_eq!(app.channel.sent().len(), 20);
    drop(release);
    running.stop();
}

/// Waits for a future on the thread that calls it, without a runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    #[derive(Default)]
    struct Flag(Mutex<bool>, Condvar);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            *self.0.lock().unwrap() = true;
            self.1.notify_one();
        }
    }
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        let woken = flag.0.lock().unwrap();
        *flag.1.wait_while(woken, |woken| !*woken).unwrap() = false;
    }
}

#[test]
fn events_are_sent_without_a_runtime() {
    let (_app, promoflow) = TestApp::with_codes(3);
    let running = promoflow.start().unwrap();
    let sender = running.sender();
    let event = |name: &str| Event::new("birthday", name).with_param("Email", name);
    // The first is queued at once, before anything waits for it.
    let first = sender.submit(event("ann@example.com"));
    let second = block_on(sender.send(event("ben@example.com"))).unwrap();
    let first = block_on(first).unwrap();
    for receipt in [first, second] {
        running.wait_idle(&receipt.runs).unwrap();
        let (run, _) = promoflow.run_of(receipt.runs[0]);
        assert_eq!(run.state, RunState::Completed);
    }
    running.stop();
    let late = block_on(sender.send(event("cem@example.com")));
    assert!(matches!(late, Err(SubmitError::Unavailable(_))), "{late:?}");
}

#[test]
fn a_store_of_the_program_is_used() {
    let (app, promoflow) = TestApp::with_codes_in_file(1);
    drop(promoflow);
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open_existing(app.database().file()).unwrap());
    let promoflow = Promoflow::builder("unused")
        .store(Arc::clone(&store))
        .clock(Arc::new(app.clock.clone()))
        .channel(app.channel.clone())
        .open()
        .unwrap();
    let running = promoflow.start().unwrap();
    assert!(running.is_executor());
    assert!(promoflow.birthday(&running, "ann@example.com").is_some());
    assert_eq!(store.run_statistics().unwrap().completed, 1);
}
