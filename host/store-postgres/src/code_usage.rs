//! Code usage: decides which deliveries may carry the code of a claim.

use promoflow_store::rules::release::{
    CarryingDelivery, RunOfClaim, has_ended, lets_go, may_contain,
};
use promoflow_store::{DeliveryId, DeliveryState, RunId, RunState};

use crate::connection::{Row, params};
use crate::errors::{Result, skip_damaged};
use crate::transaction::Transaction;

/// A claim whose code may be released.
pub(crate) struct Claim {
    pub(crate) id: i64,
    code: String,
}

/// Returns the unreleased claims of a run: its own, and those that it reuses.
pub(crate) fn unreleased_claims(transaction: &Transaction<'_>, run: RunId) -> Result<Vec<Claim>> {
    let rows = transaction.rows(
        "SELECT id, code FROM claim
         WHERE (run = $1 OR id IN (SELECT claim FROM code_reuse WHERE run = $1))
             AND NOT EXISTS (SELECT 1 FROM claim_release WHERE claim_release.claim = claim.id)
         ORDER BY id",
        params![run.0],
    )?;
    let mut claims = Vec::new();
    for row in rows {
        // A code that cannot be read stays claimed.
        claims.extend(skip_damaged(read(&row))?);
    }
    Ok(claims)
}

fn read(row: &Row) -> Result<Claim> {
    Ok(Claim {
        id: row.get(0)?,
        code: row.get(1)?,
    })
}

/// Decides whether a claim may be released now that a run has ended. If so, returns the deliveries
/// that must not be attempted any more; otherwise `None`.
pub(crate) fn check_releasable(
    transaction: &Transaction<'_>,
    claim: &Claim,
    ended: RunId,
) -> Result<Option<Vec<DeliveryId>>> {
    let mut to_cancel = Vec::new();
    for (id, state) in runs_of_claim(transaction, claim)? {
        // What cannot be read keeps the code.
        let Some(state) = state
            .parse::<RunState>()
            .ok()
            .filter(|state| has_ended(*state))
        else {
            return Ok(None);
        };
        let Some(deliveries) = carrying_deliveries(transaction, id, &claim.code)? else {
            return Ok(None);
        };
        let run = RunOfClaim {
            is_ended_now: id == ended,
            state,
            deliveries,
        };
        match lets_go(&run) {
            Some(deliveries) => to_cancel.extend(deliveries),
            None => return Ok(None),
        }
    }
    Ok(Some(to_cancel))
}

/// Returns the deliveries of a run that may carry a code; `None` if the state of one cannot be read.
fn carrying_deliveries(
    transaction: &Transaction<'_>,
    run: RunId,
    code: &str,
) -> Result<Option<Vec<CarryingDelivery>>> {
    let rows = transaction.rows(
        "SELECT id, state, content, EXISTS (
             SELECT 1 FROM attempt
             WHERE attempt.delivery = delivery.id AND outcome IS DISTINCT FROM 'permanent')
         FROM delivery WHERE run = $1 ORDER BY id",
        params![run.0],
    )?;
    let mut deliveries = Vec::new();
    for row in rows {
        let id = DeliveryId(row.get(0)?);
        let content: String = row.get(2)?;
        if !delivery_may_contain(transaction, id, &content, code)? {
            continue;
        }
        let Ok(state) = row.get::<String>(1)?.parse::<DeliveryState>() else {
            return Ok(None);
        };
        deliveries.push(CarryingDelivery {
            id,
            state,
            may_have_left: row.get(3)?,
        });
    }
    Ok(Some(deliveries))
}

/// Returns the run that made a claim and those that reuse it, each with its state.
fn runs_of_claim(transaction: &Transaction<'_>, claim: &Claim) -> Result<Vec<(RunId, String)>> {
    let rows = transaction.rows(
        "SELECT id, state FROM run
         WHERE id IN (SELECT run FROM claim WHERE id = $1
                      UNION SELECT run FROM code_reuse WHERE claim = $1)
         ORDER BY id",
        params![claim.id],
    )?;
    rows.iter()
        .map(|row| Ok((RunId(row.get(0)?), row.get(1)?)))
        .collect()
}

/// Returns true if the message of a delivery, or any of its alternatives, may contain a code.
fn delivery_may_contain(
    transaction: &Transaction<'_>,
    delivery: DeliveryId,
    content: &str,
    code: &str,
) -> Result<bool> {
    if may_contain(content, code) {
        return Ok(true);
    }
    let rows = transaction.rows(
        "SELECT content FROM delivery_alternative WHERE delivery = $1",
        params![delivery.0],
    )?;
    for row in rows {
        if may_contain(&row.get::<String>(0)?, code) {
            return Ok(true);
        }
    }
    Ok(false)
}
