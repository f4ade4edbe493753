//! Counts of the runs and the claims that transactions add.
//!
//! Ids say nothing about how many rows there are, nor in which order they were added, and counting
//! millions of rows takes seconds. So each transaction adds what it inserted to counts of its own
//! seat, whose sums are exact at every moment: the place in the history of claims, the number of
//! completed runs, and the proof of the audit that no row is missing.

use std::collections::BTreeMap;

use promoflow_store::StoreError;

use crate::connection::Row;
use crate::errors::Result;
use crate::transaction::Transaction;

/// Adds the counts of a host that has ended to those of all ended hosts. Each statement takes the
/// host's name, and they run in this order, after the host's seats were taken.
pub(crate) const FOLD: [&str; 4] = [
    "INSERT INTO claim_count (host, seat, code_group, claims)
     SELECT '', 0, code_group, sum(claims)::bigint FROM claim_count WHERE host = $1
     GROUP BY code_group ORDER BY code_group
     ON CONFLICT (host, seat, code_group)
     DO UPDATE SET claims = claim_count.claims + excluded.claims",
    "DELETE FROM claim_count WHERE host = $1",
    "INSERT INTO run_count (host, seat, runs)
     SELECT '', 0, sum(runs)::bigint FROM run_count WHERE host = $1 HAVING count(*) > 0
     ON CONFLICT (host, seat) DO UPDATE SET runs = run_count.runs + excluded.runs",
    "DELETE FROM run_count WHERE host = $1",
];

/// Counts the stored rows again, after they were added in another way.
pub(crate) fn recount(transaction: &Transaction<'_>) -> Result<()> {
    transaction.execute(
        "INSERT INTO claim_count (host, seat, code_group, claims)
         SELECT '', 0, code_group, count(*) FROM claim GROUP BY code_group",
        &[],
    )?;
    transaction.execute(
        "INSERT INTO run_count (host, seat, runs) SELECT '', 0, count(*) FROM run
         HAVING count(*) > 0",
        &[],
    )?;
    Ok(())
}

/// Counts runs that a transaction adds. Sent with its commit.
pub(crate) fn add_runs(transaction: &Transaction<'_>, runs: usize) -> Result<()> {
    if runs == 0 {
        return Ok(());
    }
    let (host, seat) = seat(transaction)?;
    transaction.at_commit(
        "INSERT INTO run_count (host, seat, runs) VALUES ($1, $2, $3)
         ON CONFLICT (host, seat) DO UPDATE SET runs = run_count.runs + excluded.runs",
        vec![Box::new(host), Box::new(seat), Box::new(number(runs))],
    );
    Ok(())
}

/// Counts claims that a transaction adds, each given by the id of its code group. Sent with its
/// commit.
pub(crate) fn add_claims(
    transaction: &Transaction<'_>,
    code_groups: impl IntoIterator<Item = i64>,
) -> Result<()> {
    // Sorted, so that the rows are always locked in one order.
    let mut claims: BTreeMap<i64, i64> = BTreeMap::new();
    for code_group in code_groups {
        *claims.entry(code_group).or_default() += 1;
    }
    if claims.is_empty() {
        return Ok(());
    }
    let (host, seat) = seat(transaction)?;
    let (code_groups, claims): (Vec<i64>, Vec<i64>) = claims.into_iter().unzip();
    transaction.at_commit(
        "INSERT INTO claim_count (host, seat, code_group, claims)
         SELECT $1, $2, code_group, claims
         FROM unnest($3::bigint[], $4::bigint[]) AS added (code_group, claims)
         ON CONFLICT (host, seat, code_group)
         DO UPDATE SET claims = claim_count.claims + excluded.claims",
        vec![
            Box::new(host),
            Box::new(seat),
            Box::new(code_groups),
            Box::new(claims),
        ],
    );
    Ok(())
}

/// Returns the number of claims so far, by the id of the code group.
pub(crate) fn claims(transaction: &Transaction<'_>) -> Result<BTreeMap<i64, i64>> {
    let rows = transaction.rows(
        "SELECT code_group, sum(claims)::bigint FROM claim_count GROUP BY code_group",
        &[],
    )?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect()
}

/// Returns the number of runs so far.
pub(crate) fn runs(transaction: &Transaction<'_>) -> Result<i64> {
    let row = transaction.row("SELECT coalesce(sum(runs), 0)::bigint FROM run_count", &[])?;
    row.map_or(Ok(0), |row: Row| row.get(0))
}

fn seat(transaction: &Transaction<'_>) -> Result<(String, i32)> {
    let seat = transaction.seat();
    let seat = seat.ok_or_else(|| StoreError::Engine("the transaction only reads".into()))?;
    Ok((seat.host.clone(), seat.number))
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
