//! A delivery worker: makes the attempts of a channel queue, one after another.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use super::DispatcherContext;
use super::channel_queue::ChannelQueue;
use crate::sync::lock;
use promoflow_channels::{DeliveryOutcome, OutboundMessage};
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::message::UNSUBSCRIBE_TAG;
use promoflow_model::redact;
use promoflow_model::retry::{Backoff, Retry, Throttle};
use promoflow_store::{AttemptEnd, AttemptOutcome, DueDelivery};
use promoflow_trace::TraceRecord;

/// Time before a delivery on hold is checked again, in milliseconds. Fixing the configuration needs
/// a restart anyway, and the delivery then waits no longer than this.
const HOLD_TIME: i64 = 60_000;

/// Makes queued attempts until the queue is closed.
pub(super) fn run(channel_queue: &ChannelQueue, context: &Arc<DispatcherContext>) {
    while let Some(delivery) = channel_queue.take() {
        let began = SystemTime::now();
        let outcome = attempt(channel_queue, context, &delivery);
        if outcome.was_attempted() {
            let channel = delivery.target.channel.name();
            context
                .metrics
                .deliveries
                .record_attempt(channel, outcome.name());
            tracing::debug!(
                delivery = delivery.id.0,
                channel,
                address = redact::address(&delivery.target.address),
                outcome = outcome.name(),
                "attempt to deliver"
            );
            if let Some(tracer) = &context.tracer {
                tracer.record(TraceRecord::Attempt {
                    delivery: delivery.id,
                    channel,
                    outcome: outcome.name(),
                    began,
                    ended: SystemTime::now(),
                });
            }
        }
        channel_queue.record_end(AttemptEnd {
            delivery: delivery.id,
            attempt: delivery.attempt,
            outcome,
        });
    }
}

fn attempt(
    channel_queue: &ChannelQueue,
    context: &DispatcherContext,
    delivery: &DueDelivery,
) -> AttemptOutcome {
    // The delivery may have waited long in the queue.
    let now = context.clock.now();
    let closed = delivery.hours.is_some_and(|hours| !hours.is_open(now));
    if context.stopping()
        || closed
        || delivery.expires <= now
        || channel_queue.paused(now).is_some()
    {
        return AttemptOutcome::NotStarted;
    }
    let Some(channel) = channel_queue.channel() else {
        let error = format!("no channel is configured for {}", delivery.target.channel);
        return put_on_hold(context, error, now);
    };
    let id = delivery.identity();
    let unsubscribe = context.unsubscriber.as_ref();
    let unsubscribe = unsubscribe.map(|one| one.url(&context.installation, delivery.id));
    let content = &delivery.target.content;
    let content = match (&content.unsubscribe, &unsubscribe) {
        (None, _) => Cow::Borrowed(content),
        (Some(_), Some(url)) => Cow::Owned(content.with_unsubscribe_url(url)),
        // Never send the message without its unsubscribe link.
        (Some(_), None) => {
            let message = &delivery.target.message;
            let error = format!(
                "message `{message}` prints {UNSUBSCRIBE_TAG}, but the configuration has no \
                 [unsubscribe] section"
            );
            return put_on_hold(context, error, now);
        }
    };
    let outbound = OutboundMessage {
        unsubscribe: unsubscribe.as_deref(),
        id: &id,
        installation: &context.installation,
        kind: delivery.target.channel,
        address: &delivery.target.address,
        content: &content,
    };
    // The last look before the message leaves.
    let (kind, attempt) = (delivery.target.channel, delivery.attempt);
    if !context.tenure.may_attempt(kind, delivery.id, attempt) {
        return AttemptOutcome::NotStarted;
    }
    // A panic of the channel ends the attempt but not the queue. Its outcome is ambiguous.
    let handover = catch_unwind(AssertUnwindSafe(|| channel.deliver(&outbound)));
    failpoint::pass(Failpoint::AfterDelivery);
    let handover = handover.unwrap_or_else(|_| DeliveryOutcome::RetryableFailure {
        error: "the channel panicked".into(),
        after: None,
        ambiguous: true,
    });
    let now = context.clock.now();
    if let DeliveryOutcome::RetryableFailure {
        after: Some(after), ..
    } = &handover
    {
        channel_queue.throttle(Throttle::end(*after, now));
    }
    outcome(delivery, handover, now)
}

/// Puts a delivery on hold until an operator fixes the cause, and logs the cause once. Its other
/// alternatives are not used, because no provider has rejected it.
fn put_on_hold(context: &DispatcherContext, error: String, now: Timestamp) -> AttemptOutcome {
    if lock(&context.logged_holds).insert(error.clone()) {
        tracing::error!("deliveries are on hold: {error}");
    }
    AttemptOutcome::Misconfigured {
        error,
        due: now.plus_millis(HOLD_TIME),
    }
}

fn outcome(delivery: &DueDelivery, handover: DeliveryOutcome, now: Timestamp) -> AttemptOutcome {
    match handover {
        DeliveryOutcome::Delivered => AttemptOutcome::Delivered,
        DeliveryOutcome::PermanentFailure { error } => AttemptOutcome::PermanentFailure { error },
        DeliveryOutcome::RetryableFailure {
            error,
            after,
            ambiguous,
        } => {
            let asked = after.map(|after| Throttle::end(after, now));
            match Backoff::DELIVERY.after_failure(delivery.attempts + 1, error, asked, now) {
                Retry::At { due, error } => AttemptOutcome::RetryableFailure {
                    error,
                    due: delivery.hours.map_or(due, |hours| hours.next_opening(due)),
                    ambiguous,
                },
                Retry::GiveUp { error } => AttemptOutcome::RetriesExhausted { error, ambiguous },
            }
        }
    }
}
