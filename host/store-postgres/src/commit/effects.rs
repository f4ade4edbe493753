//! Writes a segment's journal entry and staged effects.

use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_store::rules::deliveries;
use promoflow_store::rules::runs::RunAfter;
use promoflow_store::{
    ClaimId, DeliveryId, DeliveryState, RunId, Segment, SegmentEnd, StagedClaim, StagedDelivery,
};

use super::exclusive::{Abort, ExclusiveCommit};
use crate::connection::{integer, params};
use crate::errors::{Result, damaged};
use crate::sequences::IdOf;
use crate::transaction::Transaction;
use crate::{alternatives, release, retry_states, reuse, waiting_runs};

impl ExclusiveCommit<'_> {
    /// Writes the journal entry of a segment and what it staged.
    pub(super) fn write_segment(
        &mut self,
        run: RunId,
        number: u32,
        segment: &Segment,
    ) -> Result<(), Abort> {
        let (transaction, now) = (self.transaction, self.now);
        let Some(outcome) = outcome(&segment.end) else {
            if let SegmentEnd::Retry { retry_state, .. } = &segment.end {
                retry_states::put(transaction, run, retry_state, now)?;
            }
            return Ok(());
        };
        if segment.attempt > 1 {
            retry_states::remove(transaction, run)?;
        }
        if outcome != "failed" {
            self.write_effects(run, number, segment)?;
        }
        transaction.execute(
            "INSERT INTO journal (run, segment, outcome, steps, committed_at)
             VALUES ($1, $2, $3, $4, $5)",
            params![
                run.0,
                integer(number),
                outcome,
                steps_json(run, segment)?,
                now.0
            ],
        )?;
        if segment.has_unsent_message && outcome != "failed" {
            release::on_unsent_message(transaction, run, now)?;
        }
        if number > 0 && outcome == "completed" {
            release::release_on_completion(transaction, run, now)?;
        }
        Ok(())
    }

    /// Writes what a segment staged, unless it failed.
    fn write_effects(&mut self, run: RunId, number: u32, segment: &Segment) -> Result<(), Abort> {
        let (transaction, now) = (self.transaction, self.now);
        let position = match &segment.resumed {
            Some(resumed) => waiting_runs::end_wait(transaction, run, resumed, now)?,
            None => None,
        };
        let mut claims = Vec::with_capacity(segment.claims.len());
        for claim in &segment.claims {
            claims.push(self.write_claim(run, claim)?);
        }
        for reuse in &segment.reuses {
            reuse::record(transaction, run, reuse, &claims)?;
        }
        for delivery in &segment.deliveries {
            self.write_delivery(run, number, delivery)?;
        }
        for name in &segment.contact_aliases {
            transaction.execute(
                "INSERT INTO contact_alias (run, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                params![run.0, name],
            )?;
        }
        if let SegmentEnd::Wait {
            wait: Some(wait), ..
        } = &segment.end
        {
            waiting_runs::add_wait(self.store, transaction, run, wait, position, now)?;
        }
        Ok(())
    }

    /// Records the claim of a code that was taken out of the pool.
    fn write_claim(&mut self, run: RunId, claim: &StagedClaim) -> Result<ClaimId, Abort> {
        let position = claim.code.position;
        let code_group = self
            .store
            .find_or_add_code_group(self.transaction, &claim.code_group)?;
        let id = self.next_id(IdOf::Claim)?;
        self.transaction.execute(
            "INSERT INTO claim (id, run, step, visit, ordinal, code_group, expires_at, code_id,
                                code, contact, claimed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            params![
                id,
                run.0,
                claim.step.step,
                integer(claim.step.visit),
                integer(claim.step.ordinal),
                code_group,
                position.expires.0,
                position.id,
                claim.code.code,
                claim.contact,
                self.now.0,
            ],
        )?;
        self.claims.push(code_group);
        Ok(ClaimId(id))
    }

    fn write_delivery(
        &self,
        run: RunId,
        segment: u32,
        delivery: &StagedDelivery,
    ) -> Result<(), Abort> {
        let earlier = match segment {
            0 => None,
            _ => earliest_carried_expiry(self.transaction, run, delivery)?,
        };
        let new = deliveries::begin(delivery.due, delivery.expires, earlier, self.now);
        let id = self.next_id(IdOf::Delivery)?;
        self.transaction.execute(
            "INSERT INTO delivery (id, run, step, visit, ordinal, channel, address, message,
                                   content, state, attempts, due_at, expires_at, error,
                                   created_at, allowed_hours)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15)",
            params![
                id,
                run.0,
                delivery.step.step,
                integer(delivery.step.visit),
                integer(delivery.step.ordinal),
                delivery.channel.name(),
                delivery.address,
                delivery.message,
                alternatives::content_json(run, &delivery.content)?,
                <&str>::from(match new.error {
                    None => DeliveryState::Pending,
                    Some(_) => DeliveryState::Failed,
                }),
                new.due.map(|due| due.0),
                new.expires.0,
                new.error,
                self.now.0,
                delivery.hours.map(|hours| hours.to_string()),
            ],
        )?;
        if !delivery.alternatives.is_empty() {
            alternatives::add(self.transaction, run, DeliveryId(id), delivery)?;
        }
        Ok(())
    }
}

/// Returns the stored name of a segment's outcome; `None` if the segment is retried.
pub(super) fn outcome(end: &SegmentEnd) -> Option<&'static str> {
    match end {
        SegmentEnd::Retry { .. } => None,
        SegmentEnd::Completed => Some("completed"),
        SegmentEnd::Failed { .. } => Some("failed"),
        SegmentEnd::Wait { .. } => Some("waiting"),
    }
}

/// Serialises the steps of a segment.
pub(super) fn steps_json(run: RunId, segment: &Segment) -> Result<String> {
    serde_json::to_string(&segment.steps)
        .map_err(|error| damaged(format!("the steps of run {run}"), error))
}

/// Serialises the values of a run after a segment.
pub(super) fn data_json(after: &RunAfter<'_>) -> Result<Option<String>> {
    let data = after.data.map(serde_json::to_string).transpose();
    data.map_err(|error| damaged("the values of a run", error))
}

/// Serialises the parameters of an event.
pub(super) fn params_json(event: &Event) -> Result<String> {
    serde_json::to_string(&event.params).map_err(|error| damaged("an event's parameters", error))
}

/// Returns the earliest expiry of the run's codes that a delivery carries, from any segment.
fn earliest_carried_expiry(
    transaction: &Transaction<'_>,
    run: RunId,
    delivery: &StagedDelivery,
) -> Result<Option<Timestamp>> {
    let rows = transaction.rows(
        "SELECT expires_at, code FROM claim
         WHERE (run = $1 OR id IN (SELECT claim FROM code_reuse WHERE run = $1))
             AND NOT EXISTS (SELECT 1 FROM expired_grant WHERE expired_grant.claim = claim.id)
         ORDER BY expires_at",
        params![run.0],
    )?;
    for row in rows {
        if delivery.contains_code(&row.get::<String>(1)?) {
            return Ok(Some(Timestamp(row.get(0)?)));
        }
    }
    Ok(None)
}
