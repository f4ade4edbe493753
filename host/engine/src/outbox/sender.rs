//! A delivery worker: makes the attempts of a channel queue, one after another.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use super::lane::Lane;
use super::pause::Pause;
use super::{Around, lock};
use promoflow_channels::{Handover, Letter};
use promoflow_model::backoff::Backoff;
use promoflow_model::clock::Timestamp;
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::mask;
use promoflow_model::message::UNSUBSCRIBE_TAG;
use promoflow_store::{AttemptEnd, AttemptOutcome, DueDelivery};
use promoflow_trace::Happened;

/// Time before a delivery on hold is checked again, in milliseconds. Fixing the configuration needs
/// a restart anyway, and the delivery then waits no longer than this.
const HOLD: i64 = 60_000;

/// Makes queued attempts until the queue is closed.
pub(super) fn send(lane: &Lane, around: &Arc<Around>) {
    while let Some(letter) = lane.take() {
        let began = SystemTime::now();
        let outcome = attempt(lane, around, &letter);
        if outcome.was_tried() {
            let channel = letter.way.channel.name();
            around.metrics.deliveries.attempted(channel, outcome.name());
            tracing::debug!(
                delivery = letter.id.0,
                channel,
                address = mask::address(&letter.way.address),
                outcome = outcome.name(),
                "attempt to deliver"
            );
            if let Some(tracer) = &around.tracer {
                tracer.tell(Happened::Attempt {
                    delivery: letter.id,
                    channel,
                    outcome: outcome.name(),
                    began,
                    ended: SystemTime::now(),
                });
            }
        }
        lane.done(AttemptEnd {
            delivery: letter.id,
            outcome,
        });
    }
}

fn attempt(lane: &Lane, around: &Around, delivery: &DueDelivery) -> AttemptOutcome {
    // The delivery may have waited long in the queue.
    let now = around.clock.now();
    let closed = delivery.hours.is_some_and(|hours| !hours.are_open(now));
    if around.stopping() || closed || delivery.expires <= now || lane.paused(now).is_some() {
        return AttemptOutcome::Withdrawn;
    }
    let Some(channel) = lane.channel() else {
        let error = format!("no channel is configured for {}", delivery.way.channel);
        return hold(around, error, now);
    };
    let id = delivery.identity();
    let unsubscribe = around.unsubscriber.as_ref();
    let unsubscribe = unsubscribe.map(|one| one.url(&around.installation, delivery.id));
    let content = &delivery.way.content;
    let content = match (&content.unsubscribe, &unsubscribe) {
        (None, _) => Cow::Borrowed(content),
        (Some(_), Some(url)) => Cow::Owned(content.unsubscribing_at(url)),
        // Never send the message without its unsubscribe link.
        (Some(_), None) => {
            let message = &delivery.way.message;
            let error = format!(
                "message `{message}` prints {UNSUBSCRIBE_TAG}, but the configuration has no \
                 [unsubscribe] section"
            );
            return hold(around, error, now);
        }
    };
    let letter = Letter {
        unsubscribe: unsubscribe.as_deref(),
        id: &id,
        installation: &around.installation,
        kind: delivery.way.channel,
        address: &delivery.way.address,
        content: &content,
    };
    // A panic of the channel ends the attempt but not the queue. Its outcome is ambiguous.
    let handover = catch_unwind(AssertUnwindSafe(|| channel.deliver(&letter)));
    failpoint::pass(Failpoint::AfterDelivery);
    let handover = handover.unwrap_or_else(|_| Handover::Later {
        error: "the channel panicked".into(),
        after: None,
        unclear: true,
    });
    let now = around.clock.now();
    if let Handover::Later {
        after: Some(after), ..
    } = &handover
    {
        lane.pause(Pause::end(*after, now));
    }
    outcome(delivery, handover, now)
}

/// Puts a delivery on hold until an operator fixes the cause, and logs the cause once. Its other
/// alternatives are not used, because no provider has rejected it.
fn hold(around: &Around, error: String, now: Timestamp) -> AttemptOutcome {
    if lock(&around.held_for).insert(error.clone()) {
        tracing::error!("deliveries are on hold: {error}");
    }
    AttemptOutcome::Held {
        error,
        due: now.plus_millis(HOLD),
    }
}

fn outcome(delivery: &DueDelivery, handover: Handover, now: Timestamp) -> AttemptOutcome {
    match handover {
        Handover::Delivered => AttemptOutcome::Delivered,
        Handover::Refused { error } => AttemptOutcome::Refused { error },
        Handover::Later {
            error,
            after,
            unclear,
        } => {
            let tries = delivery.tries + 1;
            let Some(due) = Backoff::DELIVERY.next(tries, now) else {
                let error = format!("{error}; given up after {tries} attempts");
                return AttemptOutcome::GivenUp { error, unclear };
            };
            let due = after.map_or(due, |after| due.max(Pause::end(after, now)));
            AttemptOutcome::Later {
                error,
                due: delivery.hours.map_or(due, |hours| hours.next_open(due)),
                unclear,
            }
        }
    }
}
