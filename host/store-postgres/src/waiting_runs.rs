//! Runs that wait for a code or a reply. All that writes here runs in exclusive transactions.
//!
//! A code that comes into the pool goes to the first waiting run whose requirements it meets, in
//! the same transaction, so that no new run can see it. Waiting runs therefore get codes before new
//! ones, in the order in which they started waiting.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Calendar;
use promoflow_store::rules::waiting::{Turns, WaitingRun, ended_as_found, expired_before_taken};
use promoflow_store::{
    AvailableCode, ClaimId, DUE_NOW, GrantedCode, Position, RunId, StagedWait, StoreError, WaitFor,
    WaitOutcome, WakeReason,
};

use crate::PostgresStore;
use crate::available_codes::{read_available, take_available};
use crate::code_groups;
use crate::connection::{Row, integer, params};
use crate::counts;
use crate::due_runs;
use crate::errors::{Error, Result, damaged, skip_damaged, unreadable};
use crate::settings::calendar;
use crate::transaction::Transaction;

/// Stores a wait, at the run's previous position if it has one. If a suitable code is available,
/// the run gets it at once: its block may not have asked for it, and no earlier waiting run can use
/// it.
pub(crate) fn add_wait(
    store: &PostgresStore,
    transaction: &Transaction<'_>,
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
        } => (
            Some(store.find_or_add_code_group(transaction, code_group)?),
            Some(integer(*days)),
            Some(contact),
            Some(i32::from(*keeps_code)),
            Some(found.map_or(0, |claim| claim.0)),
            None,
        ),
        WaitFor::Reply { request } => (None, None, None, None, None, Some(request)),
    };
    let position = position
        .filter(|position| Some(position.code_group) == code_group)
        .map(|position| position.id);
    transaction.execute(
        "INSERT INTO run_wait (id, run, step, visit, ordinal, code_group, days, contact,
                               keeps_code, request, created_at, is_served, kept_claim)
         VALUES (coalesce($1, nextval(pg_get_serial_sequence('run_wait', 'id'))),
                 $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12)",
        params![
            position,
            run.0,
            wait.step.step,
            integer(wait.step.visit),
            integer(wait.step.ordinal),
            code_group,
            days,
            contact,
            keeps_code,
            request,
            now.0,
            kept_claim,
        ],
    )?;
    match code_group {
        Some(code_group) => {
            let calendar = calendar(transaction)?;
            serve_code_group(transaction, code_group, Some(run), calendar, now)
        }
        None => Ok(()),
    }
}

/// Returns true if the run's wait is unchanged since its segment began.
pub(crate) fn is_unchanged(
    transaction: &Transaction<'_>,
    run: RunId,
    found: &WaitOutcome,
    now: Timestamp,
) -> Result<bool> {
    let row = transaction.row(
        "SELECT is_served FROM run_wait WHERE run = $1",
        params![run.0],
    )?;
    let is_served = row.map(|row| row.flag(0)).transpose()?;
    Ok(ended_as_found(found, is_served, now))
}

/// The position of a run in the queue of a code group.
pub(crate) struct QueuePosition {
    id: i64,
    code_group: i64,
}

/// Ends a run's wait. If the code that it got expired before its step took it, records that, and
/// returns the position for a further wait.
pub(crate) fn end_wait(
    transaction: &Transaction<'_>,
    run: RunId,
    resumed: &WaitOutcome,
    now: Timestamp,
) -> Result<Option<QueuePosition>> {
    let mut position = None;
    if resumed.reason == WakeReason::Code(None) {
        let granted = transaction.row(
            "SELECT run_wait.id, run_wait.code_group, claim.id, claim.expires_at
             FROM run_wait JOIN claim ON claim.id = run_wait.claim WHERE run_wait.run = $1",
            params![run.0],
        )?;
        if let Some(row) = granted
            && expired_before_taken(resumed, Timestamp(row.get(3)?), now)
        {
            transaction.execute(
                "INSERT INTO expired_grant (claim, created_at) VALUES ($1, $2)",
                params![row.get::<i64>(2)?, now.0],
            )?;
            position = Some(QueuePosition {
                id: row.get(0)?,
                code_group: row.get(1)?,
            });
        }
    }
    delete_wait(transaction, run)?;
    Ok(position)
}

/// Deletes a run's wait.
pub(crate) fn delete_wait(transaction: &Transaction<'_>, run: RunId) -> Result<()> {
    transaction.execute("DELETE FROM run_wait WHERE run = $1", params![run.0])?;
    Ok(())
}

/// Returns the waits of these runs.
pub(crate) const OF_RUNS: &str =
    "SELECT run_wait.run, run_wait.ordinal, run_wait.is_served, run_wait.reply,
            claim.code, claim.expires_at, claim.code_id, code_group.type, code_group.discount
     FROM run_wait LEFT JOIN claim ON claim.id = run_wait.claim
         LEFT JOIN code_group ON code_group.id = run_wait.code_group
     WHERE run_wait.run = ANY($1)";

/// Reads what ended the wait of a due run, from a row of [`OF_RUNS`].
pub(crate) fn read_outcome(run: RunId, row: &Row) -> Result<WaitOutcome> {
    let reason = match (row.flag(2)?, row.get::<Option<String>>(3)?) {
        (false, _) => WakeReason::TimedOut,
        (true, Some(reply)) => WakeReason::Reply(
            serde_json::from_str(&reply)
                .map_err(|error| unreadable(format!("the reply to run {run}"), &error))?,
        ),
        (true, None) => WakeReason::Code(read_granted(row)?),
    };
    Ok(WaitOutcome {
        ordinal: row.count(1)?,
        reason,
    })
}

/// Reads the code that a run got; `None` if it got none.
fn read_granted(row: &Row) -> Result<Option<GrantedCode>> {
    let Some(code) = row.get(4)? else {
        return Ok(None);
    };
    Ok(Some(GrantedCode {
        code_group: code_groups::read_columns(row, 7)?,
        code: AvailableCode {
            position: Position {
                expires: Timestamp(row.get(5)?),
                id: row.get(6)?,
            },
            code,
        },
    }))
}

/// Describes what a run waits for.
pub(crate) const WAITS_FOR: &str = "
    (SELECT CASE WHEN run_wait.code_group IS NULL THEN 'the reply to ' || run_wait.request
            ELSE 'a promo code of type ' || code_group.type || ' and discount '
                || code_group.discount END
     FROM run_wait LEFT JOIN code_group ON code_group.id = run_wait.code_group
     WHERE run_wait.run = run.id AND run_wait.is_served = 0 AND run.state = 'waiting')";

/// Stores the reply for a waiting run. Returns false if the run does not wait for it.
pub(crate) fn reply(
    transaction: &Transaction<'_>,
    run: RunId,
    request: &str,
    reply: &str,
) -> Result<bool> {
    let taken = transaction.execute(
        "UPDATE run_wait SET is_served = 1, reply = $3
         WHERE run = $1 AND request = $2 AND is_served = 0
             AND (SELECT state FROM run WHERE id = $1) = 'waiting'",
        params![run.0, request, reply],
    )?;
    if taken == 1 {
        make_due(transaction, run)?;
    }
    Ok(taken == 1)
}

/// Gives available codes to waiting runs. Called in every transaction that may add codes to the
/// pool, which is exclusive.
pub(crate) fn serve_waiting_runs(transaction: &Transaction<'_>, now: Timestamp) -> Result<()> {
    let code_groups = transaction.rows(
        "SELECT DISTINCT code_group FROM run_wait
         WHERE is_served = 0 AND code_group IS NOT NULL ORDER BY code_group",
        &[],
    )?;
    if code_groups.is_empty() {
        return Ok(());
    }
    let calendar = calendar(transaction)?;
    for row in code_groups {
        serve_code_group(transaction, row.get(0)?, None, calendar, now)?;
    }
    Ok(())
}

/// The row of a run that waits for a code.
struct WaitingRow {
    id: i64,
    run: RunId,
    step: String,
    visit: i32,
    ordinal: i32,
    days: u32,
    contact: String,
    keeps_code: bool,
    /// The claim that its contact kept when it asked.
    found: Option<ClaimId>,
}

/// Gives the codes of a code group to waiting runs, or only to `only`.
fn serve_code_group(
    transaction: &Transaction<'_>,
    code_group: i64,
    only: Option<RunId>,
    calendar: Calendar,
    now: Timestamp,
) -> Result<()> {
    // Even without codes, a new run's contact may have got a code in another of its runs.
    let any = next_available(transaction, code_group, calendar.expiry_needed(now, 0))?.is_some();
    if !any && only.is_none() {
        return Ok(());
    }
    let rows = transaction.rows(
        "SELECT run_wait.id, run_wait.run, run_wait.step, visit, ordinal, days, contact, keeps_code,
                kept_claim
         FROM run_wait JOIN run ON run.id = run_wait.run
         WHERE is_served = 0 AND code_group = $1 AND run.state = 'waiting'
             AND ($2::bigint IS NULL OR run.id = $2)
         ORDER BY run_wait.id",
        params![code_group, only.map(|run| run.0)],
    )?;
    let mut turns = Turns::new(now);
    for row in rows {
        let run = RunId(row.get(1)?);
        let row = match read_waiting(&row) {
            Ok(row) => row,
            // Only this run fails; those behind it get the codes.
            Err(error @ Error::Store(StoreError::Damaged { .. })) => {
                tracing::error!("run {run} fails: {error}");
                make_due(transaction, run)?;
                due_runs::fail_unreadable(transaction, run, &error.to_string(), now)?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let waiting_run = WaitingRun {
            needed: calendar.expiry_needed(now, row.days),
            keeps_code: row.keeps_code,
            found: row.found,
        };
        if row.keeps_code && waiting_run.shares(kept_claim(transaction, &row.contact, code_group)?)
        {
            mark_served(transaction, &row, None)?;
            continue;
        }
        if !turns.may_get(waiting_run.needed) {
            continue;
        }
        match next_available(transaction, code_group, waiting_run.needed)? {
            Some(code) => grant_code(transaction, &row, code_group, &code, now)?,
            None => turns.none_for(waiting_run.needed),
        }
        if turns.are_over() {
            return Ok(());
        }
    }
    Ok(())
}

fn read_waiting(row: &Row) -> Result<WaitingRow> {
    let found: i64 = row.get(8)?;
    Ok(WaitingRow {
        id: row.get(0)?,
        run: RunId(row.get(1)?),
        step: row.get(2)?,
        visit: row.get(3)?,
        ordinal: row.get(4)?,
        days: row.count(5)?,
        contact: row.get(6)?,
        keeps_code: row.flag(7)?,
        found: (found != 0).then_some(ClaimId(found)),
    })
}

/// Returns the claim of the code that a contact keeps.
fn kept_claim(
    transaction: &Transaction<'_>,
    contact: &str,
    code_group: i64,
) -> Result<Option<ClaimId>> {
    let row = transaction.row(
        "SELECT claim FROM contact_code WHERE contact = $1 AND code_group = $2",
        params![contact, code_group],
    )?;
    row.map(|row| row.get(0).map(ClaimId)).transpose()
}

/// The number of codes to read at once: the first one is nearly always readable.
const LOOK_AHEAD: i64 = 4;

fn next_available(
    transaction: &Transaction<'_>,
    code_group: i64,
    needed: Timestamp,
) -> Result<Option<AvailableCode>> {
    let (mut expires, mut id) = (needed.0, i64::MIN);
    loop {
        let rows = transaction.rows(
            "SELECT expires_at, code_id, code FROM available_code
             WHERE code_group = $1 AND (expires_at, code_id) >= ($2, $3)
             ORDER BY expires_at, code_id LIMIT $4",
            params![code_group, expires, id, LOOK_AHEAD],
        )?;
        for row in &rows {
            if let Some(code) = skip_damaged(read_available(row))? {
                return Ok(Some(code));
            }
        }
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        (expires, id) = (last.get(0)?, last.get::<i64>(1)?.saturating_add(1));
    }
}

fn grant_code(
    transaction: &Transaction<'_>,
    row: &WaitingRow,
    code_group: i64,
    code: &AvailableCode,
    now: Timestamp,
) -> Result<()> {
    take_available(transaction, code_group, code.position)?;
    // The sequence gives a whole block, of which only the first id is used. Grants are rare.
    let claim = transaction.row(
        "INSERT INTO claim (id, run, step, visit, ordinal, code_group, expires_at, code_id, code,
                            contact, claimed_at)
         VALUES (nextval('claim_ids'), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
        params![
            row.run.0,
            row.step,
            row.visit,
            row.ordinal,
            code_group,
            code.position.expires.0,
            code.position.id,
            code.code,
            row.contact,
            now.0,
        ],
    )?;
    let claim = claim.ok_or_else(|| damaged("a claim", "it was not stored"))?;
    let claim: i64 = claim.get(0)?;
    counts::add_claims(transaction, [code_group])?;
    if row.keeps_code {
        transaction.execute(
            "INSERT INTO contact_code (contact, code_group, claim) VALUES ($1, $2, $3)
             ON CONFLICT (contact, code_group) DO UPDATE SET claim = excluded.claim",
            params![row.contact, code_group, claim],
        )?;
    }
    mark_served(transaction, row, Some(ClaimId(claim)))
}

fn mark_served(
    transaction: &Transaction<'_>,
    row: &WaitingRow,
    claim: Option<ClaimId>,
) -> Result<()> {
    transaction.execute(
        "UPDATE run_wait SET is_served = 1, claim = $2 WHERE id = $1",
        params![row.id, claim.map(|claim| claim.0)],
    )?;
    make_due(transaction, row.run)
}

fn make_due(transaction: &Transaction<'_>, run: RunId) -> Result<()> {
    transaction.execute(
        "UPDATE run SET due_at = $2 WHERE id = $1 AND state = 'waiting'",
        params![run.0, DUE_NOW.0],
    )?;
    Ok(())
}
