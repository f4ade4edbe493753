//! Notifications: delivers alert events to webhooks.
//!
//! Each webhook has its own thread, so that a stuck one does not block the others. The start of an
//! attempt is committed before its first byte is sent, its end afterwards; after a crash in
//! between, the notification is sent again under the same id.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::DispatcherContext;
use promoflow_channels::{DeliveryOutcome, Notifier};
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::retry::{Backoff, Retry, Throttle};
use promoflow_store::{Notification, NotificationOutcome, Result, Store, ThrottledParty};

/// Interval at which due notifications are fetched.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Number of notifications fetched at once.
const FETCH_LIMIT: usize = 16;
/// The `channel` label of notifications in the metrics.
const WEBHOOK_LABEL: &str = "webhook";

/// A server that receives alert notifications.
#[derive(Clone)]
pub struct Webhook {
    /// The webhook's name in the configuration.
    pub name: String,
    /// Sends the requests.
    pub notifier: Arc<dyn Notifier>,
}

/// Delivers the notifications of one webhook.
pub(super) struct WebhookWorker {
    pub(super) webhook: Webhook,
    pub(super) context: Arc<DispatcherContext>,
    pub(super) store: Arc<dyn Store>,
    /// Disconnects when the dispatcher stops.
    pub(super) shutdown: Receiver<()>,
}

impl WebhookWorker {
    /// Delivers due notifications until the dispatcher stops, and then once more those that have no
    /// attempt yet: a command that sends events ends right after the alert.
    pub(super) fn run(self) {
        let mut throttle = None;
        loop {
            let last = self.context.stopping();
            let until = last.then(|| Instant::now() + self.context.drain);
            if let Err(error) = self.deliver_due(until, &mut throttle) {
                tracing::error!("cannot deliver alert notifications: {error}");
            }
            if last {
                return;
            }
            // The channel carries no messages: it disconnects at the stop.
            let _stopped = self.shutdown.recv_timeout(POLL_INTERVAL);
        }
    }

    /// `throttle`: the throttle that the webhook requested; `None` until it is read from the store.
    fn deliver_due(&self, until: Option<Instant>, throttle: &mut Option<Throttle>) -> Result<()> {
        let side = ThrottledParty::Webhook(&self.webhook.name);
        let now = self.context.clock.now();
        let first = throttle.is_none();
        let throttle = match throttle {
            Some(throttle) => throttle,
            None => throttle.insert(Throttle::restore(self.store.throttled_until(side)?, now)),
        };
        if throttle.until(now).is_some() {
            return Ok(());
        }
        for notification in self
            .store
            .due_notifications(&self.webhook.name, now, FETCH_LIMIT)?
        {
            if until.is_some_and(|until| {
                (notification.attempts > 0 && !first) || Instant::now() >= until
            }) {
                continue;
            }
            let Some(attempt) = self.store.begin_notification_attempt(notification.id)? else {
                continue;
            };
            failpoint::pass(Failpoint::AfterAttemptStart);
            // An attempt that takes too long has no recorded end and is repeated after the next
            // start.
            let Some(outcome) = self.attempt(&notification) else {
                return Ok(());
            };
            failpoint::pass(Failpoint::AfterDelivery);
            let now = self.context.clock.now();
            let asked = match outcome {
                DeliveryOutcome::RetryableFailure { after, .. } => {
                    after.map(|after| Throttle::end(after, now))
                }
                _ => None,
            };
            let (end, outcome) = attempt_end(&notification, outcome, asked, now);
            self.context
                .metrics
                .deliveries
                .record_attempt(WEBHOOK_LABEL, outcome);
            if let NotificationOutcome::RetryableFailure { error, .. }
            | NotificationOutcome::Failed { error } = &end
            {
                let name = &self.webhook.name;
                tracing::error!("webhook {name}: an alert notification was not delivered: {error}");
            }
            let paused = asked.map(|until| (side, until));
            self.store
                .end_notification_attempt(notification.id, attempt, &end, paused)?;
            if let Some(until) = asked {
                throttle.extend(until);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes the request on a thread that can be abandoned at a stop.
    fn attempt(&self, notification: &Notification) -> Option<DeliveryOutcome> {
        let id = format!(
            "{}-notification-{}",
            self.context.installation, notification.id
        );
        let notifier = Arc::clone(&self.webhook.notifier);
        let event = notification.event.clone();
        let (answer, answered) = channel();
        let call = move || {
            let _gone = answer.send(notifier.send_event(&id, &event));
        };
        let thread = thread::Builder::new().name(format!("webhook-{}", self.webhook.name));
        if let Err(error) = thread.spawn(call) {
            return Some(DeliveryOutcome::RetryableFailure {
                error: format!("cannot start a thread: {error}"),
                after: None,
                ambiguous: false,
            });
        }
        let mut stopped = None;
        loop {
            match answered.recv_timeout(POLL_INTERVAL) {
                Ok(outcome) => return Some(outcome),
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(DeliveryOutcome::RetryableFailure {
                        error: "the webhook panicked".into(),
                        after: None,
                        ambiguous: true,
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.context.stopping() {
                let since = *stopped.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.context.drain {
                    return None;
                }
            }
        }
    }
}

/// Returns the outcome of an attempt. A rejection points to the webhook's configuration on either
/// side, not to the alert, so the notification is retried. `asked`: the end of the throttle that
/// the webhook requested.
fn attempt_end(
    notification: &Notification,
    outcome: DeliveryOutcome,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> (NotificationOutcome, &'static str) {
    let error = match outcome {
        DeliveryOutcome::Delivered => return (NotificationOutcome::Delivered, "delivered"),
        DeliveryOutcome::RetryableFailure { error, .. }
        | DeliveryOutcome::PermanentFailure { error } => error,
    };
    match Backoff::DELIVERY.after_failure(notification.attempts + 1, error, asked, now) {
        Retry::At { due, error } => (
            NotificationOutcome::RetryableFailure { due, error },
            "retryable",
        ),
        Retry::GiveUp { error } => (NotificationOutcome::Failed { error }, "permanent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_store::{DeliveryState, NotificationId};

    #[test]
    fn retries_rejected_notifications_for_days_and_then_fails() {
        let notification = |attempts| Notification {
            id: NotificationId(1),
            webhook: "ops".into(),
            event: "{}".into(),
            state: DeliveryState::Pending,
            attempts,
            due: None,
            error: None,
            at: Timestamp(0),
        };
        let refused = || DeliveryOutcome::PermanentFailure {
            error: "404".into(),
        };
        let (first, outcome) = attempt_end(&notification(0), refused(), None, Timestamp(0));
        assert!(
            matches!(first, NotificationOutcome::RetryableFailure { due, .. } if due.0 > 0),
            "{first:?}"
        );
        assert_eq!(outcome, "retryable");
        let (last, _) = attempt_end(&notification(35), refused(), None, Timestamp(0));
        assert!(
            matches!(last, NotificationOutcome::Failed { .. }),
            "{last:?}"
        );
        let asked = DeliveryOutcome::RetryableFailure {
            error: "429".into(),
            after: Some(Duration::from_secs(60)),
            ambiguous: false,
        };
        let until = Some(Timestamp(60_000));
        let (later, _) = attempt_end(&notification(0), asked, until, Timestamp(0));
        assert!(
            matches!(later, NotificationOutcome::RetryableFailure { due, .. } if due.0 == 60_000),
            "{later:?}"
        );
    }
}
