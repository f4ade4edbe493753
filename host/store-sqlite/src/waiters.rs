//! Runs that wait for a code or a reply.
//!
//! A code that comes into the pool goes to the first waiting run whose requirements it meets, in
//! the same transaction, so that no new run can see it. Waiting runs therefore get codes before new
//! ones, in the order in which they started waiting.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codes::free_code;
use super::{Error, LaneIds, Result, StoreError, calendar, due_runs, readable, unreadable};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{Calendar, Lane};
use promoflow_store::{
    AT_ONCE, Awaited, Awakened, ClaimId, FreeCode, GivenCode, Position, Resumed, RunId, StagedWait,
};

/// Stores a wait, at the run's previous position if it has one. If a suitable code is available,
/// the run gets it at once: its block may not have asked for it, and no earlier waiting run can use
/// it.
pub(super) fn add(
    connection: &Connection,
    lanes: &mut LaneIds,
    run: RunId,
    wait: &StagedWait,
    place: Option<Place>,
    now: Timestamp,
) -> Result<()> {
    let (lane, days, contact, keeps, since, request) = match &wait.awaited {
        Awaited::Code {
            lane,
            days,
            contact,
            keeps,
            found,
        } => {
            let lane = lanes.find_or_add(connection, &lane.code_type, lane.discount)?;
            let since = found.map_or(0, |claim| claim.0);
            (
                Some(lane),
                Some(*days),
                Some(contact),
                Some(*keeps),
                Some(since),
                None,
            )
        }
        Awaited::Reply { request } => (None, None, None, None, None, Some(request)),
    };
    let place = place
        .filter(|place| Some(place.lane) == lane)
        .map(|place| place.id);
    connection
        .prepare_cached(
            "INSERT INTO waiter (id, run, step, visit, ordinal, lane, days, contact, keeps, request,
                                 at, served, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)",
        )?
        .execute(params![
            place,
            run.0,
            wait.step.step,
            wait.step.visit,
            wait.step.ordinal,
            lane,
            days,
            contact,
            keeps,
            request,
            now.0,
            since,
        ])?;
    match lane {
        Some(lane) => serve_lane(connection, lane, Some(run), calendar(connection)?, now),
        None => Ok(()),
    }
}

/// Returns true if the run's wait is unchanged since its segment began: it has got nothing
/// meanwhile, and the code that it took has not expired.
pub(super) fn unchanged(
    connection: &Connection,
    run: RunId,
    found: &Resumed,
    now: Timestamp,
) -> Result<bool> {
    if let Awakened::Code(Some(taken)) = &found.why
        && taken.code.position.expires <= now
    {
        return Ok(false);
    }
    let served = !matches!(found.why, Awakened::GaveUp);
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM waiter WHERE run = ?1 AND served = ?2)")?
        .query_row(params![run.0, served], |row| row.get(0))?)
}

/// The position of a run in the queue of a code group.
pub(super) struct Place {
    id: i64,
    lane: i64,
}

/// Ends a run's wait. A code that expired before the run's step took it remains claimed by the run,
/// and no message of the run carries it. In that case, returns the position for a further wait.
pub(super) fn settle(
    connection: &Connection,
    run: RunId,
    resumed: &Resumed,
    now: Timestamp,
) -> Result<Option<Place>> {
    let mut place = None;
    if resumed.why == Awakened::Code(None) {
        let lapsed = connection
            .prepare_cached(
                "INSERT INTO lapsed (claim, at)
                 SELECT claim.id, ?2 FROM waiter JOIN claim ON claim.id = waiter.claim
                 WHERE waiter.run = ?1 AND claim.expires <= ?2",
            )?
            .execute(params![run.0, now.0])?;
        if lapsed > 0 {
            place = connection
                .prepare_cached("SELECT id, lane FROM waiter WHERE run = ?1")?
                .query_row([run.0], |row| {
                    Ok(Place {
                        id: row.get(0)?,
                        lane: row.get(1)?,
                    })
                })
                .optional()?;
        }
    }
    remove(connection, run)?;
    Ok(place)
}

/// Deletes a run's wait.
pub(super) fn remove(connection: &Connection, run: RunId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM waiter WHERE run = ?1")?
        .execute([run.0])?;
    Ok(())
}

/// Returns what ended the wait of a due run; `None` if it did not wait.
pub(super) fn resumed(connection: &Connection, run: RunId) -> Result<Option<Resumed>> {
    let found = connection
        .prepare_cached(
            "SELECT waiter.ordinal, waiter.served, waiter.reply, lane.type, lane.discount,
                    claim.expires, claim.code_id, claim.code
             FROM waiter LEFT JOIN claim ON claim.id = waiter.claim
                 LEFT JOIN lane ON lane.id = waiter.lane
             WHERE waiter.run = ?1",
        )?
        .query_row([run.0], |row| {
            let (served, reply): (bool, Option<String>) = (row.get(1)?, row.get(2)?);
            let code: Option<String> = row.get(7)?;
            let given = match code {
                Some(code) => Some(GivenCode {
                    lane: Lane {
                        code_type: row.get(3)?,
                        discount: row.get(4)?,
                    },
                    code: FreeCode {
                        position: Position {
                            expires: Timestamp(row.get(5)?),
                            id: row.get(6)?,
                        },
                        code,
                    },
                }),
                None => None,
            };
            Ok((row.get(0)?, served, reply, given))
        })
        .optional()?;
    let Some((ordinal, served, reply, given)) = found else {
        return Ok(None);
    };
    let why = match (served, reply) {
        (false, _) => Awakened::GaveUp,
        (true, Some(reply)) => Awakened::Reply(
            serde_json::from_str(&reply)
                .map_err(|error| unreadable(format!("the reply to run {run}"), &error))?,
        ),
        (true, None) => Awakened::Code(given),
    };
    Ok(Some(Resumed { ordinal, why }))
}

/// Describes what a run waits for.
pub(super) const WAITS_FOR: &str = "
    (SELECT CASE WHEN waiter.lane IS NULL THEN 'the reply to ' || waiter.request
            ELSE 'a promo code of type ' || lane.type || ' and discount ' || lane.discount END
     FROM waiter LEFT JOIN lane ON lane.id = waiter.lane
     WHERE waiter.run = run.id AND waiter.served = 0 AND run.state = 'waiting')";

/// Stores the reply for a waiting run. Returns false if the run does not wait for it.
pub(super) fn reply(
    connection: &Connection,
    run: RunId,
    request: &str,
    reply: &str,
) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "UPDATE waiter SET served = 1, reply = ?3
             WHERE run = ?1 AND request = ?2 AND served = 0
                 AND (SELECT state FROM run WHERE id = ?1) = 'waiting'",
        )?
        .execute(params![run.0, request, reply])?;
    if taken == 1 {
        wake(connection, run.0)?;
    }
    Ok(taken == 1)
}

/// Gives available codes to waiting runs. Called in every transaction that may add codes to the
/// pool.
pub(super) fn serve(connection: &Connection, now: Timestamp) -> Result<()> {
    let lanes = connection
        .prepare_cached(
            "SELECT DISTINCT lane FROM waiter WHERE served = 0 AND lane IS NOT NULL ORDER BY lane",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    if lanes.is_empty() {
        return Ok(());
    }
    let calendar = calendar(connection)?;
    for lane in lanes {
        serve_lane(connection, lane, None, calendar, now)?;
    }
    Ok(())
}

/// A run that waits for a code.
struct Waiter {
    id: i64,
    run: i64,
    step: String,
    visit: u32,
    ordinal: u32,
    days: u32,
    contact: String,
    keeps: bool,
    at: i64,
    /// The claim that its contact kept when it asked, or 0 if there was none; `None` for waits
    /// stored under an older schema.
    since: Option<i64>,
}

/// Gives the codes of a code group to waiting runs, or only to `only`.
fn serve_lane(
    connection: &Connection,
    lane: i64,
    only: Option<RunId>,
    calendar: Calendar,
    now: Timestamp,
) -> Result<()> {
    // Even without codes, a new run's contact may have got a code in another of its runs.
    let any = next_free(connection, lane, calendar.expiry_needed(now, 0).0)?.is_some();
    if !any && only.is_none() {
        return Ok(());
    }
    let mut waiting = connection.prepare_cached(
        "SELECT waiter.id, waiter.run, waiter.step, visit, ordinal, days, contact, keeps, at,
                since
         FROM waiter JOIN run ON run.id = waiter.run
         WHERE served = 0 AND lane = ?1 AND run.state = 'waiting' AND coalesce(run.id = ?2, 1)
         ORDER BY waiter.id",
    )?;
    let mut rows = waiting.query(params![lane, only.map(|run| run.0)])?;
    // No code is available for this expiry, so neither for later ones.
    let mut none_from = i64::MAX;
    while let Some(row) = rows.next()? {
        let run = RunId(row.get(1)?);
        let waiter = match read_waiter(row) {
            Ok(waiter) => waiter,
            // Only this run fails; those behind it get the codes.
            Err(error @ Error(StoreError::Damaged { .. })) => {
                tracing::error!("run {run} fails: {error}");
                wake(connection, run.0)?;
                due_runs::fail_unreadable(connection, run, &error.to_string(), now)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        if waiter.keeps && has_since(connection, &waiter, lane)? {
            // The contact got a code in another run, which this run can use, too.
            served(connection, &waiter, None)?;
            continue;
        }
        let needed = calendar.expiry_needed(now, waiter.days).0;
        if needed >= none_from {
            continue;
        }
        match next_free(connection, lane, needed)? {
            Some(code) => give(connection, &waiter, lane, &code, now)?,
            None => none_from = needed,
        }
        if none_from <= now.0 + 1 {
            return Ok(());
        }
    }
    Ok(())
}

fn read_waiter(row: &Row<'_>) -> Result<Waiter> {
    Ok(Waiter {
        id: row.get(0)?,
        run: row.get(1)?,
        step: row.get(2)?,
        visit: row.get(3)?,
        ordinal: row.get(4)?,
        days: row.get(5)?,
        contact: row.get(6)?,
        keeps: row.get(7)?,
        at: row.get(8)?,
        since: row.get(9)?,
    })
}

/// Returns true if the contact has kept a code of the code group since the run asked for one.
fn has_since(connection: &Connection, waiter: &Waiter, lane: i64) -> Result<bool> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (
                 SELECT 1 FROM kept JOIN claim ON claim.id = kept.claim
                 WHERE kept.contact = ?1 AND kept.lane = ?2
                     AND CASE WHEN ?3 IS NULL THEN claim.at >= ?4 ELSE claim.id > ?3 END)",
        )?
        .query_row(
            params![waiter.contact, lane, waiter.since, waiter.at],
            |row| row.get(0),
        )?)
}

fn next_free(connection: &Connection, lane: i64, needed: i64) -> Result<Option<FreeCode>> {
    let mut statement = connection.prepare_cached(
        "SELECT expires, id, code FROM free WHERE lane = ?1 AND expires >= ?2
         ORDER BY expires, id",
    )?;
    let mut rows = statement.query(params![lane, needed])?;
    while let Some(row) = rows.next()? {
        if let Some(code) = readable(free_code(row))? {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

fn give(
    connection: &Connection,
    waiter: &Waiter,
    lane: i64,
    code: &FreeCode,
    now: Timestamp,
) -> Result<()> {
    let (expires, id) = (code.position.expires.0, code.position.id);
    connection
        .prepare_cached("DELETE FROM free WHERE lane = ?1 AND expires = ?2 AND id = ?3")?
        .execute(params![lane, expires, id])?;
    connection
        .prepare_cached(
            "INSERT INTO claim
                 (run, step, visit, ordinal, lane, expires, code_id, code, contact, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            waiter.run,
            waiter.step,
            waiter.visit,
            waiter.ordinal,
            lane,
            expires,
            id,
            code.code,
            waiter.contact,
            now.0,
        ])?;
    let claim = ClaimId(connection.last_insert_rowid());
    if waiter.keeps {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO kept (contact, lane, claim) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![waiter.contact, lane, claim.0])?;
    }
    served(connection, waiter, Some(claim))
}

fn served(connection: &Connection, waiter: &Waiter, claim: Option<ClaimId>) -> Result<()> {
    connection
        .prepare_cached("UPDATE waiter SET served = 1, claim = ?2 WHERE id = ?1")?
        .execute(params![waiter.id, claim.map(|claim| claim.0)])?;
    wake(connection, waiter.run)
}

fn wake(connection: &Connection, run: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE run SET due = ?2 WHERE id = ?1 AND state = 'waiting'")?
        .execute(params![run, AT_ONCE.0])?;
    Ok(())
}
