//! Listings and counts of the pool, and retiring of codes.

use std::collections::HashMap;

use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::pool::{CodeGroup, Filter};
use promoflow_store::rules::retirement::{self, RetirementChange};
use promoflow_store::{
    AvailableCode, CodeRow, DeliveryId, PoolCount, PoolStore, Position, RetireResult,
    ReusableClaim, RunId, UsedBy,
};

use crate::PostgresStore;
use crate::available_codes::read_available;
use crate::code_changes::CodeChanges;
use crate::code_groups;
use crate::connection::{Row, params};
use crate::errors::{Result, StoreResult, skip_damaged};
use crate::reuse;
use crate::settings::{calendar, increase_setting, number_setting};
use crate::transaction::Transaction;
use crate::waiting_runs;

/// A code with its code group, its claim, and whether it is available.
macro_rules! code_rows {
    ($rest:literal) => {
        concat!(
            "SELECT code.code, code_group.type, code_group.discount, code.expires_at, code.retired,
                    available.code_id IS NOT NULL, claim.run, claim.step, claim.contact,
                    claim.claimed_at
             FROM code
             JOIN code_group ON code_group.id = code.code_group
             LEFT JOIN available_code AS available ON available.code_group = code.code_group
                 AND available.expires_at = code.expires_at AND available.code_id = code.id
             LEFT JOIN claim ON claim.code_group = code.code_group
                 AND claim.expires_at = code.expires_at AND claim.code_id = code.id
                 AND NOT EXISTS (SELECT 1 FROM claim_release WHERE claim_release.claim = claim.id) ",
            $rest
        )
    };
}

/// The values of a filter, as parameters of a statement.
struct Conditions<'f> {
    kind: Option<&'f str>,
    discount: Option<i32>,
    in_use: Option<bool>,
    /// The earliest expiry.
    expires: Option<i64>,
}

impl Conditions<'_> {
    fn of<'f>(
        transaction: &Transaction<'_>,
        filter: &'f Filter,
        now: Timestamp,
    ) -> Result<Conditions<'f>> {
        let expires = match filter.due_days {
            Some(days) => Some(calendar(transaction)?.expiry_needed(now, days).0),
            None => None,
        };
        Ok(Conditions {
            kind: filter.code_type.as_deref(),
            discount: filter.discount.map(i32::from),
            in_use: filter.in_use,
            expires,
        })
    }
}

fn list(
    transaction: &Transaction<'_>,
    filter: &Filter,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<CodeRow>> {
    let conditions = Conditions::of(transaction, filter, now)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = transaction.rows(
        code_rows!(
            "WHERE ($1::text IS NULL OR code_group.type = $1)
                 AND ($2::integer IS NULL OR code_group.discount = $2)
                 AND ($3::boolean IS NULL OR (available.code_id IS NULL) = $3)
                 AND ($4::bigint IS NULL OR code.expires_at >= $4)
                 AND code.code > $5
             ORDER BY code.code LIMIT $6"
        ),
        params![
            conditions.kind,
            conditions.discount,
            conditions.in_use,
            conditions.expires,
            // No code is empty.
            after.unwrap_or_default(),
            limit
        ],
    )?;
    let codes = rows.iter().map(|row| skip_damaged(code_row(row)));
    Ok(codes
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn find(transaction: &Transaction<'_>, code: &str) -> Result<Option<(CodeRow, Vec<DeliveryId>)>> {
    let found = transaction.row(code_rows!("WHERE code.code = $1"), params![code])?;
    let Some(found) = found else {
        return Ok(None);
    };
    let row = code_row(&found)?;
    let Some(run) = found.get::<Option<i64>>(6)? else {
        return Ok(Some((row, Vec::new())));
    };
    let json = serde_json::Value::from(code).to_string();
    let inner = json.trim_matches('"');
    let deliveries = transaction.rows(
        "SELECT id FROM delivery
         WHERE run IN (SELECT $1::bigint UNION
                       SELECT code_reuse.run
                       FROM code_reuse JOIN claim ON claim.id = code_reuse.claim
                       WHERE claim.run = $1)
             AND strpos(content, $2) > 0 ORDER BY id",
        params![run, inner],
    )?;
    let ids = deliveries.iter().map(|row| row.get(0).map(DeliveryId));
    Ok(Some((row, ids.collect::<Result<_>>()?)))
}

fn count(transaction: &Transaction<'_>, filter: &Filter, now: Timestamp) -> Result<PoolCount> {
    let conditions = Conditions::of(transaction, filter, now)?;
    let counts = transaction.row(
        "SELECT count(*),
                count(*) FILTER (WHERE is_available AND expires_at > $5),
                count(*) FILTER (WHERE NOT is_available AND retired = 0),
                count(*) FILTER (WHERE retired = 1),
                count(*) FILTER (WHERE is_available AND expires_at <= $5)
         FROM (SELECT code.expires_at, code.retired, available.code_id IS NOT NULL AS is_available
               FROM code
               JOIN code_group ON code_group.id = code.code_group
               LEFT JOIN available_code AS available
                   ON available.code_group = code.code_group
                   AND available.expires_at = code.expires_at AND available.code_id = code.id
               WHERE ($1::text IS NULL OR code_group.type = $1)
                   AND ($2::integer IS NULL OR code_group.discount = $2)
                   AND ($3::boolean IS NULL OR (available.code_id IS NULL) = $3)
                   AND ($4::bigint IS NULL OR code.expires_at >= $4)) AS matching",
        params![
            conditions.kind,
            conditions.discount,
            conditions.in_use,
            conditions.expires,
            now.0
        ],
    )?;
    let Some(counts) = counts else {
        return Ok(PoolCount::default());
    };
    let number = |index| counts.get::<i64>(index).map(i64::unsigned_abs);
    Ok(PoolCount {
        total: number(0)?,
        available: number(1)?,
        used: number(2)?,
        retired: number(3)?,
        expired: number(4)?,
    })
}

fn code_row(row: &Row) -> Result<CodeRow> {
    let is_retired = row.flag(4)?;
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
        code_group: code_groups::read_columns(row, 1)?,
        expires: Timestamp(row.get(3)?),
        in_use: is_retired || !is_available,
        used_by,
    })
}

fn available_codes(
    transaction: &Transaction<'_>,
    code_group: &CodeGroup,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<AvailableCode>> {
    let (expires, id) = after.map_or((i64::MIN, i64::MIN), |at| (at.expires.0, at.id));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = transaction.rows(
        "SELECT expires_at, code_id, code FROM available_code
         WHERE code_group = (SELECT id FROM code_group WHERE type = $1 AND discount = $2)
             AND (expires_at, code_id) > ($3, $4)
         ORDER BY expires_at, code_id LIMIT $5",
        params![
            code_group.code_type,
            i32::from(code_group.discount),
            expires,
            id,
            limit
        ],
    )?;
    let codes = rows.iter().map(|row| skip_damaged(read_available(row)));
    Ok(codes
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

/// A code to retire or to reinstate.
struct Found {
    code_group: i64,
    position: Position,
    stored: retirement::StoredCode,
}

fn find_all<'c>(
    transaction: &Transaction<'_>,
    codes: &'c [String],
) -> Result<HashMap<&'c str, Found>> {
    let rows = transaction.rows(
        "SELECT given.number, code.code_group, code.expires_at, code.id, code.retired,
                EXISTS (SELECT 1 FROM available_code AS available
                        WHERE available.code_group = code.code_group
                            AND available.expires_at = code.expires_at
                            AND available.code_id = code.id)
         FROM unnest($1::text[]) WITH ORDINALITY AS given (code, number)
         JOIN code ON code.code = given.code",
        params![codes],
    )?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let number = usize::try_from(row.get::<i64>(0)? - 1).unwrap_or(usize::MAX);
        let Some(code) = codes.get(number) else {
            continue;
        };
        let one = Found {
            code_group: row.get(1)?,
            position: Position {
                expires: Timestamp(row.get(2)?),
                id: row.get(3)?,
            },
            stored: retirement::StoredCode {
                is_retired: row.flag(4)?,
                is_available: row.get(5)?,
            },
        };
        found.insert(code.as_str(), one);
    }
    Ok(found)
}

impl PostgresStore {
    fn retire_codes(
        &self,
        transaction: &Transaction<'_>,
        codes: &[String],
        retire: bool,
        at: Timestamp,
    ) -> Result<RetireResult> {
        let mut found = find_all(transaction, codes)?;
        let mut done = RetireResult::default();
        let mut changes = CodeChanges::default();
        let mut changed: Vec<&str> = Vec::new();
        for code in codes {
            let Some(one) = found.get_mut(code.as_str()) else {
                done.unknown.push(code.clone());
                continue;
            };
            match retirement::change(one.stored, retire) {
                RetirementChange::Nothing => continue,
                RetirementChange::AlreadyUsed => {
                    done.already_used.push(code.clone());
                    continue;
                }
                RetirementChange::Retire => changes.take(one.code_group, one.position),
                RetirementChange::Reinstate => changes.add(one.code_group, one.position, code),
            }
            // The same code may be named twice.
            one.stored = retirement::StoredCode {
                is_retired: retire,
                is_available: !retire,
            };
            changes.log_retirement(code, retire);
            changed.push(code);
        }
        done.retired = changed.len() as u64;
        if changed.is_empty() {
            return Ok(done);
        }
        changes.write(transaction, at)?;
        transaction.execute(
            "UPDATE code SET retired = $2 WHERE code = ANY ($1::text[])",
            params![changed, i32::from(retire)],
        )?;
        increase_setting(transaction, "pool-generation")?;
        if !retire {
            waiting_runs::serve_waiting_runs(transaction, at)?;
        }
        Ok(done)
    }
}

impl PoolStore for PostgresStore {
    fn available_codes(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> StoreResult<Vec<AvailableCode>> {
        Ok(self.read(|transaction| available_codes(transaction, code_group, after, limit))?)
    }

    fn claim_of_run(
        &self,
        run: RunId,
        code_group: &CodeGroup,
        needed: Timestamp,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|transaction| reuse::by_run(transaction, run, code_group, needed))?)
    }

    fn claim_kept_by_contact(
        &self,
        contact: &str,
        code_group: &CodeGroup,
    ) -> StoreResult<Option<ReusableClaim>> {
        Ok(self.read(|transaction| reuse::by_contact(transaction, contact, code_group))?)
    }

    fn pool_generation(&self) -> StoreResult<u64> {
        Ok(self.read(|transaction| {
            number_setting(transaction, "pool-generation").map(i64::unsigned_abs)
        })?)
    }

    fn codes(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> StoreResult<Vec<CodeRow>> {
        Ok(self.read(|transaction| list(transaction, filter, after, limit, now))?)
    }

    fn code(&self, code: &str) -> StoreResult<Option<(CodeRow, Vec<DeliveryId>)>> {
        Ok(self.read(|transaction| find(transaction, code))?)
    }

    fn count_codes(&self, filter: &Filter, now: Timestamp) -> StoreResult<PoolCount> {
        Ok(self.read(|transaction| count(transaction, filter, now))?)
    }

    fn retire(
        &self,
        codes: &[String],
        retire: bool,
        clock: &dyn Clock,
    ) -> StoreResult<RetireResult> {
        Ok(self
            .write_pool(|transaction| self.retire_codes(transaction, codes, retire, clock.now()))?)
    }
}
