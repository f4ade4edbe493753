//! Code usage: decides which deliveries may carry the code of a claim.

use rusqlite::{Connection, Row, params};

use super::{Result, skip_damaged};
use promoflow_model::message::RenderedMessage;
use promoflow_store::{DeliveryId, RunId};

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
///
/// A claim is kept if a message that may carry its code may have left or may still leave, and if
/// another run still uses it or keeps it permanently. Another run does not keep it if that run is
/// cancelled, or if it is completed and all its deliveries that carried the code were cancelled.
pub(super) fn check_releasable(
    connection: &Connection,
    claim: &Claim,
    ended: RunId,
) -> Result<Option<Vec<DeliveryId>>> {
    let mut may_be_tried = Vec::new();
    for (run, state) in runs_of_claim(connection, claim)? {
        let own = run == ended;
        if state != "cancelled" && state != "completed" {
            return Ok(None);
        }
        let mut cancelled_deliveries = 0;
        let mut statement = connection.prepare_cached(
            "SELECT id, state, content, EXISTS (
                 SELECT 1 FROM attempt WHERE delivery = id AND outcome IS NOT 'permanent')
             FROM delivery WHERE run = ?1",
        )?;
        let mut rows = statement.query([run.0])?;
        while let Some(row) = rows.next()? {
            let delivery = DeliveryId(row.get(0)?);
            let content = row.get_ref(2)?.as_str().unwrap_or_default();
            if !delivery_may_contain(connection, delivery, content, &claim.code)? {
                continue;
            }
            let may_have_left: bool = row.get(3)?;
            match row.get_ref(1)?.as_str().unwrap_or_default() {
                _ if may_have_left => return Ok(None),
                "cancelled" => cancelled_deliveries += 1,
                "pending" | "failed" if state == "cancelled" => may_be_tried.push(delivery),
                "failed" if own => may_be_tried.push(delivery),
                _ => return Ok(None),
            }
        }
        if !own && state == "completed" && cancelled_deliveries == 0 {
            return Ok(None);
        }
    }
    Ok(Some(may_be_tried))
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

/// Returns true if a stored content may contain a code. A template can write a code in forms that
/// no search finds, such as in the URL of a picture. So a content may contain one unless it was
/// known to be free of codes when it was rendered. A content that cannot be read may contain one,
/// too.
pub(super) fn may_contain(content: &str, code: &str) -> bool {
    serde_json::from_str(content).map_or(true, |content: RenderedMessage| {
        !content.codeless || content.contains_code(code)
    })
}
