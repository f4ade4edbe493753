//! Code usage: decides which deliveries may carry the code of a claim.

use rusqlite::{Connection, Row, params};

use super::{Result, skip_damaged};
use promoflow_store::rules::release::{
    CarryingDelivery, RunOfClaim, has_ended, lets_go, may_contain,
};
use promoflow_store::{DeliveryId, DeliveryState, RunId, RunState};

/// A claim whose code may be released.
pub(super) struct Claim {
    pub(super) id: i64,
    code: String,
}

/// Returns the unreleased claims of a run: its own, and those that it reuses.
pub(super) fn unreleased_claims(connection: &Connection, run: RunId) -> Result<Vec<Claim>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, code FROM claim
         WHERE (run = ?1 OR id IN (SELECT claim FROM code_reuse WHERE run = ?1))
             AND id NOT IN (SELECT claim FROM claim_release)",
    )?;
    let mut rows = statement.query([run.0])?;
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        // A code that cannot be read stays claimed.
        claims.extend(skip_damaged(read(row))?);
    }
    Ok(claims)
}

fn read(row: &Row<'_>) -> Result<Claim> {
    Ok(Claim {
        id: row.get(0)?,
        code: row.get(1)?,
    })
}

/// Decides whether a claim may be released now that a run has ended. If so, returns the deliveries
/// that must not be attempted any more; otherwise `None`.
pub(super) fn check_releasable(
    connection: &Connection,
    claim: &Claim,
    ended: RunId,
) -> Result<Option<Vec<DeliveryId>>> {
    let mut to_cancel = Vec::new();
    for (id, state) in runs_of_claim(connection, claim)? {
        // What cannot be read keeps the code.
        let Some(state) = state
            .parse::<RunState>()
            .ok()
            .filter(|state| has_ended(*state))
        else {
            return Ok(None);
        };
        let Some(deliveries) = carrying_deliveries(connection, id, &claim.code)? else {
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
    connection: &Connection,
    run: RunId,
    code: &str,
) -> Result<Option<Vec<CarryingDelivery>>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, state, content, EXISTS (
             SELECT 1 FROM attempt WHERE delivery = id AND outcome IS NOT 'permanent')
         FROM delivery WHERE run = ?1",
    )?;
    let mut rows = statement.query([run.0])?;
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = DeliveryId(row.get(0)?);
        let content = row.get_ref(2)?.as_str().unwrap_or_default();
        if !delivery_may_contain(connection, id, content, code)? {
            continue;
        }
        let Ok(state) = row
            .get_ref(1)?
            .as_str()
            .unwrap_or_default()
            .parse::<DeliveryState>()
        else {
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
fn runs_of_claim(connection: &Connection, claim: &Claim) -> Result<Vec<(RunId, String)>> {
    let runs = connection
        .prepare_cached(
            "SELECT id, state FROM run
             WHERE id IN (SELECT run FROM claim WHERE id = ?1
                          UNION SELECT run FROM code_reuse WHERE claim = ?1)",
        )?
        .query_map(params![claim.id], |row| {
            Ok((RunId(row.get(0)?), row.get(1)?))
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(runs)
}

/// Returns true if the message of a delivery, or any of its alternatives, may contain a code.
fn delivery_may_contain(
    connection: &Connection,
    delivery: DeliveryId,
    content: &str,
    code: &str,
) -> Result<bool> {
    if may_contain(content, code) {
        return Ok(true);
    }
    let mut statement = connection
        .prepare_cached("SELECT content FROM delivery_alternative WHERE delivery = ?1")?;
    let mut rows = statement.query([delivery.0])?;
    while let Some(row) = rows.next()? {
        if may_contain(row.get_ref(0)?.as_str().unwrap_or_default(), code) {
            return Ok(true);
        }
    }
    Ok(false)
}
