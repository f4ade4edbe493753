//! A sender: hands letters of a lane over, one after another.

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

/// How long a letter waits that may not leave as the installation is set up, in milliseconds. Whoever
/// mends that starts the process anew, and waits no longer than this.
const HOLD: i64 = 60_000;

/// Hands over what is queued until the lane is closed.
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
    // It may have waited behind others for long.
    let now = around.clock.now();
    let closed = delivery.hours.is_some_and(|hours| !hours.are_open(now));
    if around.stopping() || closed || delivery.expires <= now || lane.paused(now).is_some() {
        return AttemptOutcome::Withdrawn;
    }
    let Some(channel) = lane.channel() else {
        let error = format!("no channel is set up for {}", delivery.way.channel);
        return hold(around, error, now);
    };
    let id = delivery.identity();
    let unsubscribe = around.unsubscriber.as_ref();
    let unsubscribe = unsubscribe.map(|one| one.url(&around.installation, delivery.id));
    let content = &delivery.way.content;
    let content = match (&content.unsubscribe, &unsubscribe) {
        (None, _) => Cow::Borrowed(content),
        (Some(_), Some(url)) => Cow::Owned(content.unsubscribing_at(url)),
        // It does not leave without what its author promises.
        (Some(_), None) => {
            let message = &delivery.way.message;
            let error = format!(
                "the message {message} prints {UNSUBSCRIBE_TAG}, and the configuration has no \
                 [unsubscribe]"
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
    // A channel that panics ends its attempt and not the lane. Whether it handed the letter over
    // is not known.
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

/// Has a letter wait for an operator, who is told why. Whatever its further ways are: nobody has
/// refused it.
fn hold(around: &Around, error: String, now: Timestamp) -> AttemptOutcome {
    if lock(&around.held_for).insert(error.clone()) {
        tracing::error!("letters cannot leave: {error}");
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
