//! Recognises events that are stored already.

use promoflow_model::event::Event;
use promoflow_store::{CommitReply, EventRowId, RunId};

use crate::connection::params;
use crate::errors::{Result, unreadable};
use crate::transaction::Transaction;

/// Returns the reply to an event whose id is stored already; `None` if it is not, or the event has
/// no id.
pub(super) fn find_duplicate(
    transaction: &Transaction<'_>,
    event: &Event,
) -> Result<Option<CommitReply>> {
    if event.id.is_none() {
        return Ok(None);
    }
    let row = transaction.row(
        "SELECT id, type, key, params FROM event WHERE event_id = $1",
        params![event.id],
    )?;
    let Some(row) = row else { return Ok(None) };
    let id = EventRowId(row.get(0)?);
    let params = serde_json::from_str(&row.get::<String>(3)?)
        .map_err(|error| unreadable(format!("the parameters of event {id}"), &error))?;
    let known = Event {
        id: event.id.clone(),
        event_type: row.get(1)?,
        key: row.get(2)?,
        params,
        origin: None,
    };
    if known.fingerprint() != event.fingerprint() {
        return Ok(Some(CommitReply::Conflict));
    }
    let runs = transaction.rows(
        "SELECT id FROM run WHERE event = $1 ORDER BY id",
        params![id.0],
    )?;
    let runs = runs.iter().map(|row| row.get(0).map(RunId));
    Ok(Some(CommitReply::Duplicate {
        event: id,
        runs: runs.collect::<Result<_>>()?,
    }))
}
