//! Reading of all events, each once, while hosts add further ones.

use serde_json::{Map, Value};

use promoflow_model::clock::Timestamp;

use crate::connection::{Row, params};
use crate::errors::{Result, damaged, skip_damaged};
use crate::transaction::Transaction;

/// The number of events of a page.
const MAX_EVENTS: i64 = 500;

/// The place in a scan of the events in the order of their ids.
///
/// Hosts take ids in blocks and commit them in any order, so an event with a lower id may come later.
/// The ids that were skipped are kept, and looked up again at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventScan {
    /// The highest id that was read; 0 at the beginning.
    last: i64,
    /// Ranges of lower ids that had no events when they were passed, with their ends.
    skipped: Vec<(i64, i64)>,
}

/// An event, as far as a contact needs it.
pub(super) struct ScannedEvent {
    pub(super) key: String,
    pub(super) params: Map<String, Value>,
    pub(super) at: Timestamp,
}

/// What a scan reads at once.
pub(super) struct EventPage {
    /// Those of the events that can be read.
    pub(super) events: Vec<ScannedEvent>,
    /// True if no event was left.
    pub(super) is_end: bool,
}

impl EventScan {
    /// Returns the highest id that was read.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// Reads the next events.
    pub(super) fn next(&mut self, transaction: &Transaction<'_>) -> Result<EventPage> {
        let mut rows = transaction.rows(
            "SELECT id, key, params, accepted_at FROM event WHERE id > $1 ORDER BY id LIMIT $2",
            params![self.last, MAX_EVENTS],
        )?;
        if rows.is_empty() && !self.skipped.is_empty() {
            let (first, last): (Vec<i64>, Vec<i64>) = self.skipped.iter().copied().unzip();
            rows = transaction.rows(
                "SELECT id, key, params, accepted_at
                 FROM unnest($1::bigint[], $2::bigint[]) AS skipped (first, last)
                 JOIN event ON event.id BETWEEN skipped.first AND skipped.last
                 ORDER BY id LIMIT $3",
                params![first, last, MAX_EVENTS],
            )?;
        }
        let mut page = EventPage {
            is_end: rows.is_empty(),
            events: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            self.pass(row.get(0)?);
            page.events.extend(skip_damaged(read(row))?);
        }
        Ok(page)
    }

    /// Records that the event with this id was read.
    fn pass(&mut self, id: i64) {
        if id > self.last {
            if id > self.last + 1 {
                self.skipped.push((self.last + 1, id - 1));
            }
            self.last = id;
            return;
        }
        let range = self.skipped.iter().position(|(_, last)| *last >= id);
        let Some(index) = range else { return };
        let (first, last) = self.skipped.remove(index);
        if id < last {
            self.skipped.insert(index, (id + 1, last));
        }
        if first < id {
            self.skipped.insert(index, (first, id - 1));
        }
    }
}

fn read(row: &Row) -> Result<ScannedEvent> {
    let id: i64 = row.get(0)?;
    Ok(ScannedEvent {
        key: row.get(1)?,
        params: serde_json::from_str(&row.get::<String>(2)?)
            .map_err(|error| damaged(format!("the parameters of event {id}"), error))?,
        at: Timestamp(row.get(3)?),
    })
}

#[cfg(test)]
mod tests {
    use super::EventScan;

    #[test]
    fn ids_that_were_skipped_are_kept_until_they_are_read() {
        let mut scan = EventScan::default();
        for id in [1, 2, 6, 7, 70] {
            scan.pass(id);
        }
        assert_eq!((scan.last, &scan.skipped[..]), (70, &[(3, 5), (8, 69)][..]));
        for id in [4, 8, 69] {
            scan.pass(id);
        }
        assert_eq!(scan.skipped, [(3, 3), (5, 5), (9, 68)]);
        scan.pass(3);
        scan.pass(5);
        assert_eq!((scan.last, &scan.skipped[..]), (70, &[(9, 68)][..]));
    }
}
