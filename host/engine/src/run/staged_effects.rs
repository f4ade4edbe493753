//! The effects that a segment stages.

use std::collections::HashMap;

use promoflow_store::{Exhausted, StagedClaim, StagedDelivery, StagedReuse, StepKey, WaitOutcome};

/// The staged effects, which the commit makes permanent.
#[derive(Default)]
pub(super) struct StagedEffects {
    pub(super) claims: Vec<StagedClaim>,
    pub(super) exhausted: Vec<Exhausted>,
    pub(super) reuses: Vec<StagedReuse>,
    pub(super) deliveries: Vec<StagedDelivery>,
    /// For each claim, the number of deliveries staged before it; those cannot contain its code.
    deliveries_before_claim: Vec<usize>,
    /// Names other than the event key under which codes were claimed or kept.
    pub(super) contact_aliases: Vec<String>,
    /// True if a message was not staged because its contact is unreachable or has unsubscribed.
    pub(super) has_unsent_message: bool,
}

impl StagedEffects {
    /// Stages a claim.
    pub(super) fn add_claim(&mut self, claim: StagedClaim) {
        self.deliveries_before_claim.push(self.deliveries.len());
        self.claims.push(claim);
    }

    /// Stages a delivery and returns its index.
    pub(super) fn add_delivery(&mut self, delivery: StagedDelivery) -> u32 {
        self.deliveries.push(delivery);
        u32::try_from(self.deliveries.len() - 1).unwrap_or(u32::MAX)
    }

    /// Records a name under which a code is claimed or kept, if it is not the event key.
    pub(super) fn add_alias(&mut self, name: &str, key: &str) {
        let known = &mut self.contact_aliases;
        if name != key && !known.iter().any(|other| other == name) {
            known.push(name.to_owned());
        }
    }

    /// Removes and returns the claims whose codes no message can contain. Keeps a claim if a later
    /// claim found its code group exhausted, because returning the code would make that wrong.
    pub(super) fn take_unused(&mut self) -> Vec<StagedClaim> {
        let (deliveries, exhausted) = (&self.deliveries, &self.exhausted);
        let before = &self.deliveries_before_claim;
        let unused = |number: usize, claim: &StagedClaim| {
            let mut after = deliveries
                .iter()
                .skip(before.get(number).map_or(0, |sent| *sent));
            after.all(StagedDelivery::is_codeless)
                && !exhausted
                    .iter()
                    .any(|other| other.code_group == claim.code_group)
        };
        let claims = std::mem::take(&mut self.claims);
        let (mut kept, mut taken, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (number, claim) in claims.into_iter().enumerate() {
            if unused(number, &claim) {
                places.push(None);
                taken.push(claim);
            } else {
                places.push(Some(kept.len()));
                kept.push(claim);
            }
        }
        self.claims = kept;
        self.reuses.retain_mut(|reuse| match reuse.replaced_by {
            None => true,
            Some(number) => {
                reuse.replaced_by = places.get(number).copied().flatten();
                reuse.replaced_by.is_some()
            }
        });
        taken
    }
}

/// Numbers the effects of a segment, so that each has the same key whenever the segment runs again.
#[derive(Default)]
pub(super) struct EffectKeys {
    /// The steps entered, in order; a step's visits are counted from it.
    entered: Vec<String>,
    /// Number of times that earlier segments left each step.
    visits: HashMap<String, u32>,
    ordinal: u32,
}

impl EffectKeys {
    pub(super) fn new(visits: HashMap<String, u32>) -> EffectKeys {
        EffectKeys {
            visits,
            ..EffectKeys::default()
        }
    }

    /// Enters a step, or continues it after a wait.
    pub(super) fn enter(&mut self, step: &str, resumed: Option<&WaitOutcome>) {
        self.entered.push(step.to_owned());
        // The effects before the wait, and the end of the wait, have used the earlier ordinals.
        self.ordinal = resumed.map_or(0, |resumed| resumed.ordinal + 1);
    }

    /// Returns the key of the step's next effect.
    pub(super) fn next_key(&mut self) -> StepKey {
        let step = self.entered.last().cloned().unwrap_or_default();
        let visit = self.entered.iter().filter(|entered| **entered == step);
        let visit = visit.count();
        let earlier = self.visits.get(&step).copied().unwrap_or(0);
        let key = StepKey {
            visit: earlier.saturating_add(u32::try_from(visit).unwrap_or(u32::MAX)),
            step,
            ordinal: self.ordinal,
        };
        self.ordinal += 1;
        key
    }
}
