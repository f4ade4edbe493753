//! Random interleavings of uploads, claims, waits, retries, expiries, releases and crashes,
//! compared with a simple in-memory model of the promises.
//!
//! The model does not know segments, leases or tables, only the holder of each code, the waiting
//! runs, and the time. After every step the database must agree with it (P1, P2, P4, P6, P8) and
//! the audit must hold.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

use std::collections::BTreeMap;

use promoflow::clock::{Clock, Timestamp};
use promoflow::event::Event;
use promoflow::pool::Calendar;
use promoflow::store::{Action, ActionResult, RunId, RunState};
use promoflow::{EngineHandle, Promoflow};
use promoflow_tests::{Helper, PromoflowExt, TestApp, assert_deliveries_match};
use proptest::prelude::*;

const HELPER: &str = env!("CARGO_BIN_EXE_helper");
/// Milliseconds per day.
const DAY: i64 = 86_400_000;
/// Longer than the time that passes in one case.
const HOLD: i64 = 400 * DAY;

const WORKFLOWS: &str = "
workflow: waits
start: { event: waits }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 3, when-empty: wait }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
---
workflow: holds
start: { event: holds }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
---
workflow: fails
start: { event: fails }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: bad }
  - id: bad
    block: mischief
    with: { do: rejected }
    ports: { other: end }
";

/// A step of a case.
#[derive(Clone, Debug)]
enum Step {
    /// Uploads new codes with this validity in days, and all earlier codes again.
    Upload { count: usize, days: i64 },
    /// Sends an event of the main job.
    Birthday,
    /// Starts a run that waits if the pool is empty.
    Waits,
    /// Starts a run that keeps its code and sends nothing.
    Holds,
    /// Starts a run that fails after its claim.
    Fails,
    /// Cancels a run.
    Cancel(prop::sample::Index),
    /// Retries a run.
    Retry(prop::sample::Index),
    /// Retires or reinstates a code.
    Retire(prop::sample::Index, bool),
    /// Advances the time.
    Days(i64),
    /// Stops the process and starts it again.
    Restart,
    /// Another process takes over and is killed after this number of acknowledgements.
    Crash { acks: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1..4_usize, prop_oneof![Just(1), Just(4), Just(30), Just(9_000)])
            .prop_map(|(count, days)| Step::Upload { count, days }),
        3 => Just(Step::Birthday),
        4 => Just(Step::Waits),
        2 => Just(Step::Holds),
        1 => Just(Step::Fails),
        3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => any::<prop::sample::Index>().prop_map(Step::Retry),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, on)| Step::Retire(at, on)),
        2 => (1..6_i64).prop_map(Step::Days),
        1 => Just(Step::Restart),
        1 => (0..4_usize).prop_map(|acks| Step::Crash { acks }),
    ];
    prop::collection::vec(step, 4..24)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Free,
    Retired,
    By(RunId),
}

#[derive(Clone, Debug)]
struct Code {
    text: String,
    expires: i64,
    holder: Holder,
}

/// The expected state.
#[derive(Default)]
struct Model {
    /// In upload order.
    codes: Vec<Code>,
    runs: BTreeMap<RunId, RunState>,
    /// Runs that wait for a code, in order.
    queue: Vec<RunId>,
    messages: Vec<String>,
}

impl Model {
    /// Returns the code that is claimed next: the earliest sufficient expiry, then upload order.
    fn next(&self, needed: Timestamp) -> Option<usize> {
        (0..self.codes.len())
            .filter(|at| {
                self.codes[*at].holder == Holder::Free && self.codes[*at].expires >= needed.0
            })
            .min_by_key(|at| (self.codes[*at].expires, *at))
    }

    fn take(&mut self, run: RunId, needed: Timestamp) -> Option<String> {
        let at = self.next(needed)?;
        self.codes[at].holder = Holder::By(run);
        Some(self.codes[at].text.clone())
    }

    /// Serves waiting runs first.
    fn serve(&mut self, needed: Timestamp) {
        while let Some(&run) = self.queue.first() {
            let Some(code) = self.take(run, needed) else {
                return;
            };
            self.queue.remove(0);
            self.runs.insert(run, RunState::Completed);
            self.messages.push(code);
        }
    }
}

struct World {
    app: TestApp,
    promoflow: Promoflow,
    running: Option<EngineHandle>,
    model: Model,
    crashes: usize,
}

impl World {
    fn new() -> World {
        let (app, promoflow) = TestApp::with_codes(0);
        promoflow.add_workflows(WORKFLOWS);
        // Later than the clock of the killed processes, so that no code has expired for them.
        app.clock.set("2040-01-01T12:00:00Z");
        let running = Some(promoflow.start().unwrap());
        World {
            app,
            promoflow,
            running,
            model: Model::default(),
            crashes: 0,
        }
    }

    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    fn needed(&self, days: u32) -> Timestamp {
        Calendar::new(chrono_tz::UTC).expiry_needed(self.now(), days)
    }

    fn send(&self, kind: &str) -> RunId {
        let running = self.running.as_ref().unwrap();
        let event = Event::new(kind, "ann@example.com")
            .with_param("EmailAddress", "ann@example.com")
            .with_param("until", (self.now().0 + HOLD).to_string());
        let receipt = running.send(event).unwrap();
        *receipt.runs.first().unwrap()
    }

    fn upload(&mut self, count: usize, days: i64) {
        let day = |at: i64| Timestamp(at).to_utc().unwrap().format("%Y-%m-%d");
        let last = self.now().0 + days * DAY;
        let mut csv = "code,expirationDate,discount,type\n".to_owned();
        for code in &self.model.codes {
            // The end of a day is the start of the next day.
            csv.push_str(&format!(
                "{},{},10,birthday\n",
                code.text,
                day(code.expires - 1)
            ));
        }
        for _ in 0..count {
            let text = format!("M-{:04}", self.model.codes.len());
            csv.push_str(&format!("{text},{},10,birthday\n", day(last)));
            let expires = (last / DAY + 1) * DAY;
            let holder = Holder::Free;
            self.model.codes.push(Code {
                text,
                expires,
                holder,
            });
        }
        let report = self.promoflow.import_codes(&csv);
        assert_eq!((report.inserted, report.updated), (count as u64, 0));
        self.model.serve(self.needed(3));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Upload { count, days } => self.upload(*count, *days),
            Step::Birthday => {
                let run = self.send("birthday");
                let code = self.model.take(run, self.needed(0));
                self.model.messages.extend(code);
                self.model.runs.insert(run, RunState::Completed);
            }
            Step::Waits => {
                let run = self.send("waits");
                let state = match self.model.take(run, self.needed(3)) {
                    Some(code) => {
                        self.model.messages.push(code);
                        RunState::Completed
                    }
                    None => {
                        self.model.queue.push(run);
                        RunState::Waiting
                    }
                };
                self.model.runs.insert(run, state);
            }
            Step::Holds => {
                let run = self.send("holds");
                let state = match self.model.take(run, self.needed(0)) {
                    Some(_) => RunState::Waiting,
                    None => RunState::Completed,
                };
                self.model.runs.insert(run, state);
            }
            Step::Fails => {
                let run = self.send("fails");
                self.model.runs.insert(run, RunState::Failed);
            }
            Step::Cancel(at) => self.cancel(at),
            Step::Retry(at) => self.retry(at),
            Step::Retire(at, on) => self.retire(at, *on),
            Step::Days(days) => self.app.clock.advance(days * DAY),
            Step::Restart => {
                self.running.take().unwrap().stop();
                self.promoflow = self.app.open();
                self.running = Some(self.promoflow.start().unwrap());
            }
            Step::Crash { acks } => self.crash(*acks),
        }
    }

    fn pick(&self, at: &prop::sample::Index) -> Option<(RunId, RunState)> {
        let runs: Vec<_> = self.model.runs.iter().collect();
        (!runs.is_empty()).then(|| {
            let (run, state) = at.get(&runs);
            (**run, **state)
        })
    }

    fn cancel(&mut self, at: &prop::sample::Index) {
        let Some((run, state)) = self.pick(at) else {
            return;
        };
        let done = self
            .promoflow
            .apply_run_action(run, Action::Cancel)
            .unwrap();
        if matches!(state, RunState::Completed | RunState::Cancelled) {
            assert!(matches!(done, ActionResult::Rejected(_)), "{done:?}");
            return;
        }
        self.model.runs.insert(run, RunState::Cancelled);
        self.model.queue.retain(|waiting| *waiting != run);
        for code in &mut self.model.codes {
            if code.holder == Holder::By(run) {
                code.holder = Holder::Free;
            }
        }
        self.model.serve(self.needed(3));
    }

    fn retry(&mut self, at: &prop::sample::Index) {
        let Some((run, state)) = self.pick(at) else {
            return;
        };
        let done = self.promoflow.apply_run_action(run, Action::Retry).unwrap();
        // The same failure repeats and claims nothing.
        let refused = matches!(done, ActionResult::Rejected(_));
        assert_eq!(refused, state != RunState::Failed, "{done:?}");
    }

    fn retire(&mut self, at: &prop::sample::Index, on: bool) {
        if self.model.codes.is_empty() {
            return;
        }
        let at = at.index(self.model.codes.len());
        let text = vec![self.model.codes[at].text.clone()];
        let done = match on {
            true => self.promoflow.retire(&text).unwrap(),
            false => self.promoflow.reinstate(&text).unwrap(),
        };
        let (from, to) = match on {
            true => (Holder::Free, Holder::Retired),
            false => (Holder::Retired, Holder::Free),
        };
        let changes = self.model.codes[at].holder == from;
        assert_eq!(done.retired, u64::from(changes), "{done:?}");
        if changes {
            self.model.codes[at].holder = to;
        }
        self.model.serve(self.needed(3));
    }

    /// Acknowledged events of a killed process are stored; each of its other events is stored
    /// completely or not at all.
    fn crash(&mut self, acks: usize) {
        self.running.take().unwrap().stop();
        let before = self.model.runs.keys().next_back().map_or(0, |run| run.0);
        self.crashes += 1;
        let prefix = format!("crash-{}", self.crashes);
        let acknowledged = Helper::killed(HELPER, &self.app, &prefix, acks);
        self.running = Some(self.promoflow.start().unwrap());
        self.settle();
        let mut new: Vec<RunId> = (self.promoflow.runs(None, usize::MAX).unwrap().iter())
            .map(|row| row.id)
            .filter(|run| run.0 > before)
            .collect();
        new.sort();
        assert!(new.len() >= acknowledged.len());
        for (ack, run) in acknowledged.iter().zip(&new) {
            assert_eq!(ack.runs, [*run]);
        }
        for run in new {
            // By the killed process's clock, or by the model's clock if the run continues here.
            let holder = (self.promoflow.all_codes().into_iter()).find(|code| {
                code.used_by
                    .as_ref()
                    .is_some_and(|by| by.run == run.to_string())
            });
            let here = self.model.next(self.needed(0));
            let there = self.model.next(Timestamp(0));
            let index = [there, here]
                .into_iter()
                .find(|at| {
                    at.map(|at| &self.model.codes[at].text) == holder.as_ref().map(|c| &c.code)
                })
                .unwrap_or_else(|| panic!("{run} took {holder:?}"));
            if let Some(at) = index {
                self.model.codes[at].holder = Holder::By(run);
                // Whichever process delivered it: it left once, or expired before it could.
                self.model.messages.push(self.model.codes[at].text.clone());
            }
            self.model.runs.insert(run, RunState::Completed);
        }
    }

    fn settle(&self) {
        self.running.as_ref().unwrap().wait_all_idle().unwrap();
    }

    /// Asserts that the database agrees with the model.
    fn compare(&self) {
        let codes = self.promoflow.all_codes();
        assert_eq!(codes.len(), self.model.codes.len());
        for code in codes {
            let wanted = self.model.codes.iter().find(|one| one.text == code.code);
            let wanted = wanted.unwrap();
            let holder = match (&code.used_by, code.in_use) {
                (Some(by), _) => Holder::By(by.run.parse().unwrap()),
                (None, true) => Holder::Retired,
                (None, false) => Holder::Free,
            };
            assert_eq!(holder, wanted.holder, "{code:?}");
            assert_eq!(code.expires.0, wanted.expires, "{code:?}");
        }
        for (run, state) in &self.model.runs {
            let (row, _) = self.promoflow.run_of(*run);
            assert_eq!(row.state, *state, "{row:?}");
        }
        assert_deliveries_match(&self.app);
        // No code is in two messages, and no message is unknown to the model.
        let mut sent = self.app.channel.texts();
        sent.retain(|text| !text.is_empty());
        sent.sort();
        let mut wanted = self.model.messages.clone();
        wanted.sort();
        let mut once = sent.clone();
        once.dedup();
        assert_eq!(sent, once, "a code left twice");
        if self.crashes == 0 {
            assert_eq!(sent, wanted);
        }
        for text in &sent {
            assert!(
                wanted.contains(text),
                "{text} left but the model did not send it"
            );
        }
        self.promoflow.assert_audit_if_any();
    }
}

/// Audits, except that a database in which nothing has happened has nothing to check.
trait AuditExt {
    fn assert_audit_if_any(&self);
}

impl AuditExt for Promoflow {
    fn assert_audit_if_any(&self) {
        if !self.all_codes().is_empty() {
            self.assert_audit();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 120,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn p1_p2_p4_p6_p8_hold_in_any_order_of_steps(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            world.settle();
            world.compare();
        }
    }
}
