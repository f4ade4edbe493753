//! What ends and starts of attempts change.

use std::collections::BTreeMap;

use promoflow_model::clock::Timestamp;
use promoflow_store::rules::alternatives::{Alternatives, NextAlternative};
use promoflow_store::rules::attempts::{DeliveryChange, delivery_after};
use promoflow_store::{AttemptBatch, AttemptEnd, AttemptOutcome, CommitReply, DeliveryId};

use super::deliveries::{Delivery, Locked};
use crate::attempts::{EXPIRED, stored_outcome};
use crate::connection::integer;
use crate::transaction::Transaction;

const END_ATTEMPTS: &str =
    "UPDATE attempt SET ended_at = $6, outcome = ended.outcome, error = ended.error,
         ambiguous = ended.ambiguous
     FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::integer[])
         AS ended (delivery, number, outcome, error, ambiguous)
     WHERE attempt.delivery = ended.delivery AND attempt.number = ended.number";
const UNDO_STARTS: &str = "DELETE FROM attempt
     USING unnest($1::bigint[], $2::bigint[]) AS undone (delivery, number)
     WHERE attempt.delivery = undone.delivery AND attempt.number = undone.number";
const START_ATTEMPTS: &str = "INSERT INTO attempt (delivery, number, alternative, started_at)
     SELECT delivery, number, alternative, $4
     FROM unnest($1::bigint[], $2::bigint[], $3::integer[])
         AS started (delivery, number, alternative)";
const CHANGE_DELIVERIES: &str =
    "UPDATE delivery SET state = changed.state, due_at = changed.due_at, error = changed.error,
         attempts = changed.attempts
     FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::integer[])
         AS changed (id, state, due_at, error, attempts)
     WHERE delivery.id = changed.id";
const PUT_THROTTLES: &str = "INSERT INTO throttle (party, name, until_at)
     SELECT 'channel', name, until_at FROM unnest($1::text[], $2::bigint[]) AS put (name, until_at)
     ON CONFLICT (party, name) DO UPDATE SET until_at = excluded.until_at";

/// The changes of deliveries and attempts.
pub(super) struct Changes<'f> {
    locked: &'f Locked,
    deliveries: BTreeMap<i64, Delivery>,
    ended: Ended,
    /// Deliveries, and the numbers of their attempts that were not made.
    undone: (Vec<i64>, Vec<i64>),
    started: Started,
    throttles: BTreeMap<&'static str, i64>,
    now: Timestamp,
}

/// Attempts that have ended, by column.
#[derive(Default)]
struct Ended {
    delivery: Vec<i64>,
    number: Vec<i64>,
    outcome: Vec<&'static str>,
    error: Vec<Option<String>>,
    ambiguous: Vec<i32>,
}

/// Attempts that start, by column.
#[derive(Default)]
struct Started {
    delivery: Vec<i64>,
    number: Vec<i64>,
    alternative: Vec<i32>,
}

impl<'f> Changes<'f> {
    pub(super) fn new(locked: &'f Locked, now: Timestamp) -> Changes<'f> {
        Changes {
            locked,
            deliveries: BTreeMap::new(),
            ended: Ended::default(),
            undone: (Vec::new(), Vec::new()),
            started: Started::default(),
            throttles: BTreeMap::new(),
            now,
        }
    }

    /// Adds the changes of a unit. Returns its reply; `None` if it is not ordinary.
    pub(super) fn add(&mut self, batch: &AttemptBatch) -> Option<CommitReply> {
        let is_suppressed = |id: &DeliveryId| self.locked.suppressed.contains(&id.0);
        if batch.starts.iter().any(is_suppressed) {
            return None;
        }
        for end in &batch.ends {
            self.end(end)?;
        }
        for (delivery, until) in &batch.rescheduled {
            if let Some(delivery) = self.pending(*delivery) {
                delivery.due = Some(until.0.min(delivery.expires));
                delivery.is_changed = true;
            }
        }
        for (delivery, error) in &batch.unreadable {
            if let Some(delivery) = self.pending(*delivery) {
                delivery.set("failed", None, Some(error));
            }
        }
        for (channel, until) in &batch.throttles {
            self.throttles.insert(channel.name(), until.0);
        }
        let started = batch.starts.iter().filter_map(|id| self.start(*id));
        Some(CommitReply::Started(started.collect()))
    }

    fn pending(&mut self, id: DeliveryId) -> Option<&mut Delivery> {
        self.delivery(id).filter(|delivery| delivery.is_pending())
    }

    fn delivery(&mut self, id: DeliveryId) -> Option<&mut Delivery> {
        let stored = self.locked.rows.get(&id.0)?;
        let changed = self.deliveries.entry(id.0);
        Some(changed.or_insert_with(|| stored.clone()))
    }

    /// Ends the present attempt of a delivery. Returns `None` if that is not ordinary.
    fn end(&mut self, end: &AttemptEnd) -> Option<()> {
        let (id, number) = (end.delivery.0, integer(end.attempt));
        let is_unended = self.locked.unended.contains(&(id, number));
        let counts = self.locked.alternatives.get(&id).copied();
        let Some(delivery) = self.delivery(end.delivery) else {
            return Some(());
        };
        if !is_unended || delivery.attempts != number {
            // Another executor has taken the delivery over, or the end is already stored.
            return Some(());
        }
        let next = match (&end.outcome, counts) {
            (AttemptOutcome::PermanentFailure { .. }, Some((count, ambiguous)))
                if delivery.is_pending() =>
            {
                let alternatives = Alternatives {
                    current: delivery.alternative,
                    count,
                    any_ambiguous: ambiguous > 0,
                };
                alternatives.next()
            }
            _ => NextAlternative::None,
        };
        match delivery_after(&end.outcome, next) {
            DeliveryChange::Deliver => delivery.set("delivered", None, None),
            DeliveryChange::Retry { due, error } => {
                delivery.set("pending", Some(due), Some(error));
            }
            DeliveryChange::Fail { error } => delivery.set("failed", None, Some(&error)),
            DeliveryChange::Switch { .. } => return None,
            DeliveryChange::Keep => {}
        }
        match stored_outcome(&end.outcome) {
            Some((outcome, ambiguous)) => {
                self.ended.delivery.push(id);
                self.ended.number.push(i64::from(number));
                self.ended.outcome.push(outcome);
                self.ended
                    .error
                    .push(end.outcome.error().map(str::to_owned));
                self.ended.ambiguous.push(i32::from(ambiguous));
            }
            None => {
                delivery.attempts -= 1;
                delivery.is_changed = true;
                self.undone.0.push(id);
                self.undone.1.push(i64::from(number));
            }
        }
        Some(())
    }

    /// Starts an attempt, unless the delivery has expired, is not to be attempted any more, or is
    /// another host's.
    fn start(&mut self, id: DeliveryId) -> Option<(DeliveryId, u32)> {
        if self.locked.foreign.contains(&id.0) {
            return None;
        }
        let now = self.now;
        let delivery = self.pending(id)?;
        if delivery.expires <= now.0 {
            delivery.set("failed", None, Some(EXPIRED));
            return None;
        }
        delivery.attempts += 1;
        delivery.is_changed = true;
        let (number, alternative) = (delivery.attempts, integer(delivery.alternative));
        self.started.delivery.push(id.0);
        self.started.number.push(i64::from(number));
        self.started.alternative.push(alternative);
        Some((id, u32::try_from(number).unwrap_or(u32::MAX)))
    }

    /// Sends the changes with the commit.
    pub(super) fn write(self, transaction: &Transaction<'_>) {
        let Changes {
            ended,
            undone,
            started,
            ..
        } = self;
        if !ended.delivery.is_empty() {
            transaction.at_commit(
                END_ATTEMPTS,
                vec![
                    Box::new(ended.delivery),
                    Box::new(ended.number),
                    Box::new(ended.outcome),
                    Box::new(ended.error),
                    Box::new(ended.ambiguous),
                    Box::new(self.now.0),
                ],
            );
        }
        if !undone.0.is_empty() {
            let columns = vec![Box::new(undone.0) as _, Box::new(undone.1) as _];
            transaction.at_commit(UNDO_STARTS, columns);
        }
        if !started.delivery.is_empty() {
            transaction.at_commit(
                START_ATTEMPTS,
                vec![
                    Box::new(started.delivery),
                    Box::new(started.number),
                    Box::new(started.alternative),
                    Box::new(self.now.0),
                ],
            );
        }
        write_deliveries(transaction, self.deliveries);
        if !self.throttles.is_empty() {
            let (names, until): (Vec<&'static str>, Vec<i64>) = self.throttles.into_iter().unzip();
            transaction.at_commit(PUT_THROTTLES, vec![Box::new(names), Box::new(until)]);
        }
    }
}

fn write_deliveries(transaction: &Transaction<'_>, deliveries: BTreeMap<i64, Delivery>) {
    let (mut ids, mut states, mut due) = (Vec::new(), Vec::new(), Vec::new());
    let (mut errors, mut attempts) = (Vec::new(), Vec::new());
    for (id, delivery) in deliveries {
        if delivery.is_changed {
            ids.push(id);
            states.push(delivery.state);
            due.push(delivery.due);
            errors.push(delivery.error);
            attempts.push(delivery.attempts);
        }
    }
    if !ids.is_empty() {
        transaction.at_commit(
            CHANGE_DELIVERIES,
            vec![
                Box::new(ids),
                Box::new(states),
                Box::new(due),
                Box::new(errors),
                Box::new(attempts),
            ],
        );
    }
}
