//! The audit: re-derives the promises from the rows. It trusts no index, and no state column that
//! another row can prove or disprove.

use rusqlite::{Connection, Row};

use super::{Error, Result, StoreError};
use promoflow_store::PromiseReport;
use promoflow_store::rules::release::may_contain;

/// Maximum number of reported violations of one promise.
const MAX_VIOLATIONS: usize = 100;

/// One query over the rows. Each row of the result is a violation, described by its first column.
/// If the row also has a message content and a code, it only counts if the content may contain the
/// code.
struct Check {
    promise: &'static str,
    /// The query for the number of rows checked.
    count_query: &'static str,
    violations: &'static str,
}

/// Unreleased claims.
macro_rules! unreleased {
    () => {
        "(SELECT * FROM claim WHERE id NOT IN (SELECT claim FROM claim_release))"
    };
}

const CHECKS: &[Check] = &[
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM claim",
        violations: concat!(
            "SELECT 'code ' || code_id || ' has ' || count(*) || ' unreleased claims, by runs '
                    || group_concat(run)
             FROM ",
            unreleased!(),
            " GROUP BY code_id HAVING count(*) > 1"
        ),
    },
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM code",
        violations: concat!(
            "SELECT 'code ' || held.code_id || ' is claimed by run ' || held.run
                    || ' and is also available'
             FROM available_code JOIN ",
            unreleased!(),
            " AS held
                 ON held.code_id = available_code.code_id
             UNION ALL
             SELECT 'code ' || id || ' is in the pool ' || count(*) || ' times'
             FROM code GROUP BY id HAVING count(*) > 1
             UNION ALL
             SELECT 'code ' || code_id || ' is available ' || count(*) || ' times'
             FROM available_code GROUP BY code_id HAVING count(*) > 1
             UNION ALL
             SELECT 'available code ' || available.code_id || ' differs from its row in the pool'
             FROM available_code AS available LEFT JOIN code ON code.code = available.code
             WHERE code.id IS NOT available.code_id OR code.code_group IS NOT available.code_group
                 OR code.expires_at IS NOT available.expires_at OR code.retired IS NOT 0"
        ),
    },
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM claim_release",
        violations: "WITH held AS (
                 SELECT claim.id, claim.run, claim.code
                 FROM claim_release JOIN claim ON claim.id = claim_release.claim
                 UNION ALL
                 SELECT claim.id, code_reuse.run, claim.code
                 FROM claim_release JOIN claim ON claim.id = claim_release.claim
                 JOIN code_reuse ON code_reuse.claim = claim.id
             ), carrier AS (
                 SELECT held.id AS claim, held.code, delivery.id, delivery.run, delivery.content,
                     CASE WHEN EXISTS (SELECT 1 FROM attempt WHERE attempt.delivery = delivery.id
                                       AND attempt.outcome IS NOT 'permanent')
                         THEN ' may have carried its code'
                         WHEN delivery.state <> 'cancelled' THEN ' was not cancelled' END AS why
                 FROM held JOIN delivery ON delivery.run = held.run
             ), violation AS (
                 SELECT id, code, content, 'claim ' || claim || ' was released although delivery '
                     || id || ' of run ' || run || why AS text
                 FROM carrier WHERE why IS NOT NULL
             )
             SELECT text, content, code FROM violation
             UNION ALL
             SELECT text, delivery_alternative.content, code
             FROM violation
             JOIN delivery_alternative ON delivery_alternative.delivery = violation.id
             UNION ALL
             SELECT 'release of claim ' || claim || ', which does not exist', NULL, NULL
             FROM claim_release WHERE claim NOT IN (SELECT id FROM claim)",
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM claim",
        violations: "SELECT 'run ' || run || ' claimed ' || count(*) || ' codes for step ' || step
                    || ', visit ' || visit || ', effect ' || ordinal
             FROM claim NOT INDEXED GROUP BY run, step, visit, ordinal HAVING count(*) > 1
             UNION ALL
             SELECT 'claim ' || claim.id || ' belongs to no committed step of run ' || claim.run
             FROM claim WHERE NOT EXISTS (
                 SELECT 1 FROM journal, json_each(journal.steps) AS done
                 WHERE journal.run = claim.run AND journal.outcome <> 'failed'
                     AND done.value ->> 'step' = claim.step)",
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM delivery",
        violations: "SELECT 'run ' || run || ' sent ' || count(*) || ' messages for step ' || step
                    || ', visit ' || visit || ', effect ' || ordinal
             FROM delivery NOT INDEXED GROUP BY run, step, visit, ordinal HAVING count(*) > 1
             UNION ALL
             SELECT 'delivery ' || delivery.id || ' belongs to no committed step of run '
                    || delivery.run
             FROM delivery WHERE NOT EXISTS (
                 SELECT 1 FROM journal, json_each(journal.steps) AS done
                 WHERE journal.run = delivery.run AND journal.outcome <> 'failed'
                     AND done.value ->> 'step' = delivery.step)",
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM run",
        violations:
            "SELECT 'run ' || run.id || ' counts ' || run.segment || ' segments, its journal '
                    || count(journal.run)
             FROM run LEFT JOIN journal ON journal.run = run.id
             GROUP BY run.id
             HAVING count(journal.run) <> run.segment
                 OR coalesce(max(journal.segment), -1) <> run.segment - 1
             UNION ALL
             SELECT 'the journal has steps of run ' || run || ', which does not exist'
             FROM journal WHERE run NOT IN (SELECT id FROM run)",
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM event",
        violations:
            "SELECT 'event id ' || quote(event_id) || ' was accepted ' || count(*) || ' times'
             FROM event NOT INDEXED WHERE event_id IS NOT NULL
             GROUP BY event_id HAVING count(*) > 1",
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM run",
        violations: "SELECT 'event ' || run.event || ' started workflow ' || workflow.id || ' '
                    || count(*) || ' times'
             FROM run JOIN workflow ON workflow.row = run.workflow
             GROUP BY run.event, workflow.id HAVING count(*) > 1
             UNION ALL
             SELECT 'run ' || id || ' was started by event ' || event || ', which does not exist'
             FROM run WHERE event NOT IN (SELECT id FROM event)
             UNION ALL
             SELECT 'run ' || id || ' is of a version of a workflow that does not exist'
             FROM run WHERE workflow NOT IN (SELECT row FROM workflow)",
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM run",
        violations:
            // Based on what came before each run, in one pass: a key may have very many runs.
            "WITH started AS MATERIALIZED (
                 SELECT run.id, run.started_at, event.key, workflow.id AS workflow,
                        json_extract(definition, '$.start.repeat') AS repeat,
                        json_extract(definition, '$.start.repeat.every.seconds') AS period,
                        json_extract(definition, '$.start.skipIfRunning') AS skips,
                        -- A run that failed in between may have been retried since.
                        CASE WHEN NOT EXISTS (SELECT 1 FROM journal
                                              WHERE journal.run = run.id AND outcome = 'failed')
                             THEN coalesce(finished_at, 9223372036854775807) END AS ended_at
                 FROM run JOIN event ON event.id = run.event
                 JOIN workflow ON workflow.row = run.workflow
                 WHERE workflow.id IN (
                     SELECT id FROM workflow
                     WHERE json_extract(definition, '$.start.repeat') <> 'everyTime'
                         OR json_extract(definition, '$.start.skipIfRunning'))),
             later AS (
                 SELECT *, lag(id) OVER before AS earlier,
                        max(started_at) OVER before AS last_started,
                        max(ended_at) OVER before AS last_ended
                 FROM started WINDOW before AS (
                     PARTITION BY workflow, key ORDER BY id
                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
             SELECT 'run ' || id || ' of workflow ' || workflow
                    || ' started too soon after run ' || (
                        SELECT max(id) FROM started AS one
                        WHERE one.key = later.key AND one.workflow = later.workflow
                            AND one.id < later.id AND (
                                later.repeat = 'once'
                                OR one.started_at + later.period * 1000 > later.started_at
                                OR (later.skips AND one.ended_at > later.started_at)))
                    || ' for the same key'
             FROM later
             WHERE earlier IS NOT NULL AND (
                 repeat = 'once'
                 OR last_started + period * 1000 > started_at
                 OR (skips AND last_ended > started_at))",
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM upload_batch",
        violations: concat!(
            "SELECT 'uploads inserted ' || inserted || ' codes, but '
                    || available || ' available + '
                    || claimed || ' claimed + ' || retired || ' retired = '
                    || (available + claimed + retired)
             FROM (SELECT
                 (SELECT CAST(total(inserted) AS INTEGER) FROM upload_batch) AS inserted,
                 (SELECT count(*) FROM available_code) AS available,
                 (SELECT count(*) FROM ",
            unreleased!(),
            ") AS claimed,
                 (SELECT coalesce(sum(CASE retired WHEN 1 THEN 1 ELSE -1 END), 0)
                  FROM retirement) AS retired)
             WHERE inserted <> available + claimed + retired
             UNION ALL
             SELECT 'uploads inserted ' || inserted || ' codes, the pool contains ' || held
             FROM (SELECT (SELECT CAST(total(inserted) AS INTEGER) FROM upload_batch) AS inserted,
                          (SELECT count(*) FROM code) AS held)
             WHERE inserted <> held"
        ),
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM code",
        violations: concat!(
            // With `max`, SQLite takes the other columns from the row that has the maximum.
            "WITH last AS MATERIALIZED (
                 SELECT code, retired, max(id) FROM retirement GROUP BY code)
             SELECT 'code ' || code.id || ' is retired, but the ledger says otherwise'
             FROM code LEFT JOIN last ON last.code = code.code
             WHERE code.retired <> coalesce(last.retired, 0)
             UNION ALL
             SELECT 'claim ' || held.id || ' is of code ' || held.code_id
                    || ', which was changed or made unused since'
             FROM ",
            unreleased!(),
            " AS held LEFT JOIN code ON code.code = held.code
             WHERE code.id IS NOT held.code_id OR code.code_group IS NOT held.code_group
                 OR code.expires_at IS NOT held.expires_at OR code.retired IS NOT 0"
        ),
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM claim",
        violations: "SELECT 'claim ' || claim.id || ' went to another contact than run ' || run.id
                    || ' is about'
             FROM claim JOIN run ON run.id = claim.run JOIN event ON event.id = run.event
             WHERE event.key IS NOT claim.contact AND NOT EXISTS (
                 SELECT 1 FROM contact_alias AS alias
                 WHERE alias.run = run.id AND alias.name = claim.contact)
             UNION ALL
             SELECT 'claim ' || claim.id || ' served run ' || run.id || ' of another contact'
             FROM code_reuse JOIN claim ON claim.id = code_reuse.claim
             JOIN run ON run.id = code_reuse.run JOIN event ON event.id = run.event
             WHERE event.key IS NOT claim.contact AND NOT EXISTS (
                 SELECT 1 FROM contact_alias AS alias
                 WHERE alias.run = run.id AND alias.name = claim.contact)
             UNION ALL
             SELECT 'the ledger of claims lacks ' || (max(id) - count(*)) || ' rows'
             FROM claim HAVING max(id) <> count(*)
             UNION ALL
             SELECT 'the ledger of uploads lacks ' || (max(id) - count(*)) || ' batches'
             FROM upload_batch HAVING max(id) <> count(*)",
    },
];

/// Tables with rows to check: if any of them has rows, something must have been checked.
const HAS_ROWS: &str = "
    SELECT EXISTS (SELECT 1 FROM upload_batch) OR EXISTS (SELECT 1 FROM code)
        OR EXISTS (SELECT 1 FROM available_code) OR EXISTS (SELECT 1 FROM claim)
        OR EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM run)
        OR EXISTS (SELECT 1 FROM delivery) OR EXISTS (SELECT 1 FROM journal)";

pub(super) fn audit(connection: &Connection) -> Result<Vec<PromiseReport>> {
    let mut found: Vec<PromiseReport> = Vec::new();
    for check in CHECKS {
        let checked: i64 = connection.query_row(check.count_query, [], |row| row.get(0))?;
        let violations = match violations(connection, check.violations) {
            // Not validated for every row up front, which would take as long as the query itself.
            Err(Error(StoreError::Engine(why))) if why.contains(MALFORMED) => {
                let mut found = violations(connection, &tolerant(check.violations))?;
                found.insert(0, UNREADABLE.to_owned());
                found.truncate(MAX_VIOLATIONS);
                found
            }
            found => found?,
        };
        match found
            .last_mut()
            .filter(|last| last.promise == check.promise)
        {
            Some(last) => {
                last.checked += checked.unsigned_abs();
                last.violations.extend(violations);
            }
            None => found.push(PromiseReport {
                promise: check.promise.to_owned(),
                holds: true,
                checked: checked.unsigned_abs(),
                violations,
            }),
        }
    }
    let anything: bool = connection.query_row(HAS_ROWS, [], |row| row.get(0))?;
    let nothing_checked = found.iter().all(|audited| audited.checked == 0);
    for audited in &mut found {
        if anything && nothing_checked {
            audited
                .violations
                .push("the database has rows, but nothing was checked".into());
        }
        audited.violations.truncate(MAX_VIOLATIONS);
        audited.holds = audited.violations.is_empty();
    }
    Ok(found)
}

/// SQLite's error for invalid JSON.
const MALFORMED: &str = "malformed JSON";
/// The violation reported for rows with invalid JSON.
const UNREADABLE: &str = "the journal or the workflows contain invalid JSON: those rows were \
                          damaged or edited, and cannot be checked";

/// Returns the same query, with rows of invalid JSON treated as empty.
fn tolerant(query: &str) -> String {
    let readable =
        |column: &str, nothing: &str| format!("iif(json_valid({column}), {column}, {nothing})");
    query
        .replace(
            "json_each(journal.steps)",
            &format!("json_each({})", readable("journal.steps", "'[]'")),
        )
        .replace(
            "json_extract(definition,",
            &format!("json_extract({},", readable("definition", "'{}'")),
        )
}

fn violations(connection: &Connection, query: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut violations = Vec::new();
    while let Some(row) = rows.next()? {
        if violations.len() == MAX_VIOLATIONS {
            break;
        }
        if let (Some(content), Some(code)) = (text(row, 1), text(row, 2))
            && !may_contain(content, code)
        {
            continue;
        }
        // Read as bytes, because the text may be damaged too.
        let text = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default());
        if !violations.iter().any(|known| *known == text) {
            violations.push(text.into_owned());
        }
    }
    Ok(violations)
}

/// Returns the text of a column; `None` if it is missing or NULL.
fn text<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r str> {
    row.get_ref(column).ok()?.as_str_or_null().ok()?
}
