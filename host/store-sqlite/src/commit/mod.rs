//! The commit: a batch of units in one durable transaction.
//!
//! A rejected unit leaves nothing behind and does not affect the others. Savepoints would achieve
//! that by copying every page that a unit touches. Instead, each unit first checks everything that
//! may reject it, then takes its codes, which is the only step that can still fail, and then writes
//! the rest. If taking codes fails, those already taken are put back.

mod effects;
mod take;

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use take::kept;

use super::after::After;
use super::{
    Error, LaneIds, Result, attempts, contacts, damaged, number_setting, release, reuse, starts,
    traces, unreadable, waiters,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::event::Event;
use promoflow_store::{
    Accept, EventRow, Reply, RunId, Segment, SegmentEnd, Stale, Unit, WorkflowRow,
};

/// Commits units. Returns the replies, and true if codes went back to the pool.
pub(super) fn commit(
    connection: &Connection,
    lanes: &mut LaneIds,
    units: &[Unit],
    now: Timestamp,
) -> Result<(Vec<Reply>, bool)> {
    let generation = number_setting(connection, "pool-generation")?;
    let mut work = Work {
        connection,
        lanes,
        now,
        config: number_setting(connection, "config")?,
        rules: starts::any(connection)?,
        contacts: contacts::awake(connection)?,
        hot: Hot::default(),
    };
    let replies = units
        .iter()
        .map(|unit| work.unit(unit))
        .collect::<Result<_>>()?;
    let released = number_setting(connection, "pool-generation")? != generation;
    Ok((replies, released))
}

struct Work<'w> {
    connection: &'w Connection,
    lanes: &'w mut LaneIds,
    now: Timestamp,
    config: i64,
    /// True if any workflow has a start rule; otherwise nothing is looked up for rules.
    rules: bool,
    /// True if events add to the contact directory.
    contacts: bool,
    hot: Hot<'w>,
}

/// The statements that every run needs, kept for the whole batch: looking each up by its text in
/// the statement cache takes as long as executing some of them.
#[derive(Default)]
struct Hot<'w> {
    event: Option<CachedStatement<'w>>,
    run: Option<CachedStatement<'w>>,
    take: Option<CachedStatement<'w>>,
    claim: Option<CachedStatement<'w>>,
    delivery: Option<CachedStatement<'w>>,
    journal: Option<CachedStatement<'w>>,
}

/// Returns the statement in a slot, preparing it on first use.
fn hot<'s, 'w>(
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
enum Stop {
    Stale(Stale),
    Store(Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Store(error.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Store(error)
    }
}

impl Work<'_> {
    fn unit(&mut self, unit: &Unit) -> Result<Reply> {
        let reply = match unit {
            Unit::Accept(accept) => self.accept(accept),
            Unit::Segment(segment) => self.go_on(segment),
            Unit::Attempts(step) => Ok(attempts::commit(self.connection, step, self.now)?),
        };
        match reply {
            Ok(reply) => Ok(reply),
            Err(Stop::Stale(stale)) => Ok(Reply::Stale(stale)),
            Err(Stop::Store(error)) => Err(error),
        }
    }

    fn accept(&mut self, accept: &Accept) -> Result<Reply, Stop> {
        let event = &accept.event;
        if event.id.is_some()
            && let Some(known) = self.known_event(event)?
        {
            return Ok(known);
        }
        if accept.config.0 != self.config {
            return Err(Stop::Stale(Stale::Config));
        }
        let stopped = match self.rules {
            true => starts::stopped_by(self.connection, event)?,
            false => Vec::new(),
        };
        let mut allowed = Vec::with_capacity(accept.starts.len());
        for start in &accept.starts {
            allowed.push(match &start.rule {
                Some(rule) => starts::held_off(self.connection, event, rule, self.now)?.is_none(),
                None => true,
            });
        }
        let starts = || {
            let judged = accept.starts.iter().zip(&allowed);
            judged.map(|(start, allowed)| allowed.then_some(start))
        };
        self.take(
            starts()
                .flatten()
                .filter_map(|start| start.segment.as_ref()),
        )?;
        let params = serde_json::to_string(&event.params)
            .map_err(|error| damaged("an event's parameters", error))?;
        hot(
            &mut self.hot.event,
            self.connection,
            "INSERT INTO event (event_id, type, key, params, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            event.id,
            event.event_type,
            event.key,
            params,
            self.now.0
        ])?;
        let row = EventRow(self.connection.last_insert_rowid());
        if let Some(parent) = event.origin.as_ref().and_then(|origin| origin.parent) {
            traces::put(self.connection, row, parent)?;
        }
        if self.contacts {
            contacts::fill(self.connection, &event.key, &event.params, self.now)?;
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
            let run = self.start(row, start.workflow, start.segment.as_ref())?;
            if let Some(rule) = &start.rule {
                starts::record(self.connection, &event.key, rule, run)?;
                self.rules = true;
            }
            runs.push(Some(run));
        }
        Ok(Reply::Accepted { event: row, runs })
    }

    fn known_event(&self, event: &Event) -> Result<Option<Reply>> {
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
            return Ok(Some(Reply::Conflict));
        }
        let runs = self
            .connection
            .prepare_cached("SELECT id FROM run WHERE event = ?1 ORDER BY id")?
            .query_map([row], |row| row.get(0).map(RunId))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(Reply::Duplicate {
            event: EventRow(row),
            runs,
        }))
    }

    fn start(
        &mut self,
        event: EventRow,
        workflow: WorkflowRow,
        segment: Option<&Segment>,
    ) -> Result<RunId, Stop> {
        let after = After::of(segment, self.now)?;
        hot(
            &mut self.hot.run,
            self.connection,
            "INSERT INTO run (event, workflow, config, state, segment, step, attempt, due,
                                  data, error, started, finished)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            event.0,
            workflow.0,
            self.config,
            after.state,
            after.advance,
            after.step.unwrap_or(0),
            after.attempt,
            after.due,
            after.data,
            after.error,
            self.now.0,
            after.finished,
        ])?;
        let run = RunId(self.connection.last_insert_rowid());
        if let Some(segment) = segment {
            self.segment(run, 0, segment)?;
        }
        Ok(run)
    }

    fn go_on(&mut self, segment: &Segment) -> Result<Reply, Stop> {
        let Some((run, number)) = segment.run else {
            return Err(Stop::Stale(Stale::Run));
        };
        if let Some(found) = &segment.resumed
            && !matches!(segment.end, SegmentEnd::Retry { .. })
            && !waiters::unchanged(self.connection, run, found, self.now)?
        {
            return Err(Stop::Stale(Stale::Run));
        }
        self.take(std::iter::once(segment))?;
        let after = After::of(Some(segment), self.now)?;
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE run SET state = ?3, segment = segment + ?4, step = coalesce(?5, step),
                     attempt = ?6, due = ?7, data = coalesce(?8, data), error = ?9, finished = ?10
                 WHERE id = ?1 AND segment = ?2 AND state IN ('running', 'waiting')",
            )?
            .execute(params![
                run.0,
                number,
                after.state,
                after.advance,
                after.step,
                after.attempt,
                after.due,
                after.data,
                after.error,
                after.finished,
            ])?;
        if changed == 0 {
            for claim in kept(segment) {
                self.put_back(claim)?;
            }
            return Err(Stop::Stale(Stale::Run));
        }
        self.segment(run, number, segment)?;
        Ok(Reply::Done)
    }
}
