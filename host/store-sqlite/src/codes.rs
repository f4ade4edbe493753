//! Listings and counts of the pool, and retiring of codes.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{
    Ordering, Result, SqliteStore, StoreResult, calendar, code_groups, number_setting,
    raise_setting, reuse, skip_damaged, waiting_runs,
};
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{CodeGroup, Filter};
use promoflow_store::rules::retirement::{self, RetirementChange, StoredCode};
use promoflow_store::{
    AvailableCode, CodeRow, DeliveryId, LeaseStore, Leased, PoolCount, PoolStore, Position,
    RetireResult, ReusableClaim, RunId, UsedBy,
};

/// A code with its code group, its claim, and whether it is available.
const CODE_ROWS: &str = "
    SELECT code.code, code_group.type, code_group.discount, code.expires_at, code.retired,
           available.code_id IS NOT NULL, claim.run, claim.step, claim.contact, claim.claimed_at
    FROM code
    JOIN code_group ON code_group.id = code.code_group
    LEFT JOIN available_code AS available ON available.code_group = code.code_group
        AND available.expires_at = code.expires_at AND available.code_id = code.id
    LEFT JOIN claim ON claim.code_group = code.code_group AND claim.expires_at = code.expires_at
        AND claim.code_id = code.id
        AND NOT EXISTS (SELECT 1 FROM claim_release WHERE claim_release.claim = claim.id)";

pub(super) fn list(
    store: &SqliteStore,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<CodeRow>> {
    store.read(|connection| {
        let (mut condition, mut values) = conditions(connection, filter, now)?;
        if let Some(after) = after {
            values.push(Box::new(after.to_owned()));
            condition.push_str(&format!(" AND code.code > ?{}", values.len()));
        }
        let sql = format!("{CODE_ROWS} WHERE {condition} ORDER BY code.code");
        let mut statement = connection.prepare_cached(&sql)?;
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        let mut rows = statement.query(values.as_slice())?;
        let mut codes = Vec::new();
        while codes.len() < limit {
            let Some(row) = rows.next()? else { break };
            codes.extend(skip_damaged(code_row(row).map_err(Into::into))?);
        }
        Ok(codes)
    })
}

pub(super) fn find_code(
    store: &SqliteStore,
    code: &str,
) -> Result<Option<(CodeRow, Vec<DeliveryId>)>> {
    store.read(|connection| {
        let sql = format!("{CODE_ROWS} WHERE code.code = ?1");
        let found = connection
            .prepare_cached(&sql)?
            .query_row([code], |row| {
                Ok((code_row(row)?, row.get::<_, Option<i64>>(6)?))
            })
            .optional()?;
        let Some((row, run)) = found else {
            return Ok(None);
        };
        let mut deliveries = connection.prepare_cached(
            "SELECT id FROM delivery
             WHERE run IN (SELECT ?1 UNION
                           SELECT code_reuse.run
                           FROM code_reuse JOIN claim ON claim.id = code_reuse.claim
                           WHERE claim.run = ?1)
                 AND instr(content, ?2) > 0 ORDER BY id",
        )?;
        let json = serde_json::Value::from(code).to_string();
        let inner = json.trim_matches('"');
        let ids = deliveries
            .query_map(params![run, inner], |row| row.get(0).map(DeliveryId))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Some((row, ids)))
    })
}

pub(super) fn count(store: &SqliteStore, filter: &Filter, now: Timestamp) -> Result<PoolCount> {
    store.read(|connection| {
        let (condition, mut values) = conditions(connection, filter, now)?;
        values.push(Box::new(now.0));
        let now = values.len();
        let sql = format!(
            "SELECT count(*),
                    coalesce(sum(is_available AND expires_at > ?{now}), 0),
                    coalesce(sum(NOT is_available AND NOT retired), 0),
                    coalesce(sum(retired), 0),
                    coalesce(sum(is_available AND expires_at <= ?{now}), 0)
             FROM (SELECT code.expires_at, code.retired,
                          available.code_id IS NOT NULL AS is_available
                   FROM code
                   JOIN code_group ON code_group.id = code.code_group
                   LEFT JOIN available_code AS available
                       ON available.code_group = code.code_group
                       AND available.expires_at = code.expires_at AND available.code_id = code.id
                   WHERE {condition})"
        );
        let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
        let counts = connection
            .prepare_cached(&sql)?
            .query_row(values.as_slice(), |row| {
                let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
                Ok(PoolCount {
                    total: number(0)?,
                    available: number(1)?,
                    used: number(2)?,
                    retired: number(3)?,
                    expired: number(4)?,
                })
            })?;
        Ok(counts)
    })
}

/// Returns the conditions of a filter on `code`, `code_group` and `available`, with their values.
fn conditions(
    connection: &Connection,
    filter: &Filter,
    now: Timestamp,
) -> Result<(String, Vec<Box<dyn ToSql>>)> {
    let mut parts = vec!["1".to_owned()];
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    if let Some(kind) = &filter.code_type {
        values.push(Box::new(kind.clone()));
        parts.push(format!("code_group.type = ?{}", values.len()));
    }
    if let Some(discount) = filter.discount {
        values.push(Box::new(discount));
        parts.push(format!("code_group.discount = ?{}", values.len()));
    }
    if let Some(in_use) = filter.in_use {
        parts.push(format!(
            "available.code_id IS {} NULL",
            if in_use { "" } else { "NOT" }
        ));
    }
    if let Some(days) = filter.due_days {
        values.push(Box::new(calendar(connection)?.expiry_needed(now, days).0));
        parts.push(format!("code.expires_at >= ?{}", values.len()));
    }
    Ok((parts.join(" AND "), values))
}

fn code_row(row: &Row<'_>) -> rusqlite::Result<CodeRow> {
    let retired: bool = row.get(4)?;
    let is_available: bool = row.get(5)?;
    let run: Option<i64> = row.get(6)?;
    let used_by = match run {
        Some(run) if !is_available => Some(UsedBy {
            run: run.to_string(),
            step: row.get(7)?,
            contact: row.get(8)?,
            at: Timestamp(row.get(9)?).to_string(),
        }),
        _ => None,
    };
    Ok(CodeRow {
        code: row.get(0)?,
        code_group: CodeGroup {
            code_type: row.get(1)?,
            discount: row.get(2)?,
        },
        expires: Timestamp(row.get(3)?),
        in_use: retired || !is_available,
        used_by,
    })
}

/// Reads an available code: its expiry, its id and its text.
pub(super) fn read_available(row: &Row<'_>) -> Result<AvailableCode> {
    Ok(AvailableCode {
        position: Position {
            expires: Timestamp(row.get(0)?),
            id: row.get(1)?,
        },
        code: row.get(2)?,
    })
}

/// Makes an available code unavailable. Its parameters are its code group, expiry and id.
pub(super) const TAKE_AVAILABLE: &str =
    "DELETE FROM available_code WHERE code_group = ?1 AND expires_at = ?2 AND code_id = ?3";
/// Makes a code available. Its parameters are its code group, expiry, id and text.
pub(super) const ADD_AVAILABLE: &str =
    "INSERT INTO available_code (code_group, expires_at, code_id, code) VALUES (?1, ?2, ?3, ?4)";

/// Makes an available code unavailable. Returns false if it is not available.
pub(super) fn take_available(
    connection: &Connection,
    code_group: i64,
    position: Position,
) -> Result<bool> {
    let taken = connection.prepare_cached(TAKE_AVAILABLE)?.execute(params![
        code_group,
        position.expires.0,
        position.id
    ])?;
    Ok(taken == 1)
}

/// Makes a code available.
pub(super) fn add_available(
    connection: &Connection,
    code_group: i64,
    position: Position,
    code: &str,
) -> Result<()> {
    connection.prepare_cached(ADD_AVAILABLE)?.execute(params![
        code_group,
        position.expires.0,
        position.id,
        code
    ])?;
    Ok(())
}

pub(super) fn available_codes(
    connection: &Connection,
    code_group: &CodeGroup,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<AvailableCode>> {
    let Some(code_group) =
        code_groups::find(connection, &code_group.code_type, code_group.discount)?
    else {
        return Ok(Vec::new());
    };
    let (expires, id) = after.map_or((i64::MIN, i64::MIN), |at| (at.expires.0, at.id));
    let mut statement = connection.prepare_cached(
        "SELECT expires_at, code_id, code FROM available_code
         WHERE code_group = ?1 AND (expires_at, code_id) > (?2, ?3)
         ORDER BY expires_at, code_id",
    )?;
    let mut rows = statement.query(params![code_group, expires, id])?;
    let mut codes = Vec::new();
    while codes.len() < limit {
        let Some(row) = rows.next()? else { break };
        codes.extend(skip_damaged(read_available(row))?);
    }
    Ok(codes)
}

pub(super) fn retire(
    connection: &Connection,
    codes: &[String],
    retire: bool,
    at: Timestamp,
) -> Result<RetireResult> {
    let mut done = RetireResult::default();
    for code in codes {
        let found = connection
            .prepare_cached(
                "SELECT code_group, expires_at, id, retired,
                        EXISTS (SELECT 1 FROM available_code AS available
                                WHERE available.code_group = code.code_group
                                    AND available.expires_at = code.expires_at
                                    AND available.code_id = code.id)
                 FROM code WHERE code = ?1",
            )?
            .query_row([code], |row| {
                let position = Position {
                    expires: Timestamp(row.get(1)?),
                    id: row.get(2)?,
                };
                let stored = StoredCode {
                    is_retired: row.get(3)?,
                    is_available: row.get(4)?,
                };
                Ok((row.get::<_, i64>(0)?, position, stored))
            })
            .optional()?;
        let Some((code_group, position, stored)) = found else {
            done.unknown.push(code.clone());
            continue;
        };
        match retirement::change(stored, retire) {
            RetirementChange::Nothing => continue,
            RetirementChange::AlreadyUsed => {
                done.already_used.push(code.clone());
                continue;
            }
            RetirementChange::Retire => {
                take_available(connection, code_group, position)?;
            }
            RetirementChange::Reinstate => {
                add_available(connection, code_group, position, code)?;
            }
        }
        connection
            .prepare_cached("UPDATE code SET retired = ?2 WHERE code = ?1")?
            .execute(params![code, retire])?;
        log_retirement(connection, code, retire, at)?;
        done.retired += 1;
    }
    if done.retired > 0 {
        raise_setting(connection, "pool-generation")?;
        if !retire {
            waiting_runs::serve_waiting_runs(connection, at)?;
        }
    }
    Ok(done)
}

pub(super) fn log_retirement(
    connection: &Connection,
    code: &str,
    retired: bool,
    at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO retirement (code, retired, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![code, retired, at.0])?;
    Ok(())
}

/// One process executes on a file, so nobody else leases codes.
impl LeaseStore for SqliteStore {
    fn lease(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Leased> {
        let codes = self.available_codes(code_group, after, limit)?;
        Ok(Leased {
            end: codes.len() < limit,
            others: false,
            codes,
        })
    }

    fn give_up(&self, _: &CodeGroup) -> StoreResult<()> {
        Ok(())
    }

    fn pool_changes(&self) -> u64 {
        self.pool_changes.load(Ordering::SeqCst)
    }
}

impl PoolStore for SqliteStore {
    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Vec<AvailableCode>> {
        Ok(self.read(|connection| available_codes(connection, code_group, after, limit))?)
    }

    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|connection| reuse::by_run(connection, run, code_group, needed))?)
    }

    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|connection| reuse::by_contact(connection, contact, code_group))?)
    }

    fn pool_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|connection| {
            number_setting(connection, "pool-generation").map(i64::unsigned_abs)
        })?)
    }

    fn codes(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<CodeRow>> {
        Ok(list(self, filter, after, limit, now)?)
    }

    fn code(&self, code: &str) -> StoreResult<Option<(CodeRow, Vec<DeliveryId>)>> {
        Ok(find_code(self, code)?)
    }

    fn count_codes(&self, filter: &Filter, now: Timestamp) -> StoreResult<PoolCount> {
        Ok(count(self, filter, now)?)
    }

    fn retire(
        &self,
        codes: &[String],
        retire: bool,
        clock: &dyn Clock,
    ) -> StoreResult<RetireResult> {
        Ok(self.write_pool(|connection, _| self::retire(connection, codes, retire, clock.now()))?)
    }
}
