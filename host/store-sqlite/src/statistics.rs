//! Counts of the pool and the launch history.
//!
//! Code groups are counted in the order of an index, and recent claims in the order of the claims.
//! Both cost only the rows that they read, and need no rows written for them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, SqliteStore, StoreResult, alerts, code_groups, number_setting, skip_damaged};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    ClaimCount, ClaimCountSince, ClaimMark, CodeGroupCount, PoolStatistics, RunStatistics,
    StatisticsStore,
};

pub(super) fn count(
    connection: &Connection,
    now: Timestamp,
    soon: Timestamp,
) -> Result<PoolStatistics> {
    let generation = number_setting(connection, "pool-generation")?.unsigned_abs();
    let mark = mark_after(last_claim(connection)?);
    let mut counts: HashMap<i64, CodeGroupCount> = HashMap::new();
    let mut all = connection.prepare_cached("SELECT id, type, discount FROM code_group")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let Some(code_group) = skip_damaged(code_groups::read_columns(row, 1))? else {
            continue;
        };
        let count = CodeGroupCount {
            code_group,
            available: 0,
            used: 0,
            retired: 0,
            expired: 0,
            expiring: 0,
        };
        counts.insert(row.get(0)?, count);
    }
    let mut available = connection.prepare_cached(
        "SELECT code_group, count(*), sum(expires_at <= ?1), sum(expires_at <= ?2)
         FROM available_code GROUP BY code_group",
    )?;
    let mut rows = available.query([now.0, soon.0.max(now.0)])?;
    while let Some(row) = rows.next()? {
        if let Some(count) = counts.get_mut(&row.get(0)?) {
            let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
            let (all, expired, expired_soon) = (number(1)?, number(2)?, number(3)?);
            count.available = all - expired;
            count.expired = expired;
            count.expiring = expired_soon - expired;
        }
    }
    let mut add = |sql: &str, part: fn(&mut CodeGroupCount, u64)| -> Result<()> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(count) = counts.get_mut(&row.get(0)?) {
                part(count, row.get::<_, i64>(1)?.unsigned_abs());
            }
        }
        Ok(())
    };
    add(
        "SELECT code_group, count(*) FROM claim GROUP BY code_group",
        |count, claims| count.used += claims,
    )?;
    add(
        // CROSS JOIN keeps this order: few claims are ever released, and the others need not be
        // read.
        "SELECT claim.code_group, count(*)
         FROM claim_release CROSS JOIN claim ON claim.id = claim_release.claim
         GROUP BY claim.code_group",
        |count, released| count.used = count.used.saturating_sub(released),
    )?;
    // Every code that was ever retired is in this ledger, and most codes never are.
    add(
        "SELECT code.code_group, count(*) FROM (SELECT DISTINCT code FROM retirement) AS once
         JOIN code ON code.code = once.code WHERE code.retired = 1 GROUP BY code.code_group",
        |count, retired| count.retired += retired,
    )?;
    let mut code_groups: Vec<CodeGroupCount> = counts.into_values().collect();
    code_groups.sort_by(|a, b| a.code_group.cmp(&b.code_group));
    Ok(PoolStatistics {
        code_groups,
        mark,
        generation,
    })
}

/// Returns the mark after a claim: its id, since one writer assigns ids in the order of commits.
fn mark_after(claim: i64) -> ClaimMark {
    ClaimMark(vec![claim])
}

/// Returns the id of the last claim, or 0 if there is none.
fn last_claim(connection: &Connection) -> Result<i64> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM claim")?
        .query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// Counts the claims after that one, by code group.
fn claimed_after(connection: &Connection, after: i64) -> Result<ClaimCount> {
    // Counted here, because SQLite would sort the rows to group them.
    let mut by_id: HashMap<i64, u64> = HashMap::new();
    let mut last = after;
    let mut statement =
        connection.prepare_cached("SELECT id, code_group FROM claim WHERE id > ?1 ORDER BY id")?;
    let mut rows = statement.query([after])?;
    while let Some(row) = rows.next()? {
        last = row.get(0)?;
        *by_id.entry(row.get(1)?).or_default() += 1;
    }
    let mut claimed = ClaimCount {
        code_groups: HashMap::new(),
        mark: mark_after(last),
    };
    for (code_group, count) in by_id {
        if let Some(code_group) = skip_damaged(code_groups::load(connection, code_group))? {
            claimed.code_groups.insert(code_group, count);
        }
    }
    Ok(claimed)
}

/// Counts the claims since a time, by code group; at most the last `limit`.
pub(super) fn claimed_since(
    connection: &Connection,
    since: Timestamp,
    limit: u64,
) -> Result<ClaimCountSince> {
    let last = last_claim(connection)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // Claim ids are consecutive and increase in commit order, and so do their times. If the clock was set back, the
    // result is off by that much.
    let (mut before, mut after) = (last.saturating_sub(limit).max(0), last + 1);
    let mut select = connection.prepare_cached("SELECT claimed_at FROM claim WHERE id = ?1")?;
    let mut at = |claim: i64| -> Result<Option<i64>> {
        Ok(select.query_row([claim], |row| row.get(0)).optional()?)
    };
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        match at(middle)? {
            Some(moment) if moment >= since.0 => after = middle,
            _ => before = middle,
        }
    }
    let from = match at(before)? {
        Some(earlier) if earlier < since.0 => None,
        // No claim precedes the counted ones, or one of the same time is left out.
        _ => at(after)?,
    };
    Ok(ClaimCountSince {
        code_groups: claimed_after(connection, before)?.code_groups,
        from: Timestamp(from.unwrap_or(since.0)),
    })
}

pub(super) fn run_statistics(connection: &Connection) -> Result<RunStatistics> {
    let mut run_statistics = RunStatistics::default();
    // By the index of runs that are not completed: most are completed, and runs are never deleted.
    let mut statement = connection.prepare_cached(
        "SELECT state, count(*) FROM run WHERE state <> 'completed' GROUP BY state",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let count = row.get::<_, i64>(1)?.unsigned_abs();
        match row.get_ref(0)?.as_str().unwrap_or_default() {
            "running" => run_statistics.running = count,
            "waiting" => run_statistics.waiting = count,
            "failed" => run_statistics.failed = count,
            _ => run_statistics.cancelled = count,
        }
    }
    // Ids are consecutive from 1: one writer assigns them, and no run is ever deleted.
    let all: Option<i64> = connection
        .prepare_cached("SELECT max(id) FROM run")?
        .query_row([], |row| row.get(0))?;
    let others = run_statistics.running
        + run_statistics.waiting
        + run_statistics.failed
        + run_statistics.cancelled;
    run_statistics.completed = all.unwrap_or(0).unsigned_abs().saturating_sub(others);
    let deliveries: i64 = connection
        .prepare_cached("SELECT count(*) FROM delivery WHERE due_at IS NOT NULL")?
        .query_row(params![], |row| row.get(0))?;
    run_statistics.deliveries = deliveries.unsigned_abs();
    Ok(run_statistics)
}

impl StatisticsStore for SqliteStore {
    fn pool_statistics(&self, now: Timestamp, soon: Timestamp) -> StoreResult<PoolStatistics> {
        Ok(self.read(|connection| count(connection, now, soon))?)
    }

    fn code_groups(&self) -> StoreResult<Vec<CodeGroup>> {
        Ok(self.read(alerts::code_groups)?)
    }

    fn count_available_between(
        &self,
        code_group: &CodeGroup,
        from: Timestamp,
        to: Timestamp,
        limit: u64,
    ) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            alerts::count_available_between(connection, code_group, from, to, limit)
        })?)
    }

    fn claim_mark(&self) -> StoreResult<ClaimMark> {
        Ok(self.read(last_claim).map(mark_after)?)
    }

    fn claimed_after(&self, mark: &ClaimMark) -> StoreResult<ClaimCount> {
        let after = mark.0.first().copied().unwrap_or(0);
        Ok(self.read(|connection| claimed_after(connection, after))?)
    }

    fn claimed_since(&self, since: Timestamp, limit: u64) -> StoreResult<ClaimCountSince> {
        Ok(self.read(|connection| claimed_since(connection, since, limit))?)
    }

    fn run_statistics(&self) -> StoreResult<RunStatistics> {
        Ok(self.read(run_statistics)?)
    }
}
