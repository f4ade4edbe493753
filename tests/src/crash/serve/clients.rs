//! The clients: threads that send events and upload codes, through every crash.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use super::connection::Connection;
use super::summary::ServeSummary;
use super::{Ledger, ServePlan};

/// A pause before something is sent again.
const AGAIN: Duration = Duration::from_millis(5);
/// One in so many events is sent by two clients at once.
const SHARED: u64 = 20;
/// Codes in an upload, and the pause after one.
const CODES: u64 = 500;
const AFTER_UPLOAD: Duration = Duration::from_millis(200);

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
    /// No new event is sent.
    over: AtomicBool,
    /// Events that may still be sent.
    left: AtomicU64,
    /// Requests that got no answer.
    unanswered: AtomicU64,
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
            unanswered: AtomicU64::new(0),
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

    /// Has them send what they have begun until it is answered.
    pub(super) fn end(self, summary: &mut ServeSummary) -> Result<()> {
        self.shared.over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().ok().context("a client panicked")??;
        }
        summary.unanswered = self.shared.unanswered.load(Ordering::SeqCst);
        let refused = self.shared.refused.lock();
        for (status, (times, told)) in &*refused.unwrap_or_else(PoisonError::into_inner) {
            let offence = format!("{times} answers with {status}, such as {told}");
            summary.offences.push(offence);
        }
        Ok(())
    }
}

impl Shared {
    fn send_events(&self, client: u64) -> Result<()> {
        let mut connection = Connection::new(&self.address, &self.key);
        for number in 0.. {
            let over = self.over.load(Ordering::SeqCst);
            if over || !self.take_one() {
                break;
            }
            // Of each pair of clients both send this one.
            let id = match number % SHARED == 0 {
                true => format!("pair{}-{number}", client / 2),
                false => format!("client{client}-{number}"),
            };
            let body = format!(
                r#"{{"id":"{id}","eventTypeKey":"birthday","keyValue":"{id}","params":[{{"name":"EmailAddress","value":"{id}@example.com"}}]}}"#
            );
            let answer =
                self.until_answered(&mut connection, "/api/v1/event", "application/json", &body);
            if let Some(answer) = answer {
                self.ledger.event(&answer)?;
            }
            thread::sleep(self.pause);
        }
        Ok(())
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
            thread::sleep(AFTER_UPLOAD);
        }
        Ok(())
    }

    /// Sends a body again and again until it is answered; `None` where it is refused.
    fn until_answered(
        &self,
        connection: &mut Connection,
        path: &str,
        media: &str,
        body: &str,
    ) -> Option<String> {
        loop {
            match connection.post(path, media, body) {
                Ok((200, answer)) => return Some(answer),
                Ok((status, told)) => {
                    let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                    refused.entry(status).or_insert((0, told)).0 += 1;
                    return None;
                }
                Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(AGAIN);
                }
            }
        }
    }
}
