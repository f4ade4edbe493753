//! Isolates deliveries that cannot be committed, so that the others of their channel queue
//! continue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use promoflow_store::{AttemptEnd, Attempts, DeliveryId, DueDelivery};

/// Time before an isolated delivery is tried again.
const ASIDE: Duration = Duration::from_secs(5);

/// A part of an attempt batch that is committed alone: one delivery, or the throttle of the queue.
pub(super) struct Part {
    pub(super) delivery: Option<DeliveryId>,
    pub(super) step: Attempts,
    pub(super) letters: Vec<DueDelivery>,
}

/// Splits an attempt batch into parts, with the ended attempts first.
pub(super) fn parts(step: Attempts, letters: Vec<DueDelivery>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |delivery, fill: &mut dyn FnMut(&mut Attempts), letters| {
        let mut step = Attempts::default();
        fill(&mut step);
        parts.push(Part {
            delivery,
            step,
            letters,
        });
    };
    if !step.pauses.is_empty() {
        add(
            None,
            &mut |one| one.pauses.clone_from(&step.pauses),
            Vec::new(),
        );
    }
    for end in &step.ends {
        let id = Some(end.delivery);
        add(id, &mut |one| one.ends.push(end.clone()), Vec::new());
    }
    for postponed in &step.postponed {
        let id = Some(postponed.0);
        add(id, &mut |one| one.postponed.push(*postponed), Vec::new());
    }
    for unreadable in &step.unreadable {
        let id = Some(unreadable.0);
        add(
            id,
            &mut |one| one.unreadable.push(unreadable.clone()),
            Vec::new(),
        );
    }
    for letter in letters {
        let id = letter.id;
        add(Some(id), &mut |one| one.starts.push(id), vec![letter]);
    }
    parts
}

/// Deliveries that failed to commit, until they are tried again.
#[derive(Default)]
pub(super) struct Aside(HashMap<DeliveryId, (Instant, Vec<AttemptEnd>)>);

impl Aside {
    /// Isolates a delivery, together with the end of its attempt if that failed to commit.
    pub(super) fn put(&mut self, delivery: DeliveryId, ends: Vec<AttemptEnd>) {
        let until = Instant::now() + ASIDE;
        let (moment, kept) = self.0.entry(delivery).or_insert((until, Vec::new()));
        *moment = until;
        kept.extend(ends);
    }

    pub(super) fn holds(&self, delivery: DeliveryId) -> bool {
        self.0.contains_key(&delivery)
    }

    /// Returns the time at which the first of them is tried again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(until, _)| *until).min()
    }

    /// Removes and returns the attempt ends that are due, or all of them. `None` if no delivery is
    /// due.
    pub(super) fn back(&mut self, all: bool) -> Option<Vec<AttemptEnd>> {
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
