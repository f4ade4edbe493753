//! Notices: the events of alerts, handed to webhooks.
//!
//! Each webhook has a thread of its own, so that one that is stuck holds up nothing else. The start
//! of an attempt is committed before its first byte, its end after; a crash between the two leaves
//! a notice that is tried again, under the same identity.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Around;
use crate::backoff::Backoff;
use crate::channel::{Handover, Http};
use crate::clock::Timestamp;
use crate::failpoint::{self, Failpoint};
use crate::store::{Notice, NoticeEnd, Result, Store};

/// How often it is looked whether a notice is due.
const LOOK: Duration = Duration::from_millis(250);
/// Notices that are fetched at once.
const FETCH: usize = 16;
/// How a notice's attempts are counted, beside those of letters.
const CHANNEL: &str = "webhook";

/// A server that is told of alerts.
#[derive(Clone)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// How it is told.
    pub http: Arc<Http>,
}

/// Tells one webhook.
pub(super) struct Notifier {
    pub(super) webhook: Webhook,
    pub(super) around: Arc<Around>,
    pub(super) store: Arc<dyn Store>,
    /// Ends when the dispatcher stops.
    pub(super) told: Receiver<()>,
}

impl Notifier {
    /// Tells what is due until the dispatcher stops, and then what nobody has tried to tell yet: a
    /// command that sends events ends right after the alert.
    pub(super) fn run(self) {
        let mut paused = None;
        loop {
            let last = self.around.stopping();
            let until = last.then(|| Instant::now() + self.around.drain);
            if let Err(error) = self.look(until, &mut paused) {
                tracing::error!("the notices of alerts cannot be handed over: {error}");
            }
            if last {
                return;
            }
            // Nothing is ever sent there.
            let _stopped = self.told.recv_timeout(LOOK);
        }
    }

    fn look(&self, until: Option<Instant>, paused: &mut Option<Timestamp>) -> Result<()> {
        let now = self.around.clock.now();
        if paused.is_some_and(|until| now < until) {
            return Ok(());
        }
        for notice in self.store.due_notices(&self.webhook.name, now, FETCH)? {
            if until.is_some_and(|until| notice.attempts > 0 || Instant::now() >= until) {
                continue;
            }
            if !self.store.begin_notice(notice.id)? {
                continue;
            }
            failpoint::pass(Failpoint::AfterAttemptStart);
            // Where it takes too long it has no end, and is made again by the next start.
            let Some(handover) = self.hand_over(&notice) else {
                return Ok(());
            };
            failpoint::pass(Failpoint::AfterDelivery);
            let now = self.around.clock.now();
            let (end, outcome) = end(&notice, handover, now, paused);
            self.around.metrics.deliveries.attempted(CHANNEL, outcome);
            if let NoticeEnd::Later { error, .. } | NoticeEnd::Failed { error } = &end {
                let name = &self.webhook.name;
                tracing::error!("the webhook {name} was not told of an alert: {error}");
            }
            self.store.end_notice(notice.id, &end)?;
            if paused.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// What the webhook says, on a thread that may be left behind.
    fn hand_over(&self, notice: &Notice) -> Option<Handover> {
        let id = format!("{}-notice-{}", self.around.installation, notice.id);
        let (http, event) = (Arc::clone(&self.webhook.http), notice.event.clone());
        let (answer, answered) = channel();
        let call = move || {
            let _gone = answer.send(http.tell(&id, &event));
        };
        let thread = thread::Builder::new().name(format!("webhook-{}", self.webhook.name));
        if let Err(error) = thread.spawn(call) {
            return Some(Handover::Later {
                error: format!("no thread could be started: {error}"),
                after: None,
                unclear: false,
            });
        }
        let mut stopped = None;
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(handover) => return Some(handover),
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(Handover::Later {
                        error: "the webhook panicked".into(),
                        after: None,
                        unclear: true,
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.around.stopping() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.around.drain {
                    return None;
                }
            }
        }
    }
}

/// How an attempt ended. A refusal is about the webhook's configuration, here or there, and not
/// about the alert: somebody mends it, and then it is told.
fn end(
    notice: &Notice,
    handover: Handover,
    now: Timestamp,
    paused: &mut Option<Timestamp>,
) -> (NoticeEnd, &'static str) {
    let (error, after) = match handover {
        Handover::Delivered => return (NoticeEnd::Delivered, "delivered"),
        Handover::Later { error, after, .. } => (error, after),
        Handover::Refused { error } => (error, None),
    };
    let tries = notice.attempts + 1;
    let Some(mut due) = Backoff::DELIVERY.next(tries, now) else {
        let error = format!("{error}; given up after {tries} attempts");
        return (NoticeEnd::Failed { error }, "refused");
    };
    if let Some(after) = after {
        let until = now.plus_millis(super::sender::millis(&after));
        *paused = Some(until);
        due = due.max(until);
    }
    (NoticeEnd::Later { due, error }, "later")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeliveryState, NoticeId};

    #[test]
    fn what_was_not_taken_is_tried_again_for_days_and_then_given_up() {
        let notice = |attempts| Notice {
            id: NoticeId(1),
            webhook: "ops".into(),
            event: "{}".into(),
            state: DeliveryState::Pending,
            attempts,
            due: None,
            error: None,
            at: Timestamp(0),
        };
        let refused = || Handover::Refused {
            error: "404".into(),
        };
        let mut paused = None;
        let (first, outcome) = end(&notice(0), refused(), Timestamp(0), &mut paused);
        assert!(
            matches!(first, NoticeEnd::Later { due, .. } if due.0 > 0),
            "{first:?}"
        );
        assert_eq!((outcome, paused), ("later", None));
        let (last, _) = end(&notice(35), refused(), Timestamp(0), &mut paused);
        assert!(matches!(last, NoticeEnd::Failed { .. }), "{last:?}");
        let asked = Handover::Later {
            error: "429".into(),
            after: Some(Duration::from_secs(60)),
            unclear: false,
        };
        let (later, _) = end(&notice(0), asked, Timestamp(0), &mut paused);
        assert!(
            matches!(later, NoticeEnd::Later { due, .. } if due.0 == 60_000),
            "{later:?}"
        );
        assert_eq!(paused, Some(Timestamp(60_000)));
    }
}
