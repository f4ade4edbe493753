//! Writes a segment's journal entry and staged effects.

use rusqlite::{Connection, params};

use super::{Stop, Work, hot};
use crate::{Result, alternatives, attempts, damaged, release, reuse, troubles, waiters};
use promoflow_store::{
    ClaimId, DeliveryId, RunId, Segment, SegmentEnd, StagedClaim, StagedDelivery,
};

impl Work<'_> {
    /// Writes the journal entry of a segment and what it staged.
    pub(super) fn segment(
        &mut self,
        run: RunId,
        number: u32,
        segment: &Segment,
    ) -> Result<(), Stop> {
        let outcome = match &segment.end {
            SegmentEnd::Retry { trouble, .. } => {
                troubles::put(self.connection, run, trouble, self.now)?;
                return Ok(());
            }
            SegmentEnd::Completed => "completed",
            SegmentEnd::Failed { .. } => "failed",
            SegmentEnd::Wait { .. } => "waiting",
        };
        if segment.attempt > 1 {
            troubles::remove(self.connection, run)?;
        }
        if outcome != "failed" {
            let place = match &segment.resumed {
                Some(resumed) => waiters::settle(self.connection, run, resumed, self.now)?,
                None => None,
            };
            let mut claims = Vec::with_capacity(segment.claims.len());
            for claim in &segment.claims {
                claims.push(self.claim(run, claim)?);
            }
            for reuse in &segment.reuses {
                reuse::record(self.connection, run, reuse, &claims)?;
            }
            for delivery in &segment.deliveries {
                self.deliver(run, number, delivery)?;
            }
            for name in &segment.known_as {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO known_as (run, name) VALUES (?1, ?2)")?
                    .execute(params![run.0, name])?;
            }
            if let SegmentEnd::Wait {
                wait: Some(wait), ..
            } = &segment.end
            {
                waiters::add(self.connection, self.lanes, run, wait, place, self.now)?;
            }
        }
        let steps = serde_json::to_string(&segment.steps)
            .map_err(|error| damaged(format!("the steps of run {run}"), error))?;
        hot(
            &mut self.hot.journal,
            self.connection,
            "INSERT INTO journal (run, segment, outcome, steps, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![run.0, number, outcome, steps, self.now.0])?;
        if segment.unsent && outcome != "failed" {
            release::unsent(self.connection, run, self.now)?;
        }
        if number > 0 && outcome == "completed" {
            release::settle_unsent(self.connection, run, self.now)?;
        }
        Ok(())
    }

    /// Records the claim of a code that was taken out of the pool.
    fn claim(&mut self, run: RunId, claim: &StagedClaim) -> Result<ClaimId, Stop> {
        let position = claim.code.position;
        let lane = self.lanes.find(self.connection, &claim.lane)?;
        hot(
            &mut self.hot.claim,
            self.connection,
            "INSERT INTO claim
                     (run, step, visit, ordinal, lane, expires, code_id, code, contact, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            run.0,
            claim.step.step,
            claim.step.visit,
            claim.step.ordinal,
            lane,
            position.expires.0,
            position.id,
            claim.code.code,
            claim.contact,
            self.now.0,
        ])?;
        Ok(ClaimId(self.connection.last_insert_rowid()))
    }

    fn deliver(&mut self, run: RunId, segment: u32, delivery: &StagedDelivery) -> Result<(), Stop> {
        let mut expires = delivery.expires.0;
        if segment > 0
            && let Some(earlier) = first_carried(self.connection, run, delivery)?
        {
            expires = expires.min(earlier);
        }
        // A delivery that cannot begin before it expires fails now, not when it becomes due.
        let too_late = (expires <= delivery.due.0.max(self.now.0)).then_some(attempts::TOO_LATE);
        hot(
            &mut self.hot.delivery,
            self.connection,
            "INSERT INTO delivery (run, step, visit, ordinal, channel, address, message,
                                       content, state, attempts, due, expires, error, at, hours)
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
            alternatives::content(run, &delivery.content)?,
            match too_late {
                None => "pending",
                Some(_) => "failed",
            },
            too_late.is_none().then_some(delivery.due.0),
            expires,
            too_late,
            self.now.0,
            delivery.hours.map(|hours| hours.to_string()),
        ])?;
        if !delivery.others.is_empty() {
            let id = DeliveryId(self.connection.last_insert_rowid());
            alternatives::add(self.connection, run, id, delivery)?;
        }
        Ok(())
    }
}

/// Returns the earliest expiry of the run's codes that a delivery carries, from any segment.
fn first_carried(
    connection: &Connection,
    run: RunId,
    delivery: &StagedDelivery,
) -> Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT expires, code FROM claim
         WHERE (run = ?1 OR id IN (SELECT claim FROM reused WHERE run = ?1))
             AND id NOT IN (SELECT claim FROM lapsed)
         ORDER BY expires",
    )?;
    let mut rows = statement.query([run.0])?;
    while let Some(row) = rows.next()? {
        let code: String = row.get(1)?;
        if delivery.shows(&code) {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
}
