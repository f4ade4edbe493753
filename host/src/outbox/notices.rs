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
use super::pause::Pause;
use crate::backoff::Backoff;
use crate::channel::{Handover, Http};
use crate::clock::Timestamp;
use crate::failpoint::{self, Failpoint};
use crate::store::{Notice, NoticeEnd, Result, Side, Store};

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
    /// Delivers what is due until the dispatcher stops, and then once more: a command that sends
    /// events ends right after the alert. The last pass leaves retries to the next process, unless
    /// it is the first pass of this one, which may end before another.
    pub(super) fn run(self) {
        let mut pause = None;
        loop {
            let last = self.around.stopping();
            let until = last.then(|| Instant::now() + self.around.drain);
            if let Err(error) = self.look(until, &mut pause) {
                tracing::error!("the notices of alerts cannot be handed over: {error}");
            }
            if last {
                return;
            }
            // Nothing is ever sent there.
            let _stopped = self.told.recv_timeout(LOOK);
        }
    }

    /// `pause`: what the webhook has asked for; nobody has looked yet where it is `None`.
    fn look(&self, until: Option<Instant>, pause: &mut Option<Pause>) -> Result<()> {
        let side = Side::Webhook(&self.webhook.name);
        let now = self.around.clock.now();
        let first = pause.is_none();
        let pause = match pause {
            Some(pause) => pause,
            None => pause.insert(Pause::recall(self.store.pause(side)?, now)),
        };
        if pause.until(now).is_some() {
            return Ok(());
        }
        for notice in self.store.due_notices(&self.webhook.name, now, FETCH)? {
            if until.is_some_and(|until| (notice.attempts > 0 && !first) || Instant::now() >= until)
            {
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
            let asked = match handover {
                Handover::Later { after, .. } => after.map(|after| Pause::end(after, now)),
                _ => None,
            };
            let (end, outcome) = end(&notice, handover, asked, now);
            self.around.metrics.deliveries.attempted(CHANNEL, outcome);
            if let NoticeEnd::Later { error, .. } | NoticeEnd::Failed { error } = &end {
                let name = &self.webhook.name;
                tracing::error!("the webhook {name} was not told of an alert: {error}");
            }
            let paused = asked.map(|until| (side, until));
            self.store.end_notice(notice.id, &end, paused)?;
            if let Some(until) = asked {
                pause.keep(until);
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
/// about the alert: somebody mends it, and then it is told. `asked`: until when the webhook asks to
/// be left alone.
fn end(
    notice: &Notice,
    handover: Handover,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> (NoticeEnd, &'static str) {
    let error = match handover {
        Handover::Delivered => return (NoticeEnd::Delivered, "delivered"),
        Handover::Later { error, .. } | Handover::Refused { error } => error,
    };
    let tries = notice.attempts + 1;
    let Some(due) = Backoff::DELIVERY.next(tries, now) else {
        let error = format!("{error}; given up after {tries} attempts");
        return (NoticeEnd::Failed { error }, "refused");
    };
    let due = asked.map_or(due, |asked| due.max(asked));
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
        let (first, outcome) = end(&notice(0), refused(), None, Timestamp(0));
        assert!(
            matches!(first, NoticeEnd::Later { due, .. } if due.0 > 0),
            "{first:?}"
        );
        assert_eq!(outcome, "later");
        let (last, _) = end(&notice(35), refused(), None, Timestamp(0));
        assert!(matches!(last, NoticeEnd::Failed { .. }), "{last:?}");
        let asked = Handover::Later {
            error: "429".into(),
            after: Some(Duration::from_secs(60)),
            unclear: false,
        };
        let until = Some(Timestamp(60_000));
        let (later, _) = end(&notice(0), asked, until, Timestamp(0));
        assert!(
            matches!(later, NoticeEnd::Later { due, .. } if due.0 == 60_000),
            "{later:?}"
        );
    }
}
