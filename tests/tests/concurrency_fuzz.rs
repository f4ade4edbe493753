//! Random concurrency: events of many workflows, uploads, admin actions and channel failures at the
//! same time from several threads, with restarts and kills in between. When no run is active,
//! acknowledgements and the promises P1 to P5 are checked against the tables.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use promoflow::channel::DeliveryOutcome;
use promoflow::clock::{Clock, Timestamp};
use promoflow::event::Event;
use promoflow::store::{Action, ActionResult, DeliveryId, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{Helper, PromoflowExt, TestApp, assert_deliveries_match};
use proptest::prelude::*;

const HELPER: &str = env!("CARGO_BIN_EXE_helper");
const DAY: i64 = 86_400_000;
/// Concurrent threads.
const THREADS: usize = 4;

const MESSAGES: &str = "
message: text
channel: sms
text: \"$!data.get('promocode')\"
";

/// Workflows of two code groups, one per kind of use of a code.
const WORKFLOWS: &str = "
workflow: waits
start: { event: waits }
stop: { event: enough }
steps:
  - { id: code, block: get-promocode, with: { type: birthday, discount: 10, days: 3, when-empty: wait } }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: needs
start: { event: needs }
steps:
  - { id: code, block: get-promocode, with: { type: loyal, discount: 20, days: 0, when-empty: fail } }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: keeps
start: { event: keeps }
steps:
  - id: code
    block: get-promocode
    with: { type: loyal, discount: 20, days: 0, when-empty: wait, reuse: { contact: 300d } }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: once
start: { event: once, repeat: once }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
  - id: again
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0, reuse: run }
    ports: { exhausted: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
---
workflow: many
start: { event: many, skip-if-running: true }
steps:
  - id: code
    block: get-promocode
    with: { type: loyal, discount: 20, days: 0 }
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
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
";

const KINDS: [&str; 7] = [
    "birthday", "waits", "needs", "keeps", "once", "many", "enough",
];

/// An action of one thread.
#[derive(Clone, Debug)]
enum Operation {
    /// An event of a kind about one of a few contacts; half of them have an id that others use as
    /// well.
    Send(usize, usize, Option<u8>),
    /// New codes of a group with this validity in days; sometimes the same file again.
    Upload(bool, u8, i64),
    Cancel(prop::sample::Index),
    Retry(prop::sample::Index),
    /// The same for a delivery.
    CancelDelivery(prop::sample::Index),
    RetryDelivery(prop::sample::Index),
    Retire(prop::sample::Index, bool),
    /// Queues an answer of the channel.
    FailDelivery(bool),
}

/// An action between two rounds.
#[derive(Clone, Debug)]
enum Pause {
    Nothing,
    Days(i64),
    Restart,
    /// Another process takes over and is killed.
    Crash(usize),
}

type Round = (Vec<Operation>, Pause);

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let index = any::<prop::sample::Index>;
    let action = prop_oneof![
        10 => (0..KINDS.len(), 0..5_usize, prop::option::of(0..6_u8))
            .prop_map(|(kind, key, id)| Operation::Send(kind, key, id)),
        3 => (any::<bool>(), 0..40_u8, prop_oneof![Just(2_i64), Just(9_000)])
            .prop_map(|(is_birthday, file, days)| Operation::Upload(is_birthday, file, days)),
        3 => index().prop_map(Operation::Cancel),
        2 => index().prop_map(Operation::Retry),
        1 => index().prop_map(Operation::CancelDelivery),
        1 => index().prop_map(Operation::RetryDelivery),
        2 => (index(), any::<bool>()).prop_map(|(at, on)| Operation::Retire(at, on)),
        2 => any::<bool>().prop_map(Operation::FailDelivery),
    ];
    let pause = prop_oneof![
        3 => Just(Pause::Nothing),
        2 => (1..5_i64).prop_map(Pause::Days),
        1 => Just(Pause::Restart),
        1 => (0..4_usize).prop_map(Pause::Crash),
    ];
    prop::collection::vec((prop::collection::vec(action, 6..28), pause), 2..5)
}

/// The acknowledgements.
#[derive(Default)]
struct Answers {
    /// Runs by event id, or by a unique name if the event has no id.
    runs: BTreeMap<String, Vec<RunId>>,
    /// Runs that were cancelled successfully.
    cancelled: Vec<RunId>,
    /// Number of inserted codes.
    inserted: i64,
    /// Number of retired codes minus reinstated ones.
    retired: i64,
}

struct World {
    app: TestApp,
    promoflow: Promoflow,
    running: Option<EngineHandle>,
    answers: Mutex<Answers>,
    sent: AtomicU64,
    crashes: usize,
}

impl World {
    fn new() -> World {
        let (app, promoflow) = TestApp::with_codes(0);
        promoflow.add_messages(MESSAGES);
        promoflow.add_workflows(WORKFLOWS);
        // Later than the clock of the killed processes, so that no code has expired for them.
        app.clock.set("2040-01-01T12:00:00Z");
        let running = Some(promoflow.start().unwrap());
        World {
            app,
            promoflow,
            running,
            answers: Mutex::default(),
            sent: AtomicU64::new(0),
            crashes: 0,
        }
    }

    fn act(&self, operation: &Operation) {
        match operation {
            Operation::Send(kind, key, id) => self.send(KINDS[*kind], *key, *id),
            Operation::Upload(is_birthday, file, days) => self.upload(*is_birthday, *file, *days),
            Operation::Cancel(at) => self.order(at, Action::Cancel),
            Operation::Retry(at) => self.order(at, Action::Retry),
            Operation::CancelDelivery(at) => self.apply_delivery_action(at, Action::Cancel),
            Operation::RetryDelivery(at) => self.apply_delivery_action(at, Action::Retry),
            Operation::Retire(at, on) => self.retire(at, *on),
            Operation::FailDelivery(for_good) => self.app.channel.queue_outcome(match for_good {
                true => DeliveryOutcome::PermanentFailure {
                    error: "no such mailbox".into(),
                },
                false => DeliveryOutcome::RetryableFailure {
                    error: "busy".into(),
                    after: None,
                    ambiguous: false,
                },
            }),
        }
    }

    fn send(&self, kind: &str, key: usize, id: Option<u8>) {
        let address = format!("k{key}@example.com");
        let id = match id {
            Some(id) => format!("{kind}-{key}-{id}"),
            None => format!("own-{}", self.sent.fetch_add(1, Ordering::SeqCst)),
        };
        // The same id needs the same body, or it would be rejected.
        let event = Event::new(kind, &address)
            .with_id(&id)
            .with_param("EmailAddress", address)
            .with_param("Phone", "+380501234567")
            .with_param("until", (2_208_988_800_000 + 40 * DAY).to_string());
        let receipt = self.running.as_ref().unwrap().send(event).unwrap();
        let mut answers = self.answers.lock().unwrap();
        let known = answers.runs.entry(id).or_insert(receipt.runs.clone());
        assert_eq!(*known, receipt.runs, "a duplicate reported other runs");
    }

    fn upload(&self, is_birthday: bool, file: u8, days: i64) {
        let group = if is_birthday {
            "10,birthday"
        } else {
            "20,loyal"
        };
        let expires = Timestamp(2_208_988_800_000 + days * DAY).to_utc().unwrap();
        let expires = expires.format("%Y-%m-%d");
        let mut csv = "code,expirationDate,discount,type\n".to_owned();
        for number in 0..3 {
            csv.push_str(
                &format!("{group}-{file}-{days}-{number},{expires},{group}\n")
                    .replacen(',', "/", 1),
            );
        }
        let report = self.promoflow.import_codes(&csv);
        assert_eq!((report.inserted + report.unchanged, report.updated), (3, 0));
        self.answers.lock().unwrap().inserted += report.inserted as i64;
    }

    fn order(&self, at: &prop::sample::Index, order: Action) {
        let runs: Vec<RunId> = {
            let answers = self.answers.lock().unwrap();
            answers.runs.values().flatten().copied().collect()
        };
        if runs.is_empty() {
            return;
        }
        let run = *at.get(&runs);
        let done = self.promoflow.apply_run_action(run, order).unwrap();
        if order == Action::Cancel && matches!(done, ActionResult::Done { .. }) {
            self.answers.lock().unwrap().cancelled.push(run);
        }
    }

    fn apply_delivery_action(&self, at: &prop::sample::Index, order: Action) {
        let delivery = DeliveryId(1 + at.index(40) as i64);
        self.promoflow
            .apply_delivery_action(delivery, order)
            .unwrap();
    }

    fn retire(&self, at: &prop::sample::Index, on: bool) {
        let codes = self.promoflow.all_codes();
        if codes.is_empty() {
            return;
        }
        let code = [at.get(&codes).code.clone()];
        let done = match on {
            true => self.promoflow.retire(&code).unwrap(),
            false => self.promoflow.reinstate(&code).unwrap(),
        };
        let changed = i64::try_from(done.retired).unwrap();
        self.answers.lock().unwrap().retired += if on { changed } else { -changed };
    }

    fn round(&mut self, (actions, pause): &Round) {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let world = &*self;
                let own = actions.iter().skip(thread).step_by(THREADS);
                scope.spawn(move || own.for_each(|action| world.act(action)));
            }
        });
        match pause {
            Pause::Nothing => {}
            Pause::Days(days) => self.app.clock.advance(days * DAY),
            Pause::Restart => {
                self.running.take().unwrap().stop();
                self.promoflow = self.app.open();
                self.running = Some(self.promoflow.start().unwrap());
            }
            Pause::Crash(acks) => self.crash(*acks),
        }
        self.running.as_ref().unwrap().wait_all_idle().unwrap();
    }

    fn crash(&mut self, acks: usize) {
        self.running.take().unwrap().stop();
        self.crashes += 1;
        let prefix = format!("crash-{}", self.crashes);
        let acknowledged = Helper::killed(HELPER, &self.app, &prefix, acks);
        let mut answers = self.answers.lock().unwrap();
        for ack in acknowledged {
            answers.runs.insert(ack.event, ack.runs);
        }
        drop(answers);
        self.running = Some(self.promoflow.start().unwrap());
    }

    /// Asserts that the acknowledgements are true and that the promises hold.
    fn check(&self) {
        let database = self.app.inspect();
        let answers = self.answers.lock().unwrap();
        for (id, runs) in &answers.runs {
            let stored = "SELECT run.id FROM run JOIN event ON event.id = run.event
                          WHERE event_id = $1 ORDER BY run.id";
            let stored = database.rows(stored, &[id.as_str().into()]).unwrap();
            let stored: Vec<RunId> = stored.into_iter().map(RunId).collect();
            assert_eq!(
                stored, *runs,
                "event {id}: acknowledged and stored runs differ"
            );
        }
        for run in &answers.cancelled {
            let state = self.promoflow.run_of(*run).0.state;
            assert_eq!(
                state,
                RunState::Cancelled,
                "{run} was acknowledged as cancelled"
            );
        }
        let codes = database.count("code").unwrap();
        assert_eq!(codes, answers.inserted);
        assert_eq!(
            database.count("code WHERE retired = 1"),
            Ok(answers.retired)
        );
        let now = self.app.clock.now().0.to_string();
        for (rule, violations) in RULES {
            let violations = violations.replace("NOW", &now);
            let violations: Vec<String> = database.rows(&violations, &[]).unwrap();
            assert!(violations.is_empty(), "{rule}: {violations:?}");
        }
        assert_deliveries_match(&self.app);
        if codes > 0 {
            self.promoflow.assert_audit();
        }
    }
}

/// Invariants: a rule and a query that finds its violations. `NOW` stands for the time.
const RULES: [(&str, &str); 8] = [
    (
        "P1: a code is claimed once, available or retired",
        "SELECT code.code FROM code WHERE 1 <> retired
             + (SELECT count(*) FROM available_code WHERE available_code.code = code.code)
             + (SELECT count(*) FROM claim WHERE claim.code = code.code
                AND claim.id NOT IN (SELECT claim FROM claim_release))",
    ),
    (
        "P2: a step of a run has one claim",
        "SELECT run || '/' || step FROM claim GROUP BY run, step, visit, ordinal
         HAVING count(*) > 1",
    ),
    (
        "P4: a released code cannot have left",
        "SELECT claim.code FROM claim JOIN claim_release ON claim_release.claim = claim.id
         JOIN delivery ON replace(content, claim.code, '') <> content AND (delivery.run = claim.run
             OR delivery.run IN (SELECT run FROM code_reuse WHERE code_reuse.claim = claim.id))
         WHERE delivery.state <> 'cancelled' OR EXISTS (
             SELECT 1 FROM attempt
             WHERE delivery = delivery.id AND outcome IS DISTINCT FROM 'permanent')",
    ),
    (
        "P4: a run that has sent its code and is not cancelled keeps it",
        "SELECT CAST(delivery.run AS TEXT) FROM delivery JOIN run ON run.id = delivery.run
         WHERE run.state = 'completed' AND delivery.state IN ('pending', 'delivered')
             AND NOT EXISTS (
                 SELECT 1 FROM claim WHERE id NOT IN (SELECT claim FROM claim_release)
                     AND (claim.run = run.id
                          OR id IN (SELECT claim FROM code_reuse WHERE code_reuse.run = run.id)))",
    ),
    (
        "P5: a workflow with `repeat: once` starts once per key",
        "SELECT event.key FROM run JOIN event ON event.id = run.event
         WHERE event.type = 'once' GROUP BY event.key HAVING count(*) > 1",
    ),
    (
        "P5: a workflow with `skip-if-running` has one active run per key",
        "SELECT event.key FROM run JOIN event ON event.id = run.event
         WHERE event.type = 'many' AND run.state IN ('running', 'waiting')
         GROUP BY event.key HAVING count(*) > 1",
    ),
    (
        "a contact keeps one code per group",
        "SELECT claim.contact FROM claim JOIN run ON run.id = claim.run
         JOIN event ON event.id = run.event
         WHERE event.type = 'keeps' AND claim.id NOT IN (SELECT claim FROM claim_release)
             AND claim.expires_at > NOW
         GROUP BY claim.contact HAVING count(*) > 1",
    ),
    (
        "no run waits while a matching code is available",
        "SELECT CAST(run.id AS TEXT) FROM run JOIN event ON event.id = run.event
         JOIN code_group ON code_group.type = CASE event.type
             WHEN 'waits' THEN 'birthday' ELSE 'loyal' END
         WHERE run.state = 'waiting' AND event.type IN ('waits', 'keeps')
             AND EXISTS (SELECT 1 FROM available_code AS available
                         WHERE available.code_group = code_group.id
                             AND available.expires_at > NOW + 5 * 86400000)",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn p1_to_p5_hold_under_random_concurrency(rounds in rounds()) {
        let mut world = World::new();
        for round in &rounds {
            world.round(round);
            world.check();
        }
    }
}
