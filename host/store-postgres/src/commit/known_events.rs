//! Recognises events that are stored already.

use std::collections::HashMap;

use promoflow_model::event::Event;
use promoflow_store::{CommitReply, EventRowId, RunId};

use crate::connection::{Row, params};
use crate::errors::{Result, unreadable};
use crate::transaction::Transaction;

/// Finds events by their ids.
pub(super) const FIND: &str =
    "SELECT event_id, id, type, key, params FROM event WHERE event_id = ANY($1)";
/// Finds the runs of events by the ids of these.
pub(super) const FIND_RUNS: &str = "SELECT event.event_id, run.id
     FROM event JOIN run ON run.event = event.id WHERE event.event_id = ANY($1) ORDER BY run.id";

/// A stored event that has an id.
pub(super) struct KnownEvent {
    id: EventRowId,
    event: Event,
    runs: Vec<RunId>,
}

impl KnownEvent {
    /// Reads events from the rows of [`FIND`] and [`FIND_RUNS`].
    pub(super) fn read(events: &[Row], runs: &[Row]) -> Result<HashMap<String, KnownEvent>> {
        let mut known = HashMap::with_capacity(events.len());
        for row in events {
            let event_id: String = row.get(0)?;
            let id = EventRowId(row.get(1)?);
            let params = serde_json::from_str(&row.get::<String>(4)?)
                .map_err(|error| unreadable(format!("the parameters of event {id}"), &error))?;
            let event = Event {
                id: Some(event_id.clone()),
                event_type: row.get(2)?,
                key: row.get(3)?,
                params,
                origin: None,
            };
            let runs = Vec::new();
            known.insert(event_id, KnownEvent { id, event, runs });
        }
        for row in runs {
            if let Some(event) = known.get_mut(&row.get::<String>(0)?) {
                event.runs.push(RunId(row.get(1)?));
            }
        }
        Ok(known)
    }

    /// Returns the reply to an event with the same id.
    pub(super) fn reply(&self, event: &Event) -> CommitReply {
        match self.event.fingerprint() == event.fingerprint() {
            true => CommitReply::Duplicate {
                event: self.id,
                runs: self.runs.clone(),
            },
            false => CommitReply::Conflict,
        }
    }
}

/// Returns the reply to an event whose id is stored already; `None` if it is not, or the event has
/// no id.
pub(super) fn find_duplicate(
    transaction: &Transaction<'_>,
    event: &Event,
) -> Result<Option<CommitReply>> {
    let Some(id) = &event.id else { return Ok(None) };
    let ids = vec![id.as_str()];
    let answers = transaction.pipeline(&[(FIND, params![ids]), (FIND_RUNS, params![ids])])?;
    let [events, runs] = &answers[..] else {
        return Ok(None);
    };
    let known = KnownEvent::read(&events.rows, &runs.rows)?;
    Ok(known.get(id).map(|known| known.reply(event)))
}
