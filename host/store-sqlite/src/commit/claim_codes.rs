//! Takes the codes of a unit out of the pool, and puts them back if the unit is rejected.

use rusqlite::{OptionalExtension, params};

use super::{Abort, CommitTx, cached_statement, reuse};
use crate::{Result, codes};
use promoflow_model::pool::CodeGroup;
use promoflow_store::rules::runs::keeps_effects;
use promoflow_store::{Exhausted, Segment, SegmentEnd, StagedClaim, Stale};

impl CommitTx<'_> {
    /// Takes the codes of a unit's segments. Called last, when nothing else can reject the unit.
    pub(super) fn take_codes<'s>(
        &mut self,
        segments: impl Iterator<Item = &'s Segment> + Clone,
    ) -> Result<(), Abort> {
        let commits = segments
            .clone()
            .filter(|one| !matches!(one.end, SegmentEnd::Retry { .. }));
        for segment in segments.clone().filter(|one| keeps_effects(&one.end)) {
            for reuse in &segment.reuses {
                if !reuse::is_valid(self.connection, reuse, self.now)? {
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

    pub(super) fn take_code(&mut self, claim: &StagedClaim) -> Result<bool> {
        let position = claim.code.position;
        let code_group = self.code_groups.find(self.connection, &claim.code_group)?;
        let Some(code_group) = code_group.filter(|_| position.expires > self.now) else {
            return Ok(false);
        };
        let taken = cached_statement(
            &mut self.statements.take,
            self.connection,
            codes::TAKE_AVAILABLE,
        )?
        .execute(params![code_group, position.expires.0, position.id])?;
        Ok(taken == 1)
    }

    pub(super) fn put_back(&mut self, claim: &StagedClaim) -> Result<()> {
        let CodeGroup {
            code_type,
            discount,
        } = &claim.code_group;
        let code_group = self
            .code_groups
            .find_or_add(self.connection, code_type, *discount)?;
        let code = &claim.code;
        codes::add_available(self.connection, code_group, code.position, &code.code)
    }

    fn still_exhausted(&mut self, exhausted: &Exhausted) -> Result<(), Abort> {
        let Some(code_group) = self
            .code_groups
            .find(self.connection, &exhausted.code_group)?
        else {
            return Ok(());
        };
        let there = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM available_code WHERE code_group = ?1 AND expires_at >= ?2 LIMIT 1",
            )?
            .query_row(params![code_group, exhausted.expires.0], |_| Ok(()))
            .optional()?;
        if there.is_some() {
            Err(Abort::Stale(Stale::NotExhausted))
        } else {
            Ok(())
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
