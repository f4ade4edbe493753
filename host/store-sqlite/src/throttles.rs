//! `Retry-After` deadlines of providers and webhooks.

use rusqlite::{Connection, OptionalExtension, params};

use super::Result;
use promoflow_model::clock::Timestamp;
use promoflow_store::ThrottledParty;

fn key(party: ThrottledParty<'_>) -> (&'static str, &str) {
    match party {
        ThrottledParty::Channel(kind) => ("channel", kind.name()),
        ThrottledParty::Webhook(name) => ("webhook", name),
    }
}

/// Stores a deadline, replacing the previous one.
pub(super) fn put(
    connection: &Connection,
    party: ThrottledParty<'_>,
    until: Timestamp,
) -> Result<()> {
    let (party, name) = key(party);
    connection
        .prepare_cached(
            "INSERT INTO throttle (party, name, until_at) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET until_at = excluded.until_at",
        )?
        .execute(params![party, name, until.0])?;
    Ok(())
}

pub(super) fn of(connection: &Connection, party: ThrottledParty<'_>) -> Result<Option<Timestamp>> {
    let (party, name) = key(party);
    let until = connection
        .prepare_cached("SELECT until_at FROM throttle WHERE party = ?1 AND name = ?2")?
        .query_row([party, name], |row| row.get(0).map(Timestamp))
        .optional()?;
    Ok(until)
}
