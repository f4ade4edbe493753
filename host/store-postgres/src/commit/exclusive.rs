//! The commit of units one after another, in a transaction beside which no other one writes.
//!
//! A rejected unit leaves nothing behind and does not affect the others. Each unit first checks
//! everything that may reject it, then takes its codes, which is the only step that can still fail,
//! and then writes the rest. If taking codes fails, those already taken are put back.

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_store::rules::runs;
use promoflow_store::{
    AcceptEvent, CommitReply, CommitUnit, EventRowId, RunId, Segment, SegmentEnd, Stale,
    WorkflowVersionId,
};

use super::claim_codes::claims_to_take;
use super::effects::{data_json, params_json};
use super::known_events::find_duplicate;
use crate::connection::{integer, params};
use crate::errors::{Error, Result};
use crate::sequences::IdOf;
use crate::settings::number_setting;
use crate::transaction::Transaction;
use crate::{
    PostgresStore, attempts, contacts, counts, release, start_rules, traces, waiting_runs,
};

/// Commits units. Returns the replies, and true if codes went back to the pool.
pub(super) fn commit(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
    units: &[&CommitUnit],
    clock: &dyn Clock,
) -> Result<(Vec<CommitReply>, bool)> {
    let generation = number_setting(transaction, "pool-generation")?;
    let mut commit = ExclusiveCommit {
        store,
        transaction,
        config: number_setting(transaction, "config-version")?,
        rules: transaction.exists(start_rules::ANY_RULE, &[])?,
        contacts: contacts::are_enabled(transaction)?,
        // Read once the locks are held, because codes may expire while waiting for them.
        now: clock.now(),
        runs: 0,
        claims: Vec::new(),
    };
    let replies = units
        .iter()
        .map(|unit| commit.commit_unit(unit))
        .collect::<Result<_>>()?;
    counts::add_runs(transaction, commit.runs)?;
    counts::add_claims(transaction, commit.claims)?;
    let released = number_setting(transaction, "pool-generation")? != generation;
    Ok((replies, released))
}

pub(super) struct ExclusiveCommit<'c> {
    pub(super) store: &'c PostgresStore,
    pub(super) transaction: &'c Transaction<'c>,
    pub(super) now: Timestamp,
    config: i64,
    /// True if any workflow has a start rule; otherwise nothing is looked up for rules.
    rules: bool,
    /// True if events add to the contact directory.
    contacts: bool,
    /// The number of added runs.
    runs: usize,
    /// The code groups of the added claims.
    pub(super) claims: Vec<i64>,
}

/// The reason why a unit stops: outdated state, or a database error.
pub(super) enum Abort {
    Stale(Stale),
    Store(Error),
}

impl From<Error> for Abort {
    fn from(error: Error) -> Abort {
        Abort::Store(error)
    }
}

impl ExclusiveCommit<'_> {
    fn commit_unit(&mut self, unit: &CommitUnit) -> Result<CommitReply> {
        let reply = match unit {
            CommitUnit::Accept(accept) => self.accept_event(accept),
            CommitUnit::Segment(segment) => self.commit_segment(segment),
            CommitUnit::Attempts(step) => {
                let shares = &self.store.shares;
                Ok(attempts::commit(self.transaction, shares, step, self.now)?)
            }
        };
        match reply {
            Ok(reply) => Ok(reply),
            Err(Abort::Stale(stale)) => Ok(CommitReply::Stale(stale)),
            Err(Abort::Store(error)) => Err(error),
        }
    }

    fn accept_event(&mut self, accept: &AcceptEvent) -> Result<CommitReply, Abort> {
        let event = &accept.event;
        if let Some(known) = find_duplicate(self.transaction, event)? {
            return Ok(known);
        }
        if accept.config.0 != self.config {
            return Err(Abort::Stale(Stale::Config));
        }
        let stopped = match self.rules {
            true => start_rules::stopped_by(self.transaction, event)?,
            false => Vec::new(),
        };
        let mut allowed = Vec::with_capacity(accept.starts.len());
        for start in &accept.starts {
            allowed.push(match &start.rule {
                Some(rule) => {
                    let (transaction, now) = (self.transaction, self.now);
                    start_rules::start_blocked_by(transaction, event, rule, now)?.is_none()
                }
                None => true,
            });
        }
        let starts = || {
            let decided = accept.starts.iter().zip(&allowed);
            decided.map(|(start, allowed)| allowed.then_some(start))
        };
        self.take_codes(
            starts()
                .flatten()
                .filter_map(|start| start.segment.as_ref()),
        )?;
        let row = EventRowId(self.next_id(IdOf::Event)?);
        self.transaction.execute(
            "INSERT INTO event (id, event_id, type, key, params, accepted_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            params![
                row.0,
                event.id,
                event.event_type,
                event.key,
                params_json(event)?,
                self.now.0
            ],
        )?;
        if let Some(parent) = event.origin.as_ref().and_then(|origin| origin.parent) {
            traces::put(self.transaction, row, parent)?;
        }
        if self.contacts {
            contacts::add_from_event(self.transaction, &event.key, &event.params, self.now)?;
        }
        for run in stopped {
            let id = event.id.clone().unwrap_or_else(|| row.to_string());
            let why = format!("stopped by event {id} ({})", event.event_type);
            release::cancel(self.transaction, run, Some(&why), self.now)?;
        }
        let mut runs = Vec::with_capacity(accept.starts.len());
        for start in starts() {
            let Some(start) = start else {
                runs.push(None);
                continue;
            };
            let run = self.start_run(row, start.workflow, start.segment.as_ref())?;
            if let Some(rule) = &start.rule {
                start_rules::record(self.transaction, &event.key, rule, run)?;
                self.rules = true;
            }
            runs.push(Some(run));
        }
        Ok(CommitReply::Accepted { event: row, runs })
    }

    fn start_run(
        &mut self,
        event: EventRowId,
        workflow: WorkflowVersionId,
        segment: Option<&Segment>,
    ) -> Result<RunId, Abort> {
        let after = runs::after(segment, self.now);
        let run = RunId(self.next_id(IdOf::Run)?);
        self.transaction.execute(
            "INSERT INTO run (id, event, workflow, config_version, state, segment, step, attempt,
                              due_at, data, error, started_at, finished_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            params![
                run.0,
                event.0,
                workflow.0,
                self.config,
                <&str>::from(after.state),
                i32::from(after.is_segment_finished),
                integer(after.step.unwrap_or(0)),
                integer(after.attempt),
                after.due.map(|due| due.0),
                data_json(&after)?,
                after.error,
                self.now.0,
                after.finished.map(|finished| finished.0),
            ],
        )?;
        self.runs += 1;
        if let Some(segment) = segment {
            self.write_segment(run, 0, segment)?;
        }
        Ok(run)
    }

    fn commit_segment(&mut self, segment: &Segment) -> Result<CommitReply, Abort> {
        let Some((run, number)) = segment.run else {
            return Err(Abort::Stale(Stale::Run));
        };
        if let Some(found) = &segment.resumed
            && !matches!(segment.end, SegmentEnd::Retry { .. })
            && !waiting_runs::is_unchanged(self.transaction, run, found, self.now)?
        {
            return Err(Abort::Stale(Stale::Run));
        }
        self.take_codes(std::iter::once(segment))?;
        let after = runs::after(Some(segment), self.now);
        let changed = self.transaction.execute(
            "UPDATE run SET state = $3, segment = segment + $4, step = coalesce($5, step),
                 attempt = $6, due_at = $7, data = coalesce($8, data), error = $9,
                 finished_at = $10
             WHERE id = $1 AND segment = $2 AND state IN ('running', 'waiting')",
            params![
                run.0,
                integer(number),
                <&str>::from(after.state),
                i32::from(after.is_segment_finished),
                after.step.map(integer),
                integer(after.attempt),
                after.due.map(|due| due.0),
                data_json(&after)?,
                after.error,
                after.finished.map(|finished| finished.0),
            ],
        )?;
        if changed == 0 {
            for claim in claims_to_take(segment) {
                self.put_back(claim)?;
            }
            return Err(Abort::Stale(Stale::Run));
        }
        self.write_segment(run, number, segment)?;
        Ok(CommitReply::Done)
    }

    /// Returns an id for a new row.
    pub(super) fn next_id(&self, kind: IdOf) -> Result<i64> {
        self.store.pool.sequences.next(self.transaction, kind)
    }
}
