//! Isolates deliveries that cannot be committed, so that the others of their channel queue
//! continue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use promoflow_store::{AttemptBatch, AttemptEnd, DeliveryId, DueDelivery};

/// Time before an isolated delivery is tried again.
const ISOLATION_TIME: Duration = Duration::from_secs(5);

/// A part of an attempt batch that is committed alone: one delivery, or the throttle of the queue.
pub(super) struct Part {
    pub(super) delivery: Option<DeliveryId>,
    pub(super) batch: AttemptBatch,
    pub(super) deliveries: Vec<DueDelivery>,
}

/// Splits an attempt batch into parts, with the ended attempts first.
pub(super) fn split_batch(batch: AttemptBatch, deliveries: Vec<DueDelivery>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |delivery, fill: &mut dyn FnMut(&mut AttemptBatch), deliveries| {
        let mut batch = AttemptBatch::default();
        fill(&mut batch);
        parts.push(Part {
            delivery,
            batch,
            deliveries,
        });
    };
    if !batch.throttles.is_empty() {
        add(
            None,
            &mut |one| one.throttles.clone_from(&batch.throttles),
            Vec::new(),
        );
    }
    for end in &batch.ends {
        let id = Some(end.delivery);
        add(id, &mut |one| one.ends.push(end.clone()), Vec::new());
    }
    for rescheduled in &batch.rescheduled {
        let id = Some(rescheduled.0);
        add(
            id,
            &mut |one| one.rescheduled.push(*rescheduled),
            Vec::new(),
        );
    }
    for unreadable in &batch.unreadable {
        let id = Some(unreadable.0);
        add(
            id,
            &mut |one| one.unreadable.push(unreadable.clone()),
            Vec::new(),
        );
    }
    for delivery in deliveries {
        let id = delivery.id;
        add(Some(id), &mut |one| one.starts.push(id), vec![delivery]);
    }
    parts
}

/// Deliveries that failed to commit, until they are tried again.
#[derive(Default)]
pub(super) struct IsolatedDeliveries(HashMap<DeliveryId, (Instant, Vec<AttemptEnd>)>);

impl IsolatedDeliveries {
    /// Isolates a delivery, together with the end of its attempt if that failed to commit.
    pub(super) fn put(&mut self, delivery: DeliveryId, ends: Vec<AttemptEnd>) {
        let until = Instant::now() + ISOLATION_TIME;
        let (moment, kept) = self.0.entry(delivery).or_insert((until, Vec::new()));
        *moment = until;
        kept.extend(ends);
    }

    /// Returns the isolated deliveries.
    pub(super) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        self.0.keys().copied()
    }

    /// Returns the time at which the first of them is tried again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(until, _)| *until).min()
    }

    /// Removes and returns the attempt ends that are due, or all of them. `None` if no delivery is
    /// due.
    pub(super) fn take_due(&mut self, all: bool) -> Option<Vec<AttemptEnd>> {
        let now = Instant::now();
        let mut back = None;
        self.0.retain(|_, (until, ends)| {
            let stays = !all && now < *until;
            if !stays {
                back.get_or_insert_with(Vec::new).append(ends);
            }
            stays
        });
        back
    }
}
