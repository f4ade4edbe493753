//! Counts of the pool and the launch history.
//!
//! Claims and runs are counted in rows of their own (see [`counts`](crate::counts)), so only what
//! is left in the pool and what is not finished yet is read.

use std::collections::{BTreeMap, HashMap};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    ClaimCount, ClaimCountSince, ClaimMark, CodeGroupCount, PoolStatistics, RunStatistics,
    StatisticsStore,
};

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, skip_damaged};
use crate::settings::number_setting;
use crate::transaction::Transaction;
use crate::{code_groups, counts};

/// Returns all code groups by their ids.
fn all_groups(transaction: &Transaction<'_>) -> Result<HashMap<i64, CodeGroup>> {
    let rows = transaction.rows(
        "SELECT type, discount, id FROM code_group ORDER BY type, discount",
        &[],
    )?;
    let mut groups = HashMap::new();
    for row in rows {
        if let Some(code_group) = skip_damaged(code_groups::read_columns(&row, 0))? {
            groups.insert(row.get(2)?, code_group);
        }
    }
    Ok(groups)
}

fn number(row: &Row, column: usize) -> Result<u64> {
    Ok(row.get::<i64>(column)?.unsigned_abs())
}

fn count(transaction: &Transaction<'_>, now: Timestamp, soon: Timestamp) -> Result<PoolStatistics> {
    let generation = number_setting(transaction, "pool-generation")?.unsigned_abs();
    let claims = counts::claims(transaction)?;
    let mut counted: HashMap<i64, CodeGroupCount> = HashMap::new();
    for (id, code_group) in all_groups(transaction)? {
        let count = CodeGroupCount {
            code_group,
            available: 0,
            used: claims.get(&id).copied().unwrap_or(0).unsigned_abs(),
            retired: 0,
            expired: 0,
            expiring: 0,
        };
        counted.insert(id, count);
    }
    let soon = soon.0.max(now.0);
    let answers = transaction.pipeline(&[
        (
            "SELECT code_group, count(*), count(*) FILTER (WHERE expires_at <= $1),
                    count(*) FILTER (WHERE expires_at <= $2)
             FROM available_code GROUP BY code_group",
            params![now.0, soon],
        ),
        // Few claims are ever released.
        (
            "SELECT claim.code_group, count(*)
             FROM claim_release JOIN claim ON claim.id = claim_release.claim
             GROUP BY claim.code_group",
            params![],
        ),
        // Every code that was ever retired is in this ledger, and most codes never are.
        (
            "SELECT code.code_group, count(*) FROM (SELECT DISTINCT code FROM retirement) AS once
             JOIN code ON code.code = once.code WHERE code.retired = 1 GROUP BY code.code_group",
            params![],
        ),
    ])?;
    let parts: [fn(&mut CodeGroupCount, &Row) -> Result<()>; 3] = [
        |count, row| {
            count.expired = number(row, 2)?;
            count.expiring = number(row, 3)? - count.expired;
            count.available = number(row, 1)? - count.expired;
            Ok(())
        },
        |count, row| {
            count.used = count.used.saturating_sub(number(row, 1)?);
            Ok(())
        },
        |count, row| {
            count.retired = number(row, 1)?;
            Ok(())
        },
    ];
    for (answer, part) in answers.iter().zip(parts) {
        for row in &answer.rows {
            if let Some(count) = counted.get_mut(&row.get(0)?) {
                part(count, row)?;
            }
        }
    }
    let mut code_groups: Vec<CodeGroupCount> = counted.into_values().collect();
    code_groups.sort_by(|a, b| a.code_group.cmp(&b.code_group));
    Ok(PoolStatistics {
        code_groups,
        mark: mark(&claims),
        generation,
    })
}

/// Returns the mark of these numbers of claims: the id of each code group and its number. A claim
/// raises its group's number in whatever order hosts commit, so no claim is missed or counted twice.
fn mark(claims: &BTreeMap<i64, i64>) -> ClaimMark {
    ClaimMark(
        claims
            .iter()
            .flat_map(|(id, count)| [*id, *count])
            .collect(),
    )
}

/// Returns the numbers of claims of a mark.
fn read_mark(mark: &ClaimMark) -> BTreeMap<i64, i64> {
    let pairs = mark.0.chunks_exact(2);
    pairs
        .filter_map(|pair| Some((*pair.first()?, *pair.get(1)?)))
        .collect()
}

/// Counts the claims after a mark, by code group.
fn claimed_after(transaction: &Transaction<'_>, after: &ClaimMark) -> Result<ClaimCount> {
    let (before, claims) = (read_mark(after), counts::claims(transaction)?);
    let added = claims.iter().map(|(id, count)| {
        let before = before.get(id).copied().unwrap_or(0);
        (*id, count.saturating_sub(before))
    });
    Ok(ClaimCount {
        code_groups: by_group(transaction, added)?,
        mark: mark(&claims),
    })
}

/// Replaces the ids of code groups, without those that have no claims.
fn by_group(
    transaction: &Transaction<'_>,
    counts: impl Iterator<Item = (i64, i64)>,
) -> Result<HashMap<CodeGroup, u64>> {
    let counts: Vec<(i64, u64)> = counts
        .filter_map(|(id, count)| Some((id, u64::try_from(count).ok().filter(|count| *count > 0)?)))
        .collect();
    if counts.is_empty() {
        return Ok(HashMap::new());
    }
    let mut groups = all_groups(transaction)?;
    Ok(counts
        .into_iter()
        .filter_map(|(id, count)| Some((groups.remove(&id)?, count)))
        .collect())
}

/// Counts the claims since a time, by code group; at most the last `limit`.
fn claimed_since(
    transaction: &Transaction<'_>,
    since: Timestamp,
    limit: u64,
) -> Result<ClaimCountSince> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut answers = transaction.pipeline(&[
        (
            "SELECT code_group, count(*), min(claimed_at) FROM (
                 SELECT code_group, claimed_at FROM claim WHERE claimed_at >= $1
                 ORDER BY claimed_at DESC LIMIT $2) AS latest
             GROUP BY code_group",
            params![since.0, limit],
        ),
        (
            "SELECT 1 FROM claim WHERE claimed_at < $1 LIMIT 1",
            params![since.0],
        ),
    ])?;
    let any_before = answers.pop().is_some_and(|answer| !answer.rows.is_empty());
    let rows = answers.pop().map_or(Vec::new(), |answer| answer.rows);
    let (mut claims, mut first) = (Vec::new(), None);
    for row in &rows {
        claims.push((row.get(0)?, row.get(1)?));
        let at: i64 = row.get(2)?;
        first = Some(first.map_or(at, |first: i64| first.min(at)));
    }
    let counted: i64 = claims.iter().map(|(_, count): &(i64, i64)| count).sum();
    let from = match any_before && counted < limit {
        true => None,
        // No claim precedes the counted ones, or some may be left out.
        false => first,
    };
    Ok(ClaimCountSince {
        code_groups: by_group(transaction, claims.into_iter())?,
        from: Timestamp(from.unwrap_or(since.0)),
    })
}

fn run_statistics(transaction: &Transaction<'_>) -> Result<RunStatistics> {
    let mut run_statistics = RunStatistics::default();
    let all = counts::runs(transaction)?.unsigned_abs();
    let answers = transaction.pipeline(&[
        // By the index of runs that are not completed: most are, and runs are never deleted.
        (
            "SELECT state, count(*) FROM run WHERE state <> 'completed' GROUP BY state",
            params![],
        ),
        (
            "SELECT 'due', count(*) FROM delivery WHERE due_at IS NOT NULL",
            params![],
        ),
    ])?;
    for row in answers.iter().flat_map(|answer| &answer.rows) {
        let count = number(row, 1)?;
        match row.get::<String>(0)?.as_str() {
            "running" => run_statistics.running = count,
            "waiting" => run_statistics.waiting = count,
            "failed" => run_statistics.failed = count,
            "due" => run_statistics.deliveries = count,
            _ => run_statistics.cancelled = count,
        }
    }
    let others = run_statistics.running
        + run_statistics.waiting
        + run_statistics.failed
        + run_statistics.cancelled;
    run_statistics.completed = all.saturating_sub(others);
    Ok(run_statistics)
}

impl StatisticsStore for PostgresStore {
    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> StoreResult<PoolStatistics> {
        Ok(self.read(|transaction| count(transaction, now, soon))?)
    }

    fn code_groups(&self) -> StoreResult<Vec<CodeGroup>> {
        Ok(self.read(|transaction| {
            let mut groups: Vec<CodeGroup> = all_groups(transaction)?.into_values().collect();
            groups.sort();
            Ok(groups)
        })?)
    }

    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> StoreResult<u64> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.read(|transaction| {
            let Some(id) = self.find_code_group(transaction, code_group)? else {
                return Ok(0);
            };
            let row = transaction.row(
                "SELECT count(*) FROM (SELECT 1 FROM available_code
                     WHERE code_group = $1 AND expires_at > $2 AND expires_at <= $3
                     LIMIT $4) AS available",
                params![id, from.0, to.0, limit],
            )?;
            row.map_or(Ok(0), |row| number(&row, 0))
        })?)
    }

    fn claim_mark(&self) -> StoreResult<ClaimMark> {
        Ok(self.read(|transaction| Ok(mark(&counts::claims(transaction)?)))?)
    }

    fn claimed_after(&self, mark: &ClaimMark) -> StoreResult<ClaimCount> {
        Ok(self.read(|transaction| claimed_after(transaction, mark))?)
    }

    fn claimed_since(&self, since: Timestamp, limit: u64) -> StoreResult<ClaimCountSince> {
        Ok(self.read(|transaction| claimed_since(transaction, since, limit))?)
    }

    fn run_statistics(&self) -> StoreResult<RunStatistics> {
        Ok(self.read(run_statistics)?)
    }
}
