//! Notifications: delivers alert events to webhooks.
//!
//! Each webhook has its own thread, so that a stuck one does not block the others. The start of an
//! attempt is committed before its first byte is sent, its end afterwards; after a crash in
//! between, the notification is sent again under the same id.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Around;
use super::pause::Pause;
use promoflow_channels::{Handover, Http};
use promoflow_model::backoff::Backoff;
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_store::{Notice, NoticeEnd, Result, Side, Store};

/// Interval at which due notifications are fetched.
const LOOK: Duration = Duration::from_millis(250);
/// Number of notifications fetched at once.
const FETCH: usize = 16;
/// The `channel` label of notifications in the metrics.
const CHANNEL: &str = "webhook";

/// A server that receives alert notifications.
#[derive(Clone)]
pub struct Webhook {
    /// The webhook's name in the configuration.
    pub name: String,
    /// The HTTP client and request template.
    pub http: Arc<Http>,
}

/// Delivers the notifications of one webhook.
pub(super) struct Notifier {
    pub(super) webhook: Webhook,
    pub(super) around: Arc<Around>,
    pub(super) store: Arc<dyn Store>,
    /// Disconnects when the dispatcher stops.
    pub(super) told: Receiver<()>,
}

impl Notifier {
    /// Delivers due notifications until the dispatcher stops, and then once more those that have no
    /// attempt yet: a command that sends events ends right after the alert.
    pub(super) fn run(self) {
        let mut pause = None;
        loop {
            let last = self.around.stopping();
            let until = last.then(|| Instant::now() + self.around.drain);
            if let Err(error) = self.look(until, &mut pause) {
                tracing::error!("cannot deliver alert notifications: {error}");
            }
            if last {
                return;
            }
            // The channel carries no messages: it disconnects at the stop.
            let _stopped = self.told.recv_timeout(LOOK);
        }
    }

    /// `pause`: the throttle that the webhook requested; `None` until it is read from the store.
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
            // An attempt that takes too long has no recorded end and is repeated after the next
            // start.
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
                tracing::error!("webhook {name}: an alert notification was not delivered: {error}");
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

    /// Makes the request on a thread that can be abandoned at a stop.
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
                error: format!("cannot start a thread: {error}"),
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

/// Returns the outcome of an attempt. A rejection points to the webhook's configuration on either
/// side, not to the alert, so the notification is retried. `asked`: the end of the throttle that
/// the webhook requested.
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
    use promoflow_store::{DeliveryState, NoticeId};

    #[test]
    fn retries_rejected_notifications_for_days_and_then_fails() {
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
