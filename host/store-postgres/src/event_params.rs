//! The names of the parameters that events bring.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::connection::params;
use crate::errors::Result;
use crate::transaction::Transaction;

/// The number of recent events to examine, overall or of a type.
const MAX_EVENTS: i64 = 2_000;
const MAX_EVENTS_OF_TYPE: i64 = 50;

/// Returns the parameter names of the last events of a type, or of any type.
pub(crate) fn names(
    transaction: &Transaction<'_>,
    event_type: Option<&str>,
) -> Result<BTreeSet<String>> {
    let rows = transaction.rows(
        "SELECT params FROM (SELECT type, params FROM event ORDER BY id DESC LIMIT $1) AS recent
         WHERE $2::text IS NULL OR type = $2 LIMIT $3",
        params![MAX_EVENTS, event_type, MAX_EVENTS_OF_TYPE],
    )?;
    let mut names = BTreeSet::new();
    for row in rows {
        // An event that cannot be read contributes nothing here, and is reported elsewhere.
        if let Ok(params) = serde_json::from_str::<Map<String, Value>>(&row.get::<String>(0)?) {
            names.extend(params.into_iter().map(|(name, _)| name));
        }
    }
    Ok(names)
}
