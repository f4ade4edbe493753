//! Reuse of claims, within a run or by a contact.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, code_groups};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::rules::reuse::{self as rules, Recorded};
use promoflow_store::{AvailableCode, ClaimId, Position, ReusableClaim, RunId, StagedReuse};

pub(super) fn by_run(
    connection: &Connection,
    run: RunId,
    code_group: &CodeGroup,
    needed: Timestamp,
) -> Result<Option<ReusableClaim>> {
    let Some(code_group) =
        code_groups::find(connection, &code_group.code_type, code_group.discount)?
    else {
        return Ok(None);
    };
    Ok(connection
        .prepare_cached(
            "SELECT id, expires_at, code_id, code, claimed_at FROM claim
             WHERE (run = ?1 OR id IN (SELECT claim FROM code_reuse WHERE run = ?1))
                 AND code_group = ?2 AND expires_at >= ?3
                 AND id NOT IN (SELECT claim FROM claim_release)
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![run.0, code_group, needed.0], held)
        .optional()?)
}

pub(super) fn by_contact(
    connection: &Connection,
    contact: &str,
    code_group: &CodeGroup,
) -> Result<Option<ReusableClaim>> {
    let Some(code_group) =
        code_groups::find(connection, &code_group.code_type, code_group.discount)?
    else {
        return Ok(None);
    };
    Ok(connection
        .prepare_cached(
            "SELECT claim.id, expires_at, code_id, code, claimed_at
             FROM contact_code JOIN claim ON claim.id = contact_code.claim
             WHERE contact_code.contact = ?1 AND contact_code.code_group = ?2",
        )?
        .query_row(params![contact, code_group], held)
        .optional()?)
}

fn held(row: &Row<'_>) -> rusqlite::Result<ReusableClaim> {
    Ok(ReusableClaim {
        id: ClaimId(row.get(0)?),
        code: AvailableCode {
            position: Position {
                expires: Timestamp(row.get(1)?),
                id: row.get(2)?,
            },
            code: row.get(3)?,
        },
        at: Timestamp(row.get(4)?),
    })
}

/// Returns true if a staged reuse is still valid.
pub(super) fn is_valid(
    connection: &Connection,
    reuse: &StagedReuse,
    now: Timestamp,
) -> Result<bool> {
    let kept = by_contact(connection, &reuse.contact, &reuse.code_group)?;
    Ok(rules::is_valid(reuse, kept.as_ref(), now))
}

/// Records the use of a kept code. `claims` are the claims of the segment.
pub(super) fn record(
    connection: &Connection,
    run: RunId,
    reuse: &StagedReuse,
    claims: &[ClaimId],
) -> Result<()> {
    match rules::recorded(reuse, claims) {
        Recorded::Keeps(claim) => connection
            .prepare_cached(
                "INSERT INTO contact_code (contact, code_group, claim)
                 SELECT contact, code_group, id FROM claim WHERE id = ?1
                 ON CONFLICT DO UPDATE SET claim = excluded.claim",
            )?
            .execute([claim.0])?,
        Recorded::Uses(claim) => connection
            .prepare_cached(
                "INSERT INTO code_reuse (run, claim) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?
            .execute(params![run.0, claim.0])?,
        Recorded::Nothing => 0,
    };
    Ok(())
}
