//! The audit: re-derives the promises from the rows. It trusts no index, and no state column that
//! another row can prove or disprove.

mod checks;

use serde_json::Value;

use promoflow_store::rules::release::may_contain;
use promoflow_store::{PromiseReport, StoreError};

use crate::connection::{Row, params};
use crate::errors::{Error, Result};
use crate::transaction::Transaction;
use checks::{CHECKS, Check, Query, STARTED_TOO_SOON};

/// Maximum number of reported violations of one promise.
const MAX_VIOLATIONS: usize = 100;
/// Maximum number of rows to read of a query for violations: several may say the same.
const MAX_ROWS: usize = 10 * MAX_VIOLATIONS;

/// Makes the planner read tables instead of indexes, with memory for large joins, for this
/// transaction.
const WITHOUT_INDEXES: &str = "
    SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true),
        set_config('enable_indexscan', 'off', true),
        set_config('enable_indexonlyscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true)";

/// Tables with rows to check: if any of them has rows, something must have been checked.
const HAS_ROWS: &str = "
    SELECT 1 WHERE EXISTS (SELECT 1 FROM upload_batch) OR EXISTS (SELECT 1 FROM code)
        OR EXISTS (SELECT 1 FROM available_code) OR EXISTS (SELECT 1 FROM claim)
        OR EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM run)
        OR EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM journal)";

/// The violation reported for rows with invalid JSON.
const UNREADABLE: &str = "the journal or the workflows contain invalid JSON: those rows were \
                          damaged or edited, and cannot be checked";

/// The number of rows checked, and the violations found.
type Found = (u64, Vec<String>);

/// Re-derives the promises from the stored rows. `each` runs a check in a transaction, which ends
/// with it if the check fails: a check needs one moment, all of them do not, and a transaction that
/// stays open keeps the server from removing old rows.
pub(crate) fn audit(
    mut each: impl FnMut(&dyn Fn(&Transaction<'_>) -> Result<Found>) -> Result<Found>,
) -> Result<Vec<PromiseReport>> {
    let mut reports: Vec<PromiseReport> = Vec::new();
    for check in CHECKS {
        let found = match each(&|transaction| run(transaction, check, false)) {
            // Not validated for every row up front, which would take as long as the check itself.
            Err(error) if is_malformed(&error) => {
                let (checked, mut violations) = each(&|transaction| run(transaction, check, true))?;
                violations.insert(0, UNREADABLE.to_owned());
                Ok((checked, violations))
            }
            found => found,
        };
        let (checked, violations) = found?;
        match reports
            .last_mut()
            .filter(|last| last.promise == check.promise)
        {
            Some(last) => {
                last.checked += checked;
                last.violations.extend(violations);
            }
            None => reports.push(PromiseReport {
                promise: check.promise.to_owned(),
                holds: true,
                checked,
                violations,
            }),
        }
    }
    let (rows, _) = each(&|transaction| {
        let has_rows = transaction.exists(HAS_ROWS, &[])?;
        Ok((u64::from(has_rows), Vec::new()))
    })?;
    let nothing_checked = reports.iter().all(|report| report.checked == 0);
    for report in &mut reports {
        if rows > 0 && nothing_checked {
            report
                .violations
                .push("the database has rows, but nothing was checked".into());
        }
        report.violations.truncate(MAX_VIOLATIONS);
        report.holds = report.violations.is_empty();
    }
    Ok(reports)
}

/// Returns true if the server could not read a stored JSON text.
fn is_malformed(error: &Error) -> bool {
    // Class 22: a value is invalid.
    matches!(error, Error::Store(StoreError::Engine(why)) if why.contains("(SQLSTATE 22"))
}

/// Runs a check. `tolerant`: some stored JSON is invalid.
fn run(transaction: &Transaction<'_>, check: &Check, tolerant: bool) -> Result<Found> {
    transaction.execute(WITHOUT_INDEXES, &[])?;
    let checked: i64 = match transaction.row(check.count_query, &[])? {
        Some(row) => row.get(0)?,
        None => 0,
    };
    let violations = match check.violations {
        Query::Rows(sql) => violations(&transaction.rows(&limited(sql), &[])?)?,
        Query::Contents(sql) => violations(&transaction.rows(sql, &[])?)?,
        Query::Steps(sql) => {
            let sql = match tolerant {
                true => sql.replace(checks::STEPS, checks::TOLERANT_STEPS),
                false => sql.to_owned(),
            };
            violations(&transaction.rows(&limited(&sql), &[])?)?
        }
        Query::Starts => started_too_soon(transaction)?,
    };
    Ok((checked.unsigned_abs(), violations))
}

fn limited(sql: &str) -> String {
    format!("SELECT * FROM ({sql}) AS violation LIMIT {MAX_ROWS}")
}

/// Describes the violations in the first column. If a row also has a message content and a code, it
/// only counts if the content may contain the code.
fn violations(rows: &[Row]) -> Result<Vec<String>> {
    let mut violations: Vec<String> = Vec::new();
    for row in rows {
        if violations.len() == MAX_VIOLATIONS {
            break;
        }
        let (text, content, code): (String, Option<String>, Option<String>) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        if let (Some(content), Some(code)) = (content, code)
            && !may_contain(&content, &code)
        {
            continue;
        }
        if !violations.contains(&text) {
            violations.push(text);
        }
    }
    Ok(violations)
}

/// The rules of the versions of a workflow, as far as they limit its starts.
#[derive(Default)]
struct StartRules {
    versions: Vec<i64>,
    once: Vec<bool>,
    /// Milliseconds.
    periods: Vec<Option<i64>>,
    skips: Vec<bool>,
}

/// Checks the starts of workflows. Their definitions are few, and read here.
fn started_too_soon(transaction: &Transaction<'_>) -> Result<Vec<String>> {
    let rows = transaction.rows("SELECT row, id, definition FROM workflow ORDER BY row", &[])?;
    let mut rules = StartRules::default();
    let (mut ids, mut limited_ids) = (Vec::new(), Vec::new());
    let mut violations_found = Vec::new();
    for row in &rows {
        let definition = serde_json::from_str(&row.get::<String>(2)?).unwrap_or_else(|_| {
            violations_found = vec![UNREADABLE.to_owned()];
            Value::Null
        });
        let start = definition.get("start");
        let part = |name| start.and_then(|start| start.get(name));
        let repeat = part("repeat");
        let period = repeat.and_then(|repeat| repeat.pointer("/every/seconds")?.as_i64());
        let once = repeat.and_then(Value::as_str) == Some("once");
        let skips = part("skipIfRunning").and_then(Value::as_bool) == Some(true);
        let id: String = row.get(1)?;
        if once || period.is_some() || skips {
            limited_ids.push(id.clone());
        }
        ids.push(id);
        rules.versions.push(row.get(0)?);
        rules.once.push(once);
        let period = period.map(|seconds| seconds.saturating_mul(1_000));
        rules.periods.push(period);
        rules.skips.push(skips);
    }
    if limited_ids.is_empty() {
        return Ok(violations_found);
    }
    let rows = transaction.rows(
        &limited(STARTED_TOO_SOON),
        params![
            rules.versions,
            ids,
            rules.once,
            rules.periods,
            rules.skips,
            limited_ids
        ],
    )?;
    violations_found.extend(violations(&rows)?);
    Ok(violations_found)
}
