//! The clients: threads that send events and upload codes through every crash.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::summary::ServeSummary;
use super::{Ledger, ServePlan};
use crate::crash::connection::Connection;

/// Pause before a request is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// One in `DUPLICATE_INTERVAL` events is sent on two connections at once.
const DUPLICATE_INTERVAL: u64 = 20;
const EVENTS: &str = "/api/v1/event";
const JSON: &str = "application/json";
/// Codes per upload, and the pause after an upload.
const CODES: u64 = 500;
const UPLOAD_PAUSE: Duration = Duration::from_millis(200);

/// All clients.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

struct Shared {
    ledger: Arc<Ledger>,
    address: String,
    key: String,
    pause: Duration,
    /// Set when no new event may be sent.
    over: AtomicBool,
    /// Number of events that may still be sent.
    left: AtomicU64,
    /// Number of refused connections.
    unconnected: AtomicU64,
    /// Number of requests without an answer.
    unanswered: AtomicU64,
    /// Number of events sent on two connections at once of which one was answered `accepted` and
    /// the other `duplicate`.
    raced: AtomicU64,
    /// Other pairs of answers.
    unexpected: Mutex<Vec<String>>,
    /// Answers other than success, by status.
    refused: Mutex<BTreeMap<u16, (u64, String)>>,
}

impl Clients {
    pub(super) fn start(
        plan: &ServePlan,
        ledger: &Arc<Ledger>,
        address: &str,
        key: &str,
        most: u64,
    ) -> Clients {
        let shared = Arc::new(Shared {
            ledger: Arc::clone(ledger),
            address: address.to_owned(),
            key: key.to_owned(),
            pause: plan.pause,
            over: AtomicBool::new(false),
            left: AtomicU64::new(most),
            unconnected: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            raced: AtomicU64::new(0),
            unexpected: Mutex::default(),
            refused: Mutex::default(),
        });
        let mut threads: Vec<_> = (0..plan.connections as u64)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.send_events(number))
            })
            .collect();
        let of_uploads = Arc::clone(&shared);
        threads.push(thread::spawn(move || of_uploads.upload_codes()));
        Clients { shared, threads }
    }

    /// Lets the clients finish their open requests and collects their counts.
    pub(super) fn end(self, summary: &mut ServeSummary) -> Result<()> {
        self.shared.over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().ok().context("a client thread panicked")??;
        }
        summary.unconnected = self.shared.unconnected.load(Ordering::SeqCst);
        summary.unanswered = self.shared.unanswered.load(Ordering::SeqCst);
        summary.raced = self.shared.raced.load(Ordering::SeqCst);
        summary
            .violations
            .append(&mut lock(&self.shared.unexpected));
        for (status, (times, body)) in &*lock(&self.shared.refused) {
            let violation = format!("{times} answers with {status}, such as {body}");
            summary.violations.push(violation);
        }
        Ok(())
    }
}

impl Shared {
    fn send_events(&self, client: u64) -> Result<()> {
        let mut first = Connection::new(&self.address, &self.key);
        let mut second = Connection::new(&self.address, &self.key);
        for number in 0.. {
            let over = self.over.load(Ordering::SeqCst);
            if over || !self.take_one() {
                break;
            }
            let id = format!("client{client}-{number}");
            let body = format!(
                r#"{{"id":"{id}","eventTypeKey":"birthday","keyValue":"{id}","params":[{{"name":"EmailAddress","value":"{id}@example.com"}}]}}"#
            );
            let answers = match number % DUPLICATE_INTERVAL == 0 {
                true => self.twice_at_once([&mut first, &mut second], &id, &body),
                false => [self.until_answered(&mut first, EVENTS, JSON, &body), None],
            };
            for answer in answers.into_iter().flatten() {
                self.ledger.event(&answer)?;
            }
            thread::sleep(self.pause);
        }
        Ok(())
    }

    /// Sends an event on two connections before either is answered, and repeats a request without
    /// an answer. The event is new: if both requests are answered, exactly one is the first.
    fn twice_at_once(
        &self,
        connections: [&mut Connection; 2],
        id: &str,
        body: &str,
    ) -> [Option<String>; 2] {
        let sent = connections.map(|one| {
            one.drop_if_closed();
            let sent = one.send(EVENTS, JSON, body);
            (one, sent)
        });
        let mut statuses = Vec::new();
        let answers = sent.map(|(one, sent)| {
            let answer = sent.and_then(|()| one.answer());
            if let Ok((200, answer)) = &answer {
                statuses.push(status(answer));
            }
            (one, answer)
        });
        statuses.sort_unstable();
        match statuses.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["accepted", "duplicate"] => {
                self.raced.fetch_add(1, Ordering::SeqCst);
            }
            [one, other] => lock(&self.unexpected).push(format!(
                "event {id} was sent on two connections at once and answered {one} and {other}"
            )),
            _ => {}
        }
        answers.map(|(one, answer)| match answer {
            Ok(answer) => self.success_body(answer),
            Err(error) => {
                self.record_lost_request(&error);
                self.until_answered(one, EVENTS, JSON, body)
            }
        })
    }

    fn take_one(&self) -> bool {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        left.is_ok()
    }

    fn upload_codes(&self) -> Result<()> {
        let mut connection = Connection::new(&self.address, &self.key);
        for upload in 0.. {
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            let codes: Vec<String> = (0..CODES)
                .map(|number| format!("U{upload}-{number}"))
                .collect();
            let body = format!("code\n{}\n", codes.join("\n"));
            let path = "/api/v1/promocodes?type=uploaded&discount=10";
            let answer = self.until_answered(&mut connection, path, "text/csv", &body);
            if let Some(answer) = answer {
                self.ledger
                    .upload(&format!("upload {upload}"), &codes, &answer)?;
            }
            thread::sleep(UPLOAD_PAUSE);
        }
        Ok(())
    }

    /// Repeats a request until it is answered; `None` if the answer is not success.
    fn until_answered(
        &self,
        connection: &mut Connection,
        path: &str,
        media: &str,
        body: &str,
    ) -> Option<String> {
        loop {
            match connection.post(path, media, body) {
                Ok(answer) => return self.success_body(answer),
                Err(error) => self.record_lost_request(&error),
            }
        }
    }

    fn success_body(&self, (status, answer): (u16, String)) -> Option<String> {
        if status == 200 {
            return Some(answer);
        }
        lock(&self.refused).entry(status).or_insert((0, answer)).0 += 1;
        None
    }

    /// Counts a lost request and pauses.
    fn record_lost_request(&self, error: &io::Error) {
        let count = match error.kind() {
            io::ErrorKind::ConnectionRefused => &self.unconnected,
            _ => &self.unanswered,
        };
        count.fetch_add(1, Ordering::SeqCst);
        thread::sleep(RETRY_PAUSE);
    }
}

/// Returns the status of an event from its answer.
fn status(answer: &str) -> String {
    let body: Option<Value> = serde_json::from_str(answer).ok();
    let status = body.as_ref().and_then(|body| body["status"].as_str());
    status.unwrap_or("no status").to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
