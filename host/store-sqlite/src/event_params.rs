//! The names of the parameters that events bring.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::Result;

/// The number of recent events to examine, overall or of a type.
const MAX_EVENTS: usize = 2_000;
const MAX_EVENTS_OF_TYPE: usize = 50;

/// Returns the parameter names of the last events of a type, or of any type.
pub(super) fn names(connection: &Connection, event_type: Option<&str>) -> Result<BTreeSet<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT params FROM (SELECT type, params FROM event ORDER BY id DESC LIMIT ?1)
         WHERE ?2 IS NULL OR type = ?2 LIMIT ?3",
    )?;
    let most = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![
        most(MAX_EVENTS),
        event_type,
        most(MAX_EVENTS_OF_TYPE)
    ])?;
    let mut names = BTreeSet::new();
    while let Some(row) = rows.next()? {
        // An event that cannot be read contributes nothing here, and is reported elsewhere.
        let text = row.get_ref(0)?.as_str().unwrap_or_default();
        if let Ok(params) = serde_json::from_str::<Map<String, Value>>(text) {
            names.extend(params.into_iter().map(|(name, _)| name));
        }
    }
    Ok(names)
}
