//! Reuse of claims, within a run or by a contact.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::rules::reuse::{self as rules, Recorded};
use promoflow_store::{AvailableCode, ClaimId, Position, ReusableClaim, RunId, StagedReuse};

use crate::connection::{Row, params};
use crate::errors::Result;
use crate::transaction::Transaction;

pub(crate) fn by_run(
    transaction: &Transaction<'_>,
    run: RunId,
    code_group: &CodeGroup,
    needed: Timestamp,
) -> Result<Option<ReusableClaim>> {
    let row = transaction.row(
        "SELECT claim.id, expires_at, code_id, code, claimed_at
         FROM claim JOIN code_group ON code_group.id = claim.code_group
         WHERE (run = $1 OR claim.id IN (SELECT claim FROM code_reuse WHERE run = $1))
             AND type = $2 AND discount = $3 AND expires_at >= $4
             AND claim.id NOT IN (SELECT claim FROM claim_release)
         ORDER BY claimed_at DESC, claim.id DESC LIMIT 1",
        params![
            run.0,
            code_group.code_type,
            i32::from(code_group.discount),
            needed.0
        ],
    )?;
    row.map(|row| read(&row)).transpose()
}

pub(crate) fn by_contact(
    transaction: &Transaction<'_>,
    contact: &str,
    code_group: &CodeGroup,
) -> Result<Option<ReusableClaim>> {
    let row = transaction.row(
        "SELECT claim.id, expires_at, code_id, code, claimed_at
         FROM contact_code JOIN claim ON claim.id = contact_code.claim
             JOIN code_group ON code_group.id = contact_code.code_group
         WHERE contact_code.contact = $1 AND type = $2 AND discount = $3",
        params![
            contact,
            code_group.code_type,
            i32::from(code_group.discount)
        ],
    )?;
    row.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<ReusableClaim> {
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
pub(crate) fn is_valid(
    transaction: &Transaction<'_>,
    reuse: &StagedReuse,
    now: Timestamp,
) -> Result<bool> {
    let kept = by_contact(transaction, &reuse.contact, &reuse.code_group)?;
    Ok(rules::is_valid(reuse, kept.as_ref(), now))
}

/// Records the use of a kept code. `claims` are the claims of the segment.
pub(crate) fn record(
    transaction: &Transaction<'_>,
    run: RunId,
    reuse: &StagedReuse,
    claims: &[ClaimId],
) -> Result<()> {
    match rules::recorded(reuse, claims) {
        Recorded::Keeps(claim) => transaction.execute(
            "INSERT INTO contact_code (contact, code_group, claim)
             SELECT contact, code_group, id FROM claim WHERE id = $1
             ON CONFLICT (contact, code_group) DO UPDATE SET claim = excluded.claim",
            params![claim.0],
        )?,
        Recorded::Uses(claim) => transaction.execute(
            "INSERT INTO code_reuse (run, claim) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            params![run.0, claim.0],
        )?,
        Recorded::Nothing => 0,
    };
    Ok(())
}
