//! `Retry-After` deadlines of providers and webhooks.

use promoflow_model::clock::Timestamp;
use promoflow_store::ThrottledParty;

use crate::connection::params;
use crate::errors::Result;
use crate::transaction::Transaction;

fn key(party: ThrottledParty<'_>) -> (&'static str, &str) {
    match party {
        ThrottledParty::Channel(kind) => ("channel", kind.name()),
        ThrottledParty::Webhook(name) => ("webhook", name),
    }
}

/// Stores a deadline, replacing the previous one.
pub(crate) fn put(
    transaction: &Transaction<'_>,
    party: ThrottledParty<'_>,
    until: Timestamp,
) -> Result<()> {
    let (party, name) = key(party);
    transaction.execute(
        "INSERT INTO throttle (party, name, until_at) VALUES ($1, $2, $3)
         ON CONFLICT (party, name) DO UPDATE SET until_at = excluded.until_at",
        params![party, name, until.0],
    )?;
    Ok(())
}

/// Returns the latest deadline.
pub(crate) fn of(
    transaction: &Transaction<'_>,
    party: ThrottledParty<'_>,
) -> Result<Option<Timestamp>> {
    let (party, name) = key(party);
    let row = transaction.row(
        "SELECT until_at FROM throttle WHERE party = $1 AND name = $2",
        params![party, name],
    )?;
    row.map(|row| row.get(0).map(Timestamp)).transpose()
}
