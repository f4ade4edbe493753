//! The commit: a batch of units in one durable transaction.
//!
//! A rejected unit leaves nothing behind and does not affect the others. Savepoints would achieve
//! that by copying every page that a unit touches. Instead, each unit first checks everything that
//! may reject it, then takes its codes, which is the only step that can still fail, and then writes
//! the rest. If taking codes fails, those already taken are put back.

mod claim_codes;
mod effects;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use claim_codes::claims_to_take;
pub(super) use effects::INSERT_CLAIM;

use super::{
    CodeGroupIds, Error, Failpoint, Result, SqliteStore, StoreResult, attempts, contacts, damaged,
    failpoint, number_setting, release, reuse, start_rules, traces, unreadable, waiting_runs,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_store::rules::batch;
use promoflow_store::rules::runs::{self, RunAfter};
use promoflow_store::{
    AcceptEvent, CommitReply, CommitStore, CommitUnit, EventRowId, RunId, Segment, SegmentEnd,
    Stale, WorkflowVersionId,
};

/// Commits units. Returns the replies, and true if codes went back to the pool.
pub(super) fn commit(
    connection: &Connection,
    code_groups: &mut CodeGroupIds,
    units: &[CommitUnit],
    now: Timestamp,
) -> Result<(Vec<CommitReply>, bool)> {
    let generation = number_setting(connection, "pool-generation")?;
    let mut tx = CommitTx {
        connection,
        code_groups,
        now,
        config: number_setting(connection, "config-version")?,
        rules: start_rules::any_rule(connection)?,
        contacts: contacts::are_enabled(connection)?,
        statements: StatementCache::default(),
    };
    let replies = units
        .iter()
        .map(|unit| tx.commit_unit(unit))
        .collect::<Result<_>>()?;
    let released = number_setting(connection, "pool-generation")? != generation;
    Ok((replies, released))
}

struct CommitTx<'w> {
    connection: &'w Connection,
    code_groups: &'w mut CodeGroupIds,
    now: Timestamp,
    config: i64,
    /// True if any workflow has a start rule; otherwise nothing is looked up for rules.
    rules: bool,
    /// True if events add to the contact directory.
    contacts: bool,
    statements: StatementCache<'w>,
}

/// The statements that every run needs, kept for the whole batch: looking each up by its text in
/// the statement cache takes as long as executing some of them.
#[derive(Default)]
struct StatementCache<'w> {
    event: Option<CachedStatement<'w>>,
    run: Option<CachedStatement<'w>>,
    take: Option<CachedStatement<'w>>,
    claim: Option<CachedStatement<'w>>,
    delivery: Option<CachedStatement<'w>>,
    journal: Option<CachedStatement<'w>>,
}

/// Returns the statement in a slot, preparing it on first use.
fn cached_statement<'s, 'w>(
    slot: &'s mut Option<CachedStatement<'w>>,
    connection: &'w Connection,
    sql: &str,
) -> Result<&'s mut CachedStatement<'w>> {
    Ok(match slot {
        Some(statement) => statement,
        None => slot.insert(connection.prepare_cached(sql)?),
    })
}

/// The reason why a unit stops: outdated state, or a database error.
enum Abort {
    Stale(Stale),
    Store(Error),
}

impl From<rusqlite::Error> for Abort {
    fn from(error: rusqlite::Error) -> Abort {
        Abort::Store(error.into())
    }
}

impl From<Error> for Abort {
    fn from(error: Error) -> Abort {
        Abort::Store(error)
    }
}

impl CommitTx<'_> {
    fn commit_unit(&mut self, unit: &CommitUnit) -> Result<CommitReply> {
        let reply = match unit {
            CommitUnit::Accept(accept) => self.accept_event(accept),
            CommitUnit::Segment(segment) => self.commit_segment(segment),
            CommitUnit::Attempts(step) => Ok(attempts::commit(self.connection, step, self.now)?),
        };
        match reply {
            Ok(reply) => Ok(reply),
            Err(Abort::Stale(stale)) => Ok(CommitReply::Stale(stale)),
            Err(Abort::Store(error)) => Err(error),
        }
    }

    fn accept_event(&mut self, accept: &AcceptEvent) -> Result<CommitReply, Abort> {
        let event = &accept.event;
        if event.id.is_some()
            && let Some(known) = self.find_duplicate(event)?
        {
            return Ok(known);
        }
        if accept.config.0 != self.config {
            return Err(Abort::Stale(Stale::Config));
        }
        let stopped = match self.rules {
            true => start_rules::stopped_by(self.connection, event)?,
            false => Vec::new(),
        };
        let mut allowed = Vec::with_capacity(accept.starts.len());
        for start in &accept.starts {
            allowed.push(match &start.rule {
                Some(rule) => {
                    start_rules::start_blocked_by(self.connection, event, rule, self.now)?.is_none()
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
        let params = serde_json::to_string(&event.params)
            .map_err(|error| damaged("an event's parameters", error))?;
        cached_statement(
            &mut self.statements.event,
            self.connection,
            "INSERT INTO event (event_id, type, key, params, accepted_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            event.id,
            event.event_type,
            event.key,
            params,
            self.now.0
        ])?;
        let row = EventRowId(self.connection.last_insert_rowid());
        if let Some(parent) = event.origin.as_ref().and_then(|origin| origin.parent) {
            traces::put(self.connection, row, parent)?;
        }
        if self.contacts {
            contacts::add_from_event(self.connection, &event.key, &event.params, self.now)?;
        }
        for run in stopped {
            let id = event.id.clone().unwrap_or_else(|| row.to_string());
            let why = format!("stopped by event {id} ({})", event.event_type);
            release::cancel(self.connection, run, Some(&why), self.now)?;
        }
        let mut runs = Vec::with_capacity(accept.starts.len());
        for start in starts() {
            let Some(start) = start else {
                runs.push(None);
                continue;
            };
            let run = self.start_run(row, start.workflow, start.segment.as_ref())?;
            if let Some(rule) = &start.rule {
                start_rules::record(self.connection, &event.key, rule, run)?;
                self.rules = true;
            }
            runs.push(Some(run));
        }
        Ok(CommitReply::Accepted { event: row, runs })
    }

    fn find_duplicate(&self, event: &Event) -> Result<Option<CommitReply>> {
        let found = self
            .connection
            .prepare_cached("SELECT id, type, key, params FROM event WHERE event_id = ?1")?
            .query_row([&event.id], |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get::<_, String>(3)?,
                ))
            })
            .optional()?;
        let Some((row, kind, key, params)) = found else {
            return Ok(None);
        };
        let params: Map<String, Value> = serde_json::from_str(&params)
            .map_err(|error| unreadable(format!("the parameters of event {row}"), &error))?;
        let known = Event {
            id: event.id.clone(),
            event_type: kind,
            key,
            params,
            origin: None,
        };
        if known.fingerprint() != event.fingerprint() {
            return Ok(Some(CommitReply::Conflict));
        }
        let runs = self
            .connection
            .prepare_cached("SELECT id FROM run WHERE event = ?1 ORDER BY id")?
            .query_map([row], |row| row.get(0).map(RunId))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(CommitReply::Duplicate {
            event: EventRowId(row),
            runs,
        }))
    }

    fn start_run(
        &mut self,
        event: EventRowId,
        workflow: WorkflowVersionId,
        segment: Option<&Segment>,
    ) -> Result<RunId, Abort> {
        let after = runs::after(segment, self.now);
        cached_statement(
            &mut self.statements.run,
            self.connection,
            "INSERT INTO run (event, workflow, config_version, state, segment, step, attempt,
                              due_at, data, error, started_at, finished_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event.0,
            workflow.0,
            self.config,
            <&str>::from(after.state),
            after.is_segment_finished,
            after.step.unwrap_or(0),
            after.attempt,
            after.due.map(|due| due.0),
            data_json(&after)?,
            after.error,
            self.now.0,
            after.finished.map(|finished| finished.0),
        ])?;
        let run = RunId(self.connection.last_insert_rowid());
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
            && !waiting_runs::is_unchanged(self.connection, run, found, self.now)?
        {
            return Err(Abort::Stale(Stale::Run));
        }
        self.take_codes(std::iter::once(segment))?;
        let after = runs::after(Some(segment), self.now);
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE run SET state = ?3, segment = segment + ?4, step = coalesce(?5, step),
                     attempt = ?6, due_at = ?7, data = coalesce(?8, data), error = ?9,
                     finished_at = ?10
                 WHERE id = ?1 AND segment = ?2 AND state IN ('running', 'waiting')",
            )?
            .execute(params![
                run.0,
                number,
                <&str>::from(after.state),
                after.is_segment_finished,
                after.step,
                after.attempt,
                after.due.map(|due| due.0),
                data_json(&after)?,
                after.error,
                after.finished.map(|finished| finished.0),
            ])?;
        if changed == 0 {
            for claim in claims_to_take(segment) {
                self.put_back(claim)?;
            }
            return Err(Abort::Stale(Stale::Run));
        }
        self.write_segment(run, number, segment)?;
        Ok(CommitReply::Done)
    }
}

/// Serialises the values of a run after a segment.
fn data_json(after: &RunAfter<'_>) -> Result<Option<String>> {
    let data = after.data.map(serde_json::to_string).transpose();
    data.map_err(|error| damaged("the values of a run", error))
}

impl CommitStore for SqliteStore {
    fn commit(&self, units: &[CommitUnit], clock: &dyn Clock) -> StoreResult<Vec<CommitReply>> {
        let commit_units = |units: &[CommitUnit]| -> StoreResult<Vec<CommitReply>> {
            let (replies, released) = self.write(|connection, code_groups| {
                let done = commit(connection, code_groups, units, clock.now())?;
                failpoint::pass(Failpoint::InsideCommit);
                Ok(done)
            })?;
            if released {
                self.pool_changed();
            }
            Ok(replies)
        };
        match commit_units(units) {
            Err(error) if units.len() > 1 && batch::may_commit_some(&error) => {
                tracing::warn!("the batch failed and is committed unit by unit: {error}");
                batch::commit_individually(units, commit_units)
            }
            other => other,
        }
    }
}
