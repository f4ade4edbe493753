//! Runs that wait for a code or a reply.
//!
//! A code that comes into the pool goes to the first waiting run whose requirements it meets, in
//! the same transaction, so that no new run can see it. Waiting runs therefore get codes before new
//! ones, in the order in which they started waiting.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::codes::{read_available, take_available};
use super::commit::INSERT_CLAIM;
use super::{
    CodeGroupIds, Error, Result, StoreError, calendar, due_runs, skip_damaged, unreadable,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{Calendar, CodeGroup};
use promoflow_store::rules::waiting::{Turns, WaitingRun, ended_as_found, expired_before_taken};
use promoflow_store::{
    AvailableCode, ClaimId, DUE_NOW, GrantedCode, Position, RunId, StagedWait, WaitFor,
    WaitOutcome, WakeReason,
};

/// Stores a wait, at the run's previous position if it has one. If a suitable code is available,
/// the run gets it at once: its block may not have asked for it, and no earlier waiting run can use
/// it.
pub(super) fn add_wait(
    connection: &Connection,
    code_groups: &mut CodeGroupIds,
    run: RunId,
    wait: &StagedWait,
    position: Option<QueuePosition>,
    now: Timestamp,
) -> Result<()> {
    let (code_group, days, contact, keeps_code, kept_claim, request) = match &wait.awaited {
        WaitFor::Code {
            code_group,
            days,
            contact,
            keeps_code,
            found,
        } => {
            let code_group =
                code_groups.find_or_add(connection, &code_group.code_type, code_group.discount)?;
            let kept_claim = found.map_or(0, |claim| claim.0);
            (
                Some(code_group),
                Some(*days),
                Some(contact),
                Some(*keeps_code),
                Some(kept_claim),
                None,
            )
        }
        WaitFor::Reply { request } => (None, None, None, None, None, Some(request)),
    };
    let position = position
        .filter(|position| Some(position.code_group) == code_group)
        .map(|position| position.id);
    connection
        .prepare_cached(
            "INSERT INTO run_wait (id, run, step, visit, ordinal, code_group, days, contact,
                                   keeps_code, request, created_at, is_served, kept_claim)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12)",
        )?
        .execute(params![
            position,
            run.0,
            wait.step.step,
            wait.step.visit,
            wait.step.ordinal,
            code_group,
            days,
            contact,
            keeps_code,
            request,
            now.0,
            kept_claim,
        ])?;
    match code_group {
        Some(code_group) => serve_code_group(
            connection,
            code_group,
            Some(run),
            calendar(connection)?,
            now,
        ),
        None => Ok(()),
    }
}

/// Returns true if the run's wait is unchanged since its segment began.
pub(super) fn is_unchanged(
    connection: &Connection,
    run: RunId,
    found: &WaitOutcome,
    now: Timestamp,
) -> Result<bool> {
    let is_served = connection
        .prepare_cached("SELECT is_served FROM run_wait WHERE run = ?1")?
        .query_row([run.0], |row| row.get(0))
        .optional()?;
    Ok(ended_as_found(found, is_served, now))
}

/// The position of a run in the queue of a code group.
pub(super) struct QueuePosition {
    id: i64,
    code_group: i64,
}

/// Ends a run's wait. If the code that it got expired before its step took it, records that, and
/// returns the position for a further wait.
pub(super) fn end_wait(
    connection: &Connection,
    run: RunId,
    resumed: &WaitOutcome,
    now: Timestamp,
) -> Result<Option<QueuePosition>> {
    let mut position = None;
    if resumed.reason == WakeReason::Code(None) {
        let granted = connection
            .prepare_cached(
                "SELECT run_wait.id, run_wait.code_group, claim.id, claim.expires_at
                 FROM run_wait JOIN claim ON claim.id = run_wait.claim WHERE run_wait.run = ?1",
            )?
            .query_row([run.0], |row| {
                let position = QueuePosition {
                    id: row.get(0)?,
                    code_group: row.get(1)?,
                };
                Ok((position, ClaimId(row.get(2)?), Timestamp(row.get(3)?)))
            })
            .optional()?;
        if let Some((granted_at, claim, expires)) = granted
            && expired_before_taken(resumed, expires, now)
        {
            connection
                .prepare_cached("INSERT INTO expired_grant (claim, created_at) VALUES (?1, ?2)")?
                .execute(params![claim.0, now.0])?;
            position = Some(granted_at);
        }
    }
    delete_wait(connection, run)?;
    Ok(position)
}

/// Deletes a run's wait.
pub(super) fn delete_wait(connection: &Connection, run: RunId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM run_wait WHERE run = ?1")?
        .execute([run.0])?;
    Ok(())
}

/// Returns what ended the wait of a due run; `None` if it did not wait.
pub(super) fn wait_outcome(connection: &Connection, run: RunId) -> Result<Option<WaitOutcome>> {
    let found = connection
        .prepare_cached(
            "SELECT run_wait.ordinal, run_wait.is_served, run_wait.reply,
                    code_group.type, code_group.discount, claim.expires_at, claim.code_id,
                    claim.code
             FROM run_wait LEFT JOIN claim ON claim.id = run_wait.claim
                 LEFT JOIN code_group ON code_group.id = run_wait.code_group
             WHERE run_wait.run = ?1",
        )?
        .query_row([run.0], |row| {
            let (served, reply): (bool, Option<String>) = (row.get(1)?, row.get(2)?);
            let code: Option<String> = row.get(7)?;
            let given = match code {
                Some(code) => Some(GrantedCode {
                    code_group: CodeGroup {
                        code_type: row.get(3)?,
                        discount: row.get(4)?,
                    },
                    code: AvailableCode {
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
        (false, _) => WakeReason::TimedOut,
        (true, Some(reply)) => WakeReason::Reply(
            serde_json::from_str(&reply)
                .map_err(|error| unreadable(format!("the reply to run {run}"), &error))?,
        ),
        (true, None) => WakeReason::Code(given),
    };
    Ok(Some(WaitOutcome {
        ordinal,
        reason: why,
    }))
}

/// Describes what a run waits for.
pub(super) const WAITS_FOR: &str = "
    (SELECT CASE WHEN run_wait.code_group IS NULL THEN 'the reply to ' || run_wait.request
            ELSE 'a promo code of type ' || code_group.type || ' and discount '
                || code_group.discount END
     FROM run_wait LEFT JOIN code_group ON code_group.id = run_wait.code_group
     WHERE run_wait.run = run.id AND run_wait.is_served = 0 AND run.state = 'waiting')";

/// Stores the reply for a waiting run. Returns false if the run does not wait for it.
pub(super) fn reply(
    connection: &Connection,
    run: RunId,
    request: &str,
    reply: &str,
) -> Result<bool> {
    let taken = connection
        .prepare_cached(
            "UPDATE run_wait SET is_served = 1, reply = ?3
             WHERE run = ?1 AND request = ?2 AND is_served = 0
                 AND (SELECT state FROM run WHERE id = ?1) = 'waiting'",
        )?
        .execute(params![run.0, request, reply])?;
    if taken == 1 {
        make_due(connection, run.0)?;
    }
    Ok(taken == 1)
}

/// Gives available codes to waiting runs. Called in every transaction that may add codes to the
/// pool.
pub(super) fn serve_waiting_runs(connection: &Connection, now: Timestamp) -> Result<()> {
    let code_groups = connection
        .prepare_cached(
            "SELECT DISTINCT code_group FROM run_wait
             WHERE is_served = 0 AND code_group IS NOT NULL ORDER BY code_group",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    if code_groups.is_empty() {
        return Ok(());
    }
    let calendar = calendar(connection)?;
    for code_group in code_groups {
        serve_code_group(connection, code_group, None, calendar, now)?;
    }
    Ok(())
}

/// The row of a run that waits for a code.
struct WaitingRow {
    id: i64,
    run: i64,
    step: String,
    visit: u32,
    ordinal: u32,
    days: u32,
    contact: String,
    keeps_code: bool,
    /// The claim that its contact kept when it asked.
    found: Option<ClaimId>,
}

/// Gives the codes of a code group to waiting runs, or only to `only`.
fn serve_code_group(
    connection: &Connection,
    code_group: i64,
    only: Option<RunId>,
    calendar: Calendar,
    now: Timestamp,
) -> Result<()> {
    // Even without codes, a new run's contact may have got a code in another of its runs.
    let any = next_available(connection, code_group, calendar.expiry_needed(now, 0))?.is_some();
    if !any && only.is_none() {
        return Ok(());
    }
    let mut waiting = connection.prepare_cached(
        "SELECT run_wait.id, run_wait.run, run_wait.step, visit, ordinal, days, contact, keeps_code,
                kept_claim
         FROM run_wait JOIN run ON run.id = run_wait.run
         WHERE is_served = 0 AND code_group = ?1 AND run.state = 'waiting'
             AND coalesce(run.id = ?2, 1)
         ORDER BY run_wait.id",
    )?;
    let mut rows = waiting.query(params![code_group, only.map(|run| run.0)])?;
    let mut turns = Turns::new(now);
    while let Some(row) = rows.next()? {
        let run = RunId(row.get(1)?);
        let row = match read_waiting(row) {
            Ok(row) => row,
            // Only this run fails; those behind it get the codes.
            Err(error @ Error(StoreError::Damaged { .. })) => {
                tracing::error!("run {run} fails: {error}");
                make_due(connection, run.0)?;
                due_runs::fail_unreadable(connection, run, &error.to_string(), now)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let waiting_run = WaitingRun {
            needed: calendar.expiry_needed(now, row.days),
            keeps_code: row.keeps_code,
            found: row.found,
        };
        if row.keeps_code && waiting_run.shares(kept_claim(connection, &row.contact, code_group)?) {
            mark_served(connection, &row, None)?;
            continue;
        }
        if !turns.may_get(waiting_run.needed) {
            continue;
        }
        match next_available(connection, code_group, waiting_run.needed)? {
            Some(code) => grant_code(connection, &row, code_group, &code, now)?,
            None => turns.none_for(waiting_run.needed),
        }
        if turns.are_over() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_waiting(row: &Row<'_>) -> Result<WaitingRow> {
    let found: i64 = row.get(8)?;
    Ok(WaitingRow {
        id: row.get(0)?,
        run: row.get(1)?,
        step: row.get(2)?,
        visit: row.get(3)?,
        ordinal: row.get(4)?,
        days: row.get(5)?,
        contact: row.get(6)?,
        keeps_code: row.get(7)?,
        found: (found != 0).then_some(ClaimId(found)),
    })
}

/// Returns the claim of the code that a contact keeps.
fn kept_claim(connection: &Connection, contact: &str, code_group: i64) -> Result<Option<ClaimId>> {
    Ok(connection
        .prepare_cached("SELECT claim FROM contact_code WHERE contact = ?1 AND code_group = ?2")?
        .query_row(params![contact, code_group], |row| row.get(0).map(ClaimId))
        .optional()?)
}

fn next_available(
    connection: &Connection,
    code_group: i64,
    needed: Timestamp,
) -> Result<Option<AvailableCode>> {
    let mut statement = connection.prepare_cached(
        "SELECT expires_at, code_id, code FROM available_code
         WHERE code_group = ?1 AND expires_at >= ?2 ORDER BY expires_at, code_id",
    )?;
    let mut rows = statement.query(params![code_group, needed.0])?;
    while let Some(row) = rows.next()? {
        if let Some(code) = skip_damaged(read_available(row))? {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

fn grant_code(
    connection: &Connection,
    row: &WaitingRow,
    code_group: i64,
    code: &AvailableCode,
    now: Timestamp,
) -> Result<()> {
    take_available(connection, code_group, code.position)?;
    connection.prepare_cached(INSERT_CLAIM)?.execute(params![
        row.run,
        row.step,
        row.visit,
        row.ordinal,
        code_group,
        code.position.expires.0,
        code.position.id,
        code.code,
        row.contact,
        now.0,
    ])?;
    let claim = ClaimId(connection.last_insert_rowid());
    if row.keeps_code {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO contact_code (contact, code_group, claim)
                 VALUES (?1, ?2, ?3)",
            )?
            .execute(params![row.contact, code_group, claim.0])?;
    }
    mark_served(connection, row, Some(claim))
}

fn mark_served(connection: &Connection, row: &WaitingRow, claim: Option<ClaimId>) -> Result<()> {
    connection
        .prepare_cached("UPDATE run_wait SET is_served = 1, claim = ?2 WHERE id = ?1")?
        .execute(params![row.id, claim.map(|claim| claim.0)])?;
    make_due(connection, row.run)
}

fn make_due(connection: &Connection, run: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE run SET due_at = ?2 WHERE id = ?1 AND state = 'waiting'")?
        .execute(params![run, DUE_NOW.0])?;
    Ok(())
}
