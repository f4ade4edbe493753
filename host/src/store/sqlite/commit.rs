//! The commit: a batch of units in one durable transaction.
//!
//! A unit that is refused leaves nothing behind and the others stand. Savepoints would do that by
//! copying every page that a unit touches; here each unit asks first what may refuse it, takes its
//! codes, which alone can still fail, and writes the rest after that. Codes that were taken in
//! vain are put back as they were.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::after::After;
use super::{
    LaneIds, Result, alternatives, attempts, contacts, damaged, number_setting, release, reuse,
    starts, traces, troubles, unreadable, waiters,
};
use crate::clock::Timestamp;
use crate::event::Event;
use crate::store::{
    Accept, ClaimId, DeliveryId, EventRow, Exhausted, Reply, RunId, Segment, SegmentEnd,
    StagedClaim, StagedDelivery, Stale, Unit, WorkflowRow,
};

/// The answers, and whether codes went back to the pool.
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
    /// Whether a run asks anything of others; where none does, nothing is looked up for that.
    rules: bool,
    /// Whether events fill contacts.
    contacts: bool,
    hot: Hot<'w>,
}

/// The statements that every run needs, kept at hand throughout a batch: looking each up by its
/// text takes as long as some of them do.
#[derive(Default)]
struct Hot<'w> {
    event: Option<CachedStatement<'w>>,
    run: Option<CachedStatement<'w>>,
    take: Option<CachedStatement<'w>>,
    claim: Option<CachedStatement<'w>>,
    delivery: Option<CachedStatement<'w>>,
    journal: Option<CachedStatement<'w>>,
}

/// The statement of a slot, prepared where it is not yet.
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

/// What stops a unit: it is no longer so, or the database failed.
enum Stop {
    Stale(Stale),
    Store(super::StoreError),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Store(error.into())
    }
}

impl From<super::StoreError> for Stop {
    fn from(error: super::StoreError) -> Stop {
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

    /// Takes the codes of a unit's segments, once nothing else can refuse it.
    fn take<'s>(
        &mut self,
        segments: impl Iterator<Item = &'s Segment> + Clone,
    ) -> Result<(), Stop> {
        let commits = segments
            .clone()
            .filter(|one| !matches!(one.end, SegmentEnd::Retry { .. }));
        for segment in segments.clone().filter(|one| is_kept(one)) {
            for reuse in &segment.reuses {
                if !reuse::holds(self.connection, reuse, self.now)? {
                    return Err(Stop::Stale(Stale::Reuse));
                }
            }
        }
        let claims = || segments.clone().flat_map(kept);
        for (count, claim) in claims().enumerate() {
            if !self.take_code(claim)? {
                for taken in claims().take(count) {
                    self.put_back(taken)?;
                }
                return Err(Stop::Stale(Stale::Code));
            }
        }
        // Asked when its own codes are taken: a segment may have had the last of them itself.
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

    fn take_code(&mut self, claim: &StagedClaim) -> Result<bool> {
        let position = claim.code.position;
        let lane = self.lanes.find(self.connection, &claim.lane)?;
        let Some(lane) = lane.filter(|_| position.expires > self.now) else {
            return Ok(false);
        };
        let taken = hot(
            &mut self.hot.take,
            self.connection,
            "DELETE FROM free WHERE lane = ?1 AND expires = ?2 AND id = ?3",
        )?
        .execute(params![lane, position.expires.0, position.id])?;
        Ok(taken == 1)
    }

    fn put_back(&mut self, claim: &StagedClaim) -> Result<()> {
        let position = claim.code.position;
        let lane = self.lanes.find(self.connection, &claim.lane)?;
        self.connection
            .prepare_cached("INSERT INTO free (lane, expires, id, code) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                lane,
                position.expires.0,
                position.id,
                claim.code.code
            ])?;
        Ok(())
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

    /// The journal of a segment, and what it staged.
    fn segment(&mut self, run: RunId, number: u32, segment: &Segment) -> Result<(), Stop> {
        let outcome = match &segment.end {
            SegmentEnd::Retry { trouble, .. } => {
                troubles::put(self.connection, run, trouble)?;
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
        if segment.unsent && outcome == "completed" {
            release::unsent(self.connection, run, self.now)?;
        }
        Ok(())
    }

    fn still_exhausted(&mut self, exhausted: &Exhausted) -> Result<(), Stop> {
        let Some(lane) = self.lanes.find(self.connection, &exhausted.lane)? else {
            return Ok(());
        };
        let there = self
            .connection
            .prepare_cached("SELECT 1 FROM free WHERE lane = ?1 AND expires >= ?2 LIMIT 1")?
            .query_row(params![lane, exhausted.expires.0], |_| Ok(()))
            .optional()?;
        if there.is_some() {
            Err(Stop::Stale(Stale::NotExhausted))
        } else {
            Ok(())
        }
    }

    /// Records who has a code that was taken.
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
        // What nobody may begin in time fails now, and not when it would be due.
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

/// When the first of a run's codes expires that a delivery carries, whichever segment claimed it.
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
        if delivery.carries(&code) {
            return Ok(Some(row.get(0)?));
        }
    }
    Ok(None)
}

/// The codes that a segment takes: none where nothing that it staged is kept.
fn kept(segment: &Segment) -> &[StagedClaim] {
    match is_kept(segment) {
        true => &segment.claims,
        false => &[],
    }
}

fn is_kept(segment: &Segment) -> bool {
    matches!(segment.end, SegmentEnd::Completed | SegmentEnd::Wait { .. })
}
