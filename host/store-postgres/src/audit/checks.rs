//! The queries of the audit. Each returns a row for a violation: its description, and the content
//! of a message and a code, or NULL.

/// A query for violations.
#[derive(Clone, Copy)]
pub(super) enum Query {
    /// One whose rows are all violations.
    Rows(&'static str),
    /// One whose rows are only violations if the content may contain the code.
    Contents(&'static str),
    /// One that reads the steps of the journal as [`STEPS`].
    Steps(&'static str),
    /// [`STARTED_TOO_SOON`].
    Starts,
}

/// One query over the rows.
pub(super) struct Check {
    pub(super) promise: &'static str,
    /// The query for the number of rows checked.
    pub(super) count_query: &'static str,
    pub(super) violations: Query,
}

/// Unreleased claims.
macro_rules! unreleased {
    () => {
        "(SELECT * FROM claim WHERE NOT EXISTS (
             SELECT 1 FROM claim_release WHERE claim_release.claim = claim.id))"
    };
}

/// The steps that committed segments have executed.
macro_rules! steps {
    () => {
        "(SELECT journal.run, executed.step ->> 'step' AS step
          FROM journal CROSS JOIN json_array_elements(journal.steps::json) AS executed (step)
          WHERE journal.outcome <> 'failed')"
    };
}

/// The sub-query for the steps that committed segments have executed.
pub(super) const STEPS: &str = steps!();
/// The same if the journal contains invalid JSON: the steps are found in the text. Steps are stored
/// with their names first, and a quotation mark inside a value is preceded by a backslash.
pub(super) const TOLERANT_STEPS: &str = "
    (SELECT journal.run, found.step[1] AS step
     FROM journal CROSS JOIN regexp_matches(journal.steps, '\\{\"step\":\"([^\"]*)\"', 'g')
         AS found (step)
     WHERE journal.outcome <> 'failed')";

pub(super) const CHECKS: &[Check] = &[
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM claim",
        violations: Query::Rows(concat!(
            "SELECT 'code ' || code_id || ' has ' || count(*) || ' unreleased claims, by runs '
                    || string_agg(run::text, ','), NULL, NULL
             FROM ",
            unreleased!(),
            " AS held GROUP BY code_id HAVING count(*) > 1"
        )),
    },
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM code",
        violations: Query::Rows(concat!(
            "SELECT 'code ' || held.code_id || ' is claimed by run ' || held.run
                    || ' and is also available', NULL, NULL
             FROM available_code JOIN ",
            unreleased!(),
            " AS held ON held.code_id = available_code.code_id
             UNION ALL
             SELECT 'code ' || id || ' is in the pool ' || count(*) || ' times', NULL, NULL
             FROM code GROUP BY id HAVING count(*) > 1
             UNION ALL
             SELECT 'code ' || code_id || ' is available ' || count(*) || ' times', NULL, NULL
             FROM available_code GROUP BY code_id HAVING count(*) > 1
             UNION ALL
             SELECT 'available code ' || available.code_id || ' differs from its row in the pool',
                 NULL, NULL
             FROM available_code AS available LEFT JOIN code ON code.code = available.code
             WHERE code.id IS DISTINCT FROM available.code_id
                 OR code.code_group IS DISTINCT FROM available.code_group
                 OR code.expires_at IS DISTINCT FROM available.expires_at
                 OR code.retired IS DISTINCT FROM 0"
        )),
    },
    Check {
        promise: "P1",
        count_query: "SELECT count(*) FROM claim_release",
        violations: Query::Contents(
            "WITH held AS (
                 SELECT claim.id, claim.run, claim.code
                 FROM claim_release JOIN claim ON claim.id = claim_release.claim
                 UNION ALL
                 SELECT claim.id, code_reuse.run, claim.code
                 FROM claim_release JOIN claim ON claim.id = claim_release.claim
                 JOIN code_reuse ON code_reuse.claim = claim.id
             ), begun AS (
                 SELECT DISTINCT delivery FROM attempt WHERE outcome IS DISTINCT FROM 'permanent'
             ), carrier AS (
                 SELECT held.id AS claim, held.code, delivery.id, delivery.run, delivery.content,
                     CASE WHEN begun.delivery IS NOT NULL THEN ' may have carried its code'
                         WHEN delivery.state <> 'cancelled' THEN ' was not cancelled' END AS why
                 FROM held JOIN delivery ON delivery.run = held.run
                 LEFT JOIN begun ON begun.delivery = delivery.id
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
             FROM claim_release
             WHERE NOT EXISTS (SELECT 1 FROM claim WHERE claim.id = claim_release.claim)",
        ),
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM claim",
        violations: Query::Steps(concat!(
            "SELECT 'run ' || run || ' claimed ' || count(*) || ' codes for step ' || step
                    || ', visit ' || visit || ', effect ' || ordinal, NULL, NULL
             FROM claim GROUP BY run, step, visit, ordinal HAVING count(*) > 1
             UNION ALL
             SELECT 'claim ' || claim.id || ' belongs to no committed step of run ' || claim.run,
                 NULL, NULL
             FROM claim WHERE NOT EXISTS (SELECT 1 FROM ",
            steps!(),
            " AS done WHERE done.run = claim.run AND done.step = claim.step)"
        )),
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM delivery",
        violations: Query::Steps(concat!(
            "SELECT 'run ' || run || ' sent ' || count(*) || ' messages for step ' || step
                    || ', visit ' || visit || ', effect ' || ordinal, NULL, NULL
             FROM delivery GROUP BY run, step, visit, ordinal HAVING count(*) > 1
             UNION ALL
             SELECT 'delivery ' || delivery.id || ' belongs to no committed step of run '
                    || delivery.run, NULL, NULL
             FROM delivery WHERE NOT EXISTS (SELECT 1 FROM ",
            steps!(),
            " AS done WHERE done.run = delivery.run AND done.step = delivery.step)"
        )),
    },
    Check {
        promise: "P2",
        count_query: "SELECT count(*) FROM run",
        violations: Query::Rows(
            "SELECT 'run ' || run.id || ' counts ' || run.segment || ' segments, its journal '
                    || coalesce(segments.count, 0), NULL, NULL
             FROM run LEFT JOIN (
                 SELECT journal.run, count(*), max(segment) AS last FROM journal GROUP BY 1
             ) AS segments ON segments.run = run.id
             WHERE coalesce(segments.count, 0) <> run.segment
                 OR coalesce(segments.last, -1) <> run.segment - 1
             UNION ALL
             SELECT 'the journal has steps of run ' || run || ', which does not exist', NULL, NULL
             FROM journal WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = journal.run)",
        ),
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM event",
        violations: Query::Rows(
            "SELECT 'event id ' || quote_literal(event_id) || ' was accepted ' || count(*)
                    || ' times', NULL, NULL
             FROM event WHERE event_id IS NOT NULL GROUP BY event_id HAVING count(*) > 1",
        ),
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM run",
        violations: Query::Rows(
            "SELECT 'event ' || run.event || ' started workflow ' || workflow.id || ' '
                    || count(*) || ' times', NULL, NULL
             FROM run JOIN workflow ON workflow.row = run.workflow
             GROUP BY run.event, workflow.id HAVING count(*) > 1
             UNION ALL
             SELECT 'run ' || id || ' was started by event ' || event || ', which does not exist',
                 NULL, NULL
             FROM run WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.id = run.event)
             UNION ALL
             SELECT 'run ' || id || ' is of a version of a workflow that does not exist',
                 NULL, NULL
             FROM run WHERE NOT EXISTS (SELECT 1 FROM workflow WHERE workflow.row = run.workflow)",
        ),
    },
    Check {
        promise: "P5",
        count_query: "SELECT count(*) FROM run",
        violations: Query::Starts,
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM upload_batch",
        violations: Query::Rows(concat!(
            "SELECT 'uploads inserted ' || inserted || ' codes, but '
                    || available || ' available + '
                    || claimed || ' claimed + ' || retired || ' retired = '
                    || (available + claimed + retired), NULL, NULL
             FROM (SELECT
                 (SELECT coalesce(sum(inserted), 0)::bigint FROM upload_batch) AS inserted,
                 (SELECT count(*) FROM available_code) AS available,
                 (SELECT count(*) FROM ",
            unreleased!(),
            " AS held) AS claimed,
                 (SELECT coalesce(sum(CASE retired WHEN 1 THEN 1 ELSE -1 END), 0)
                  FROM retirement) AS retired) AS sums
             WHERE inserted <> available + claimed + retired
             UNION ALL
             SELECT 'uploads inserted ' || inserted || ' codes, the pool contains ' || held,
                 NULL, NULL
             FROM (SELECT
                 (SELECT coalesce(sum(inserted), 0)::bigint FROM upload_batch) AS inserted,
                 (SELECT count(*) FROM code) AS held) AS sums
             WHERE inserted <> held"
        )),
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM code",
        violations: Query::Rows(concat!(
            "SELECT 'code ' || code.id || ' is retired, but the ledger says otherwise', NULL, NULL
             FROM code LEFT JOIN (
                 SELECT code, max(id) AS id FROM retirement GROUP BY code
             ) AS last ON last.code = code.code LEFT JOIN retirement ON retirement.id = last.id
             WHERE code.retired <> coalesce(retirement.retired, 0)
             UNION ALL
             SELECT 'claim ' || held.id || ' is of code ' || held.code_id
                    || ', which was changed or made unused since', NULL, NULL
             FROM ",
            unreleased!(),
            " AS held LEFT JOIN code ON code.code = held.code
             WHERE code.id IS DISTINCT FROM held.code_id
                 OR code.code_group IS DISTINCT FROM held.code_group
                 OR code.expires_at IS DISTINCT FROM held.expires_at
                 OR code.retired IS DISTINCT FROM 0"
        )),
    },
    Check {
        promise: "P6",
        count_query: "SELECT count(*) FROM claim",
        // Ids of claims have gaps, so their number is compared with the sum of the counts that each
        // commit raises. Batches are added one at a time, and their ids have no gaps.
        violations: Query::Rows(
            "SELECT 'claim ' || claim.id || ' went to another contact than run ' || run.id
                    || ' is about', NULL, NULL
             FROM claim JOIN run ON run.id = claim.run JOIN event ON event.id = run.event
             LEFT JOIN contact_alias AS alias
                 ON alias.run = run.id AND alias.name = claim.contact
             WHERE event.key <> claim.contact AND alias.run IS NULL
             UNION ALL
             SELECT 'claim ' || claim.id || ' served run ' || run.id || ' of another contact',
                 NULL, NULL
             FROM code_reuse JOIN claim ON claim.id = code_reuse.claim
             JOIN run ON run.id = code_reuse.run JOIN event ON event.id = run.event
             LEFT JOIN contact_alias AS alias
                 ON alias.run = run.id AND alias.name = claim.contact
             WHERE event.key <> claim.contact AND alias.run IS NULL
             UNION ALL
             SELECT CASE WHEN held < counted
                 THEN 'the ledger of claims lacks ' || (counted - held) || ' rows'
                 ELSE 'the ledger of claims has ' || (held - counted) || ' rows too many' END,
                 NULL, NULL
             FROM (SELECT
                 (SELECT coalesce(sum(claims), 0)::bigint FROM claim_count) AS counted,
                 (SELECT count(*) FROM claim) AS held) AS ledger
             WHERE counted <> held
             UNION ALL
             SELECT 'the ledger of uploads lacks ' || (max(id) - count(*)) || ' batches', NULL, NULL
             FROM upload_batch HAVING max(id) <> count(*)",
        ),
    },
];

/// Finds the runs that a start rule forbade, given the versions of workflows with their rules, and
/// the workflows with a rule.
///
/// Based on what came before each run, in one pass: a key may have very many runs. Ids do not tell
/// the order, so it is that of the times, which all hosts take from the database.
pub(super) const STARTED_TOO_SOON: &str = "
    WITH version AS MATERIALIZED (
        SELECT * FROM unnest($1::bigint[], $2::text[], $3::boolean[], $4::bigint[], $5::boolean[])
            AS version (row, id, once, period, skips)
        WHERE id = ANY($6::text[])),
    failed AS (SELECT DISTINCT run FROM journal WHERE outcome = 'failed'),
    started AS MATERIALIZED (
        SELECT run.id, run.started_at, event.key, version.id AS workflow, version.once,
               version.period, version.skips,
               -- A run that failed in between may have been retried since.
               CASE WHEN failed.run IS NULL
                    THEN coalesce(finished_at, 9223372036854775807) END AS ended_at
        FROM run JOIN version ON version.row = run.workflow JOIN event ON event.id = run.event
        LEFT JOIN failed ON failed.run = run.id),
    later AS (
        SELECT *, lag(id) OVER before AS earlier,
               max(started_at) OVER before AS last_started,
               max(ended_at) OVER before AS last_ended
        FROM started WINDOW before AS (
            PARTITION BY workflow, key ORDER BY started_at, id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
    SELECT 'run ' || id || ' of workflow ' || workflow
           || ' started too soon after run ' || coalesce((
               SELECT one.id FROM started AS one
               WHERE one.key = later.key AND one.workflow = later.workflow
                   AND (one.started_at, one.id) < (later.started_at, later.id) AND (
                       later.once
                       OR one.started_at + later.period > later.started_at
                       OR (later.skips AND one.ended_at > later.started_at))
               ORDER BY one.started_at DESC, one.id DESC LIMIT 1), earlier)
           || ' for the same key', NULL, NULL
    FROM later
    WHERE earlier IS NOT NULL AND (
        once OR last_started + period > started_at OR (skips AND last_ended > started_at))";
