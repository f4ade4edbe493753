//! Takes the codes of a unit out of the pool, and puts them back if the unit is rejected.

use promoflow_store::rules::runs::keeps_effects;
use promoflow_store::{Exhausted, Segment, SegmentEnd, StagedClaim, Stale};

use super::exclusive::{Abort, ExclusiveCommit};
use crate::connection::params;
use crate::errors::Result;
use crate::{available_codes, reuse};

impl ExclusiveCommit<'_> {
    /// Takes the codes of a unit's segments. Called last, when nothing else can reject the unit.
    pub(super) fn take_codes<'s>(
        &self,
        segments: impl Iterator<Item = &'s Segment> + Clone,
    ) -> Result<(), Abort> {
        let commits = segments
            .clone()
            .filter(|one| !matches!(one.end, SegmentEnd::Retry { .. }));
        for segment in segments.clone().filter(|one| keeps_effects(&one.end)) {
            for reuse in &segment.reuses {
                if !reuse::is_valid(self.transaction, reuse, self.now)? {
                    return Err(Abort::Stale(Stale::Reuse));
                }
            }
        }
        let claims = || segments.clone().flat_map(claims_to_take);
        for (count, claim) in claims().enumerate() {
            if !self.take_code(claim)? {
                for taken in claims().take(count) {
                    self.put_back(taken)?;
                }
                return Err(Abort::Stale(Stale::Code));
            }
        }
        // Checked after the segment's own codes are taken: they may have been the last ones.
        for exhausted in commits.flat_map(|segment| &segment.exhausted) {
            if let Err(stop) = self.still_exhausted(exhausted) {
                for taken in claims() {
                    self.put_back(taken)?;
                }
                return Err(stop);
            }
        }
        Ok(())
    }

    fn take_code(&self, claim: &StagedClaim) -> Result<bool> {
        let position = claim.code.position;
        let code_group = self
            .store
            .find_code_group(self.transaction, &claim.code_group)?;
        match code_group.filter(|_| position.expires > self.now) {
            Some(group) => available_codes::take_available(self.transaction, group, position),
            None => Ok(false),
        }
    }

    pub(super) fn put_back(&self, claim: &StagedClaim) -> Result<()> {
        let code_group = self
            .store
            .find_or_add_code_group(self.transaction, &claim.code_group)?;
        let code = &claim.code;
        available_codes::add_available(self.transaction, code_group, code.position, &code.code)
    }

    fn still_exhausted(&self, exhausted: &Exhausted) -> Result<(), Abort> {
        let code_group = self
            .store
            .find_code_group(self.transaction, &exhausted.code_group)?;
        let Some(code_group) = code_group else {
            return Ok(());
        };
        let is_there = self.transaction.exists(
            "SELECT 1 FROM available_code WHERE code_group = $1 AND expires_at >= $2 LIMIT 1",
            params![code_group, exhausted.expires.0],
        )?;
        match is_there {
            true => Err(Abort::Stale(Stale::NotExhausted)),
            false => Ok(()),
        }
    }
}

/// Returns the codes that a segment takes; empty if none of its staged effects are kept.
pub(super) fn claims_to_take(segment: &Segment) -> &[StagedClaim] {
    match keeps_effects(&segment.end) {
        true => &segment.claims,
        false => &[],
    }
}
