//! Writes a segment's journal entry and staged effects.

use rusqlite::{Connection, params};

use super::{Abort, CommitTx, cached_statement};
use crate::{Result, alternatives, damaged, release, retry_states, reuse, waiting_runs};
use promoflow_model::clock::Timestamp;
use promoflow_store::rules::deliveries;
use promoflow_store::{
    ClaimId, DeliveryId, DeliveryState, RunId, Segment, SegmentEnd, StagedClaim, StagedDelivery,
};

/// Records a claim.
pub(crate) const INSERT_CLAIM: &str =
    "INSERT INTO claim (run, step, visit, ordinal, code_group, expires_at, code_id, code, contact,
                        claimed_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

impl CommitTx<'_> {
    /// Writes the journal entry of a segment and what it staged.
    pub(super) fn write_segment(
        &mut self,
        run: RunId,
        number: u32,
        segment: &Segment,
    ) -> Result<(), Abort> {
        let outcome = match &segment.end {
            SegmentEnd::Retry { retry_state, .. } => {
                retry_states::put(self.connection, run, retry_state, self.now)?;
                return Ok(());
            }
            SegmentEnd::Completed => "completed",
            SegmentEnd::Failed { .. } => "failed",
            SegmentEnd::Wait { .. } => "waiting",
        };
        if segment.attempt > 1 {
            retry_states::remove(self.connection, run)?;
        }
        if outcome != "failed" {
            let position = match &segment.resumed {
                Some(resumed) => waiting_runs::end_wait(self.connection, run, resumed, self.now)?,
                None => None,
            };
            let mut claims = Vec::with_capacity(segment.claims.len());
            for claim in &segment.claims {
                claims.push(self.write_claim(run, claim)?);
            }
            for reuse in &segment.reuses {
                reuse::record(self.connection, run, reuse, &claims)?;
            }
            for delivery in &segment.deliveries {
                self.write_delivery(run, number, delivery)?;
            }
            for name in &segment.contact_aliases {
                self.connection
                    .prepare_cached(
                        "INSERT OR IGNORE INTO contact_alias (run, name) VALUES (?1, ?2)",
                    )?
                    .execute(params![run.0, name])?;
            }
            if let SegmentEnd::Wait {
                wait: Some(wait), ..
            } = &segment.end
            {
                waiting_runs::add_wait(
                    self.connection,
                    self.code_groups,
                    run,
                    wait,
                    position,
                    self.now,
                )?;
            }
        }
        let steps = serde_json::to_string(&segment.steps)
            .map_err(|error| damaged(format!("the steps of run {run}"), error))?;
        cached_statement(
            &mut self.statements.journal,
            self.connection,
            "INSERT INTO journal (run, segment, outcome, steps, committed_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![run.0, number, outcome, steps, self.now.0])?;
        if segment.has_unsent_message && outcome != "failed" {
            release::on_unsent_message(self.connection, run, self.now)?;
        }
        if number > 0 && outcome == "completed" {
            release::release_on_completion(self.connection, run, self.now)?;
        }
        Ok(())
    }

    /// Records the claim of a code that was taken out of the pool.
    fn write_claim(&mut self, run: RunId, claim: &StagedClaim) -> Result<ClaimId, Abort> {
        let position = claim.code.position;
        let code_group = self.code_groups.find(self.connection, &claim.code_group)?;
        cached_statement(&mut self.statements.claim, self.connection, INSERT_CLAIM)?.execute(
            params![
                run.0,
                claim.step.step,
                claim.step.visit,
                claim.step.ordinal,
                code_group,
                position.expires.0,
                position.id,
                claim.code.code,
                claim.contact,
                self.now.0,
            ],
        )?;
        Ok(ClaimId(self.connection.last_insert_rowid()))
    }

    fn write_delivery(
        &mut self,
        run: RunId,
        segment: u32,
        delivery: &StagedDelivery,
    ) -> Result<(), Abort> {
        let earlier = match segment {
            0 => None,
            _ => earliest_carried_expiry(self.connection, run, delivery)?,
        };
        let new = deliveries::begin(delivery.due, delivery.expires, earlier, self.now);
        cached_statement(
            &mut self.statements.delivery,
            self.connection,
            "INSERT INTO delivery (run, step, visit, ordinal, channel, address, message,
                                   content, state, attempts, due_at, expires_at, error,
                                   created_at, allowed_hours)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            run.0,
            delivery.step.step,
            delivery.step.visit,
            delivery.step.ordinal,
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
        ])?;
        if !delivery.alternatives.is_empty() {
            let id = DeliveryId(self.connection.last_insert_rowid());
            alternatives::add(self.connection, run, id, delivery)?;
        }
        Ok(())
    }
}

/// Returns the earliest expiry of the run's codes that a delivery carries, from any segment.
fn earliest_carried_expiry(
    connection: &Connection,
    run: RunId,
    delivery: &StagedDelivery,
) -> Result<Option<Timestamp>> {
    let mut statement = connection.prepare_cached(
        "SELECT expires_at, code FROM claim
         WHERE (run = ?1 OR id IN (SELECT claim FROM code_reuse WHERE run = ?1))
             AND id NOT IN (SELECT claim FROM expired_grant)
         ORDER BY expires_at",
    )?;
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let code: String = row.get(1)?;
        if delivery.contains_code(&code) {
            return Ok(Some(Timestamp(row.get(0)?)));
        }
    }
    Ok(None)
}
