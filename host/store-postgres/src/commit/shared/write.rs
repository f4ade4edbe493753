//! The second round trip: adds the rows of events and segments.

use promoflow_model::clock::Timestamp;
use promoflow_store::rules::runs::{self, keeps_effects};
use promoflow_store::rules::{deliveries, runs::RunAfter};
use promoflow_store::{DeliveryState, RunId, Segment, StagedClaim, StagedDelivery};

use super::lock::Found;
use super::rows::{ClaimRows, DeliveryRows, JournalRows, NewRuns, RunChanges, TraceRows};
use super::{EffectIds, Member, NewEvent, Work};
use crate::alternatives::content_json;
use crate::commit::claim_codes::claims_to_take;
use crate::commit::effects::{data_json, outcome, steps_json};
use crate::connection::integer;
use crate::counts;
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// The rows to add.
struct Writer<'f> {
    found: &'f Found,
    ids: EffectIds,
    now: Timestamp,
    traces: TraceRows,
    new_runs: NewRuns,
    run_changes: RunChanges,
    claims: ClaimRows,
    deliveries: DeliveryRows,
    journal: JournalRows,
}

/// Sends the rows of events and segments with the commit.
pub(super) fn write(
    transaction: &Transaction<'_>,
    members: &[Member<'_>],
    ids: EffectIds,
    found: &Found,
    now: Timestamp,
) -> Result<()> {
    let mut writer = Writer {
        found,
        ids,
        now,
        traces: TraceRows::default(),
        new_runs: NewRuns::default(),
        run_changes: RunChanges::default(),
        claims: ClaimRows::default(),
        deliveries: DeliveryRows::default(),
        journal: JournalRows::default(),
    };
    for member in members {
        match &member.work {
            Work::Accept(event) => writer.add_event(event)?,
            Work::Segment(segment) => writer.add_change(segment)?,
            Work::Known(_) | Work::Attempts(_) => {}
        }
        for (run, number, segment) in member.work.segments() {
            writer.add_segment(run, number, segment)?;
        }
    }
    counts::add_runs(transaction, writer.new_runs.id.len())?;
    counts::add_claims(transaction, writer.claims.code_group.iter().copied())?;
    writer.traces.send(transaction);
    writer.new_runs.send(transaction, now);
    writer.run_changes.send(transaction);
    writer.claims.send(transaction, now);
    writer.deliveries.send(transaction, now);
    writer.journal.send(transaction, now);
    Ok(())
}

impl Writer<'_> {
    fn add_event(&mut self, event: &NewEvent<'_>) -> Result<()> {
        let origin = event.accept.event.origin.as_ref();
        if let Some(parent) = origin.and_then(|origin| origin.parent) {
            self.traces.event.push(event.id);
            self.traces.trace_id.push(parent.trace.to_vec());
            self.traces.span_id.push(parent.span.to_vec());
            self.traces.sampled.push(i32::from(parent.sampled));
        }
        for (run, start) in event.runs.iter().zip(&event.accept.starts) {
            let after = runs::after(start.segment.as_ref(), self.now);
            let rows = &mut self.new_runs;
            rows.id.push(*run);
            rows.event.push(event.id);
            rows.workflow.push(start.workflow.0);
            rows.config_version.push(self.found.config);
            rows.state.push(after.state.into());
            rows.segment.push(i32::from(after.is_segment_finished));
            rows.step.push(integer(after.step.unwrap_or(0)));
            rows.attempt.push(integer(after.attempt));
            rows.due_at.push(after.due.map(|due| due.0));
            rows.data.push(data_json(&after)?);
            rows.error.push(after.error.map(str::to_owned));
            rows.finished_at.push(finished(&after));
        }
        Ok(())
    }

    fn add_change(&mut self, segment: &Segment) -> Result<()> {
        let Some((run, _)) = segment.run else {
            return Ok(());
        };
        let after = runs::after(Some(segment), self.now);
        let rows = &mut self.run_changes;
        rows.id.push(run.0);
        rows.state.push(after.state.into());
        rows.step.push(after.step.map(integer));
        rows.attempt.push(integer(after.attempt));
        rows.due_at.push(after.due.map(|due| due.0));
        rows.data.push(data_json(&after)?);
        rows.error.push(after.error.map(str::to_owned));
        rows.finished_at.push(finished(&after));
        Ok(())
    }

    fn add_segment(&mut self, run: i64, number: u32, segment: &Segment) -> Result<()> {
        let Some(outcome) = outcome(&segment.end) else {
            return Err(damaged("a segment", "it is retried"));
        };
        for claim in claims_to_take(segment) {
            self.add_claim(run, claim)?;
        }
        if keeps_effects(&segment.end) {
            for delivery in &segment.deliveries {
                self.add_delivery(run, delivery)?;
            }
        }
        let rows = &mut self.journal;
        rows.run.push(run);
        rows.segment.push(integer(number));
        rows.outcome.push(outcome);
        rows.steps.push(steps_json(RunId(run), segment)?);
        Ok(())
    }

    fn add_claim(&mut self, run: i64, claim: &StagedClaim) -> Result<()> {
        let code_group = self.found.code_groups.get(&claim.code_group);
        let code_group =
            code_group.ok_or_else(|| damaged("a claim", "its code group is missing"))?;
        let (rows, position) = (&mut self.claims, claim.code.position);
        rows.id.push(self.ids.claim()?);
        rows.run.push(run);
        rows.step.push(claim.step.step.clone());
        rows.visit.push(integer(claim.step.visit));
        rows.ordinal.push(integer(claim.step.ordinal));
        rows.code_group.push(*code_group);
        rows.expires_at.push(position.expires.0);
        rows.code_id.push(position.id);
        rows.code.push(claim.code.code.clone());
        rows.contact.push(claim.contact.clone());
        Ok(())
    }

    fn add_delivery(&mut self, run: i64, delivery: &StagedDelivery) -> Result<()> {
        let carried = self.found.carried.get(&run).into_iter().flatten();
        let earlier = carried
            .filter(|(_, code)| delivery.contains_code(code))
            .map(|(expires, _)| *expires)
            .min();
        let new = deliveries::begin(delivery.due, delivery.expires, earlier, self.now);
        let rows = &mut self.deliveries;
        rows.id.push(self.ids.delivery()?);
        rows.run.push(run);
        rows.step.push(delivery.step.step.clone());
        rows.visit.push(integer(delivery.step.visit));
        rows.ordinal.push(integer(delivery.step.ordinal));
        rows.channel.push(delivery.channel.name());
        rows.address.push(delivery.address.clone());
        rows.message.push(delivery.message.clone());
        rows.content
            .push(content_json(RunId(run), &delivery.content)?);
        let state = match new.error {
            None => DeliveryState::Pending,
            Some(_) => DeliveryState::Failed,
        };
        rows.state.push(state.into());
        rows.due_at.push(new.due.map(|due| due.0));
        rows.expires_at.push(new.expires.0);
        rows.error.push(new.error);
        rows.allowed_hours
            .push(delivery.hours.map(|hours| hours.to_string()));
        Ok(())
    }
}

fn finished(after: &RunAfter<'_>) -> Option<i64> {
    after.finished.map(|finished| finished.0)
}
