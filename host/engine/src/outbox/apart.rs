//! What cannot be committed, set apart: it fails alone, and the others of its lane go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use promoflow_store::{AttemptEnd, Attempts, DeliveryId, DueDelivery};

/// How long it is left aside.
const ASIDE: Duration = Duration::from_secs(5);

/// A part of a step that is committed by itself: of one delivery, or the pause of the lane.
pub(super) struct Part {
    pub(super) delivery: Option<DeliveryId>,
    pub(super) step: Attempts,
    pub(super) letters: Vec<DueDelivery>,
}

/// The parts of a step, what has ended first.
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

/// Deliveries of which something could not be committed, until they are tried again.
#[derive(Default)]
pub(super) struct Aside(HashMap<DeliveryId, (Instant, Vec<AttemptEnd>)>);

impl Aside {
    /// Leaves a delivery aside, with the end of its attempt if that is what failed.
    pub(super) fn put(&mut self, delivery: DeliveryId, ends: Vec<AttemptEnd>) {
        let until = Instant::now() + ASIDE;
        let (moment, kept) = self.0.entry(delivery).or_insert((until, Vec::new()));
        *moment = until;
        kept.extend(ends);
    }

    pub(super) fn holds(&self, delivery: DeliveryId) -> bool {
        self.0.contains_key(&delivery)
    }

    /// When the first of them is tried again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|(until, _)| *until).min()
    }

    /// Takes those back whose time has come, or all; `None` where there are none.
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
