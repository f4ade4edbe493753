//! The clients: threads that send events to any host, and repeat them until they are acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{array, io};

use anyhow::{Context, Result};
use serde_json::Value;

use super::HostsPlan;
use super::load::{self, Kind};
use crate::crash::connection::Connection;
use crate::crash::random::Random;

/// Pause before a request is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long to wait for an answer before the request is repeated on another host.
const TIMEOUT: Duration = Duration::from_secs(4);
/// One in `RACE_INTERVAL` events is sent to two hosts at once.
const RACE_INTERVAL: u64 = 16;
/// The longest time in milliseconds for which runs wait.
const MAX_WAIT: u64 = 5_000;
const EVENTS: &str = "/api/v1/event";
const JSON: &str = "application/json";

/// The ledger: what the hosts have acknowledged. Kept outside the database.
#[derive(Default)]
pub(super) struct Ledger {
    /// The run of each event by the event's number; 0 if it is not acknowledged.
    runs: Vec<AtomicU64>,
    acknowledged: AtomicU64,
    pub(super) duplicates: AtomicU64,
    /// Events that were sent to two hosts at once and acknowledged by both.
    pub(super) raced: AtomicU64,
    /// Requests that were repeated: answered with 5xx or 429, or not answered.
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
    violations: Mutex<Vec<String>>,
}

/// All clients.
pub(super) struct Clients {
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    ledger: Arc<Ledger>,
    hosts: Vec<String>,
    key: String,
    pause: Duration,
    next: AtomicU64,
    events: u64,
}

impl Ledger {
    pub(super) fn new(events: u64) -> Ledger {
        Ledger {
            runs: (0..events).map(|_| AtomicU64::new(0)).collect(),
            ..Ledger::default()
        }
    }

    /// Returns the run of an event, if it is acknowledged.
    pub(super) fn run(&self, number: u64) -> Option<u64> {
        let run = self.runs.get(usize::try_from(number).ok()?)?;
        Some(run.load(Ordering::SeqCst)).filter(|run| *run != 0)
    }

    /// Returns the number of acknowledged events.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(super) fn violations(&self) -> Vec<String> {
        let violations = self.violations.lock();
        violations.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn violation(&self, violation: String) {
        let violations = self.violations.lock();
        let mut violations = violations.unwrap_or_else(PoisonError::into_inner);
        violations.push(violation);
    }

    /// Sends an event to a host that must accept it.
    pub(super) fn send_once(&self, host: &mut Connection, number: u64, event: &str) -> Result<()> {
        let (status, answer) = host.post(EVENTS, JSON, event)?;
        anyhow::ensure!(status == 200, "a host answered {status}: {answer}");
        self.record(number, &answer);
        Ok(())
    }

    /// Records an answer with the status 200. Returns whether the event was accepted as new.
    fn record(&self, number: u64, answer: &str) -> bool {
        let body: Value = serde_json::from_str(answer).unwrap_or_default();
        let is_new = body["status"] == "accepted";
        let runs = body["runs"].as_array().map_or(&[][..], Vec::as_slice);
        let run = match runs {
            [run] => run.as_str().and_then(|run| run.parse().ok()),
            _ => None,
        };
        let known = usize::try_from(number).ok();
        let known = known.and_then(|number| self.runs.get(number));
        let (Some(run), Some(known)) = (run, known) else {
            self.violation(format!("event {number} was answered {answer}"));
            return is_new;
        };
        match known.swap(run, Ordering::SeqCst) {
            0 => {
                self.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            before if before == run => {}
            before => self.violation(format!("event {number} has run {before}, and then {run}")),
        }
        if !is_new {
            self.duplicates.fetch_add(1, Ordering::SeqCst);
        }
        is_new
    }
}

impl Clients {
    /// Starts clients that send the events that are not acknowledged yet.
    pub(super) fn start(
        plan: &HostsPlan,
        ledger: &Arc<Ledger>,
        hosts: Vec<String>,
        key: &str,
    ) -> Clients {
        let shared = Arc::new(Shared {
            ledger: Arc::clone(ledger),
            hosts,
            key: key.to_owned(),
            pause: plan.pause,
            next: AtomicU64::new(0),
            events: plan.events,
        });
        let mut threads: Vec<_> = (0..plan.connections as u64)
            .map(|number| {
                let random = Random::new(plan.seed.wrapping_add(number));
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.send_events(random))
            })
            .collect();
        let of_uploads = Arc::clone(&shared);
        let random = Random::new(plan.seed);
        threads.push(thread::spawn(move || of_uploads.upload(random)));
        Clients { threads }
    }

    /// Waits until every event that was sent is acknowledged and every upload is accepted.
    pub(super) fn end(self) -> Result<()> {
        for thread in self.threads {
            thread.join().ok().context("a client panicked")?;
        }
        Ok(())
    }
}

impl Shared {
    fn send_events(&self, mut random: Random) {
        let mut hosts = self.connect();
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if number >= self.events {
                break;
            }
            if self.ledger.run(number).is_some() {
                continue;
            }
            let body = load::event(number, load::now() + u128::from(random.below(MAX_WAIT)));
            if number.is_multiple_of(RACE_INTERVAL) {
                self.race(number, &body, &mut hosts, &mut random);
            }
            // After a race the event is sent once more, and is then a duplicate.
            let is_known = self.ledger.run(number).is_some();
            let answer = self.until_answered(EVENTS, JSON, &body, &mut hosts, &mut random);
            if self.ledger.record(number, &answer) && is_known {
                let violation = format!("event {number} was accepted as new twice");
                self.ledger.violation(violation);
            }
            thread::sleep(self.pause);
        }
    }

    /// Sends an event to two hosts before either has answered.
    fn race(&self, number: u64, body: &str, hosts: &mut [Connection], random: &mut Random) {
        let count = hosts.len();
        let one = pick(random, count);
        let other = (one + 1 + pick(random, count - 1)) % count;
        let sent = [one, other].map(|host| {
            hosts[host].drop_if_closed();
            hosts[host].send(EVENTS, JSON, body)
        });
        let answers: [_; 2] = array::from_fn(|index| match &sent[index] {
            Ok(()) => hosts[[one, other][index]].answer(),
            Err(error) => Err(error.kind().into()),
        });
        let answers = answers.map(|answer| self.accept(answer));
        let accepted = answers
            .iter()
            .flatten()
            .filter(|answer| self.ledger.record(number, answer))
            .count();
        if accepted > 1 {
            let violation = format!("event {number} was accepted as new by two hosts");
            self.ledger.violation(violation);
        }
        if answers.iter().all(Option::is_some) {
            self.ledger.raced.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Uploads the codes for which runs wait, each part after the events that need it.
    fn upload(&self, mut random: Random) {
        let mut hosts = self.connect();
        let part = (self.events / 20).max(100);
        let mut first = 0;
        while first < self.events {
            let end = (first + part).min(self.events);
            if self.next.load(Ordering::SeqCst) < end {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            let kind = Kind::Patient;
            let csv = load::codes(kind, first..end);
            let path = format!("/api/v1/promocodes?type={}&discount=10", kind.name());
            self.until_answered(&path, "text/csv", &csv, &mut hosts, &mut random);
            first = end;
        }
    }

    fn connect(&self) -> Vec<Connection> {
        let hosts = self.hosts.iter();
        hosts
            .map(|host| Connection::new(host, &self.key).with_timeout(TIMEOUT))
            .collect()
    }

    /// Repeats a request on any host until it succeeds.
    fn until_answered(
        &self,
        path: &str,
        media: &str,
        body: &str,
        hosts: &mut [Connection],
        random: &mut Random,
    ) -> String {
        loop {
            let host = pick(random, hosts.len());
            hosts[host].drop_if_closed();
            if let Some(answer) = self.accept(hosts[host].post(path, media, body)) {
                return answer;
            }
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// Returns the body of a successful answer; counts others.
    fn accept(&self, answer: io::Result<(u16, String)>) -> Option<String> {
        match answer {
            Ok((200, answer)) => return Some(answer),
            Ok((429 | 500.., _)) => {
                self.ledger.refused.fetch_add(1, Ordering::SeqCst);
            }
            Ok((status, answer)) => {
                let violation = format!("a host answered {status}: {answer}");
                self.ledger.violation(violation);
                // A repetition would change nothing.
                return Some(String::new());
            }
            Err(_) => {
                self.ledger.unanswered.fetch_add(1, Ordering::SeqCst);
            }
        }
        None
    }
}

fn pick(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(count as u64)).unwrap_or_default()
}
