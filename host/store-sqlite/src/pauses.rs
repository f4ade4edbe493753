//! `Retry-After` deadlines of providers and webhooks.

use rusqlite::{Connection, OptionalExtension, params};

use super::Result;
use promoflow_model::clock::Timestamp;
use promoflow_store::Side;

fn key(side: Side<'_>) -> (&'static str, &str) {
    match side {
        Side::Channel(kind) => ("channel", kind.name()),
        Side::Webhook(name) => ("webhook", name),
    }
}

/// Stores a deadline, replacing the previous one.
pub(super) fn put(connection: &Connection, side: Side<'_>, until: Timestamp) -> Result<()> {
    let (side, name) = key(side);
    connection
        .prepare_cached(
            "INSERT INTO pause (side, name, until) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET until = excluded.until",
        )?
        .execute(params![side, name, until.0])?;
    Ok(())
}

pub(super) fn of(connection: &Connection, side: Side<'_>) -> Result<Option<Timestamp>> {
    let (side, name) = key(side);
    let until = connection
        .prepare_cached("SELECT until FROM pause WHERE side = ?1 AND name = ?2")?
        .query_row([side, name], |row| row.get(0).map(Timestamp))
        .optional()?;
    Ok(until)
}
