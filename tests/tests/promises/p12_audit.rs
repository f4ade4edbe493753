//! P12: the audit derives the promises from the rows again and fails if one is broken.

use std::time::{Duration, Instant};

use promoflow::Promoflow;
use promoflow::store::PromiseReport;
use promoflow_test_support::inspect;
use promoflow_tests::{CODE_THEN_MAIL, MAIL, PromoflowExt, TestApp, chaos};

/// Returns a database with some of everything: used, retired, reinstated and unused codes,
/// completed, failed and waiting runs.
fn mixed() -> (TestApp, Promoflow) {
    let (app, promoflow) = TestApp::with_codes(12);
    promoflow.add_workflows(&chaos("rejected", ", claims: 1"));
    promoflow.add_workflows(&chaos("unavailable", ", claims: 1"));
    promoflow.add_workflows(&chaos("wait", ", claims: 1, until: 1780401600000"));
    promoflow.import_codes("code,discount,type\nC-0010,20,birthday\nOTHER,10,birthday\n");
    promoflow
        .retire(&["C-0008".into(), "C-0009".into()])
        .unwrap();
    promoflow.reinstate(&["C-0009".into()]).unwrap();
    let running = promoflow.start().unwrap();
    for kind in ["birthday", "rejected", "unavailable", "wait", "birthday"] {
        promoflow.run_event(&running, kind, "ann@example.com");
    }
    drop(running);
    (app, promoflow)
}

fn broken(promoflow: &Promoflow) -> Vec<PromiseReport> {
    let audited = promoflow.audit().unwrap();
    audited.into_iter().filter(|one| !one.holds).collect()
}

/// The damage, the promise that is reported, and part of the report.
const DAMAGES: &[(&str, &str, &str)] = &[
    // P1
    (
        "INSERT INTO claim (id, run, step, visit, ordinal, code_group, expires_at, code_id, code,
                            contact, claimed_at)
         SELECT (SELECT max(id) + 1 FROM claim), run, step, 2, 0, code_group, expires_at, code_id,
                code, contact, claimed_at
         FROM claim LIMIT 1",
        "P1",
        "2 unreleased claims",
    ),
    (
        "INSERT INTO available_code (code_group, expires_at, code_id, code)
         SELECT code_group, expires_at, code_id, code FROM claim LIMIT 1",
        "P1",
        "and is also available",
    ),
    (
        "INSERT INTO available_code (code_group, expires_at, code_id, code)
         SELECT code_group, expires_at + 1, code_id, code FROM available_code LIMIT 1",
        "P1",
        "is available 2 times",
    ),
    (
        "UPDATE available_code SET code = 'FORGED'
         WHERE code_id = (SELECT max(code_id) FROM available_code)",
        "P1",
        "differs from its row in the pool",
    ),
    (
        "UPDATE code SET expires_at = 0 WHERE code IN (SELECT code FROM available_code)",
        "P1",
        "differs from its row in the pool",
    ),
    (
        "INSERT INTO claim_release (claim, created_at) SELECT id, claimed_at FROM claim LIMIT 1",
        "P1",
        "was released although delivery",
    ),
    (
        "INSERT INTO claim_release (claim, created_at) VALUES (999, 0)",
        "P1",
        "which does not exist",
    ),
    // P2
    (
        "DROP INDEX claim_by_step;
         INSERT INTO claim (id, run, step, visit, ordinal, code_group, expires_at, code_id, code,
                            contact, claimed_at)
         SELECT (SELECT max(id) + 1 FROM claim), claim.run, claim.step, claim.visit, claim.ordinal,
                available.code_group, available.expires_at, available.code_id, available.code,
                claim.contact, claim.claimed_at
         FROM claim, available_code AS available LIMIT 1",
        "P2",
        "claimed 2 codes for step",
    ),
    (
        "UPDATE claim SET step = 'never' WHERE id = 1",
        "P2",
        "belongs to no committed step",
    ),
    (
        "DELETE FROM journal WHERE run = (SELECT run FROM claim LIMIT 1)",
        "P2",
        "belongs to no committed step",
    ),
    (
        "DELETE FROM journal WHERE outcome = 'failed'",
        "P2",
        "its journal 0",
    ),
    (
        "UPDATE run SET segment = 0 WHERE state = 'completed'",
        "P2",
        "counts 0 segments, its journal 1",
    ),
    (
        "INSERT INTO journal SELECT 999, 0, 'completed', '[]', 0",
        "P2",
        "steps of run 999, which does not exist",
    ),
    (
        "DELETE FROM run WHERE id = (SELECT run FROM claim LIMIT 1)",
        "P2",
        "which does not exist",
    ),
    (
        "DROP INDEX delivery_by_step;
         INSERT INTO delivery (id, run, step, visit, ordinal, channel, address, message, content,
                               state, attempts, due_at, expires_at, error, created_at)
         SELECT (SELECT max(id) + 1 FROM delivery), run, step, visit, ordinal, channel, address,
                message, content, state, attempts, due_at, expires_at, error, created_at
         FROM delivery LIMIT 1",
        "P2",
        "sent 2 messages for step",
    ),
    (
        "UPDATE delivery SET step = 'never' WHERE id = 1",
        "P2",
        "belongs to no committed step",
    ),
    // P5
    (
        "DROP INDEX event_by_id;
         UPDATE event SET event_id = 'twice'",
        "P5",
        "event id 'twice' was accepted",
    ),
    (
        "INSERT INTO run (id, event, workflow, config_version, state, segment, step, attempt,
                          started_at)
         SELECT (SELECT max(id) + 1 FROM run), event, workflow, config_version, 'running', 0, 0, 0,
                started_at
         FROM run LIMIT 1",
        "P5",
        "2 times",
    ),
    (
        "DELETE FROM event WHERE id = 1",
        "P5",
        "which does not exist",
    ),
    (
        "UPDATE run SET workflow = 999 WHERE id = 1",
        "P5",
        "workflow that does not exist",
    ),
    // P6
    (
        "DELETE FROM claim WHERE id = 1",
        "P6",
        "lacks 1 rows",
    ),
    (
        "DELETE FROM claim WHERE id = (SELECT max(id) FROM claim)",
        "P6",
        "claimed + ",
    ),
    (
        "DELETE FROM upload_batch WHERE id = 1",
        "P6",
        "lacks 1 batches",
    ),
    (
        "DELETE FROM upload_batch WHERE id = (SELECT max(id) FROM upload_batch)",
        "P6",
        "uploads inserted 12 codes",
    ),
    (
        "UPDATE upload_batch SET inserted = inserted + 1 WHERE id = 1",
        "P6",
        "the pool contains 13",
    ),
    (
        "DELETE FROM available_code WHERE code_id = (SELECT max(code_id) FROM available_code)",
        "P6",
        "available + ",
    ),
    (
        "DELETE FROM code WHERE code = 'OTHER'; DELETE FROM available_code WHERE code = 'OTHER'",
        "P6",
        "the pool contains 12",
    ),
    (
        "UPDATE code SET retired = 0 WHERE code = 'C-0008'",
        "P6",
        "the ledger says otherwise",
    ),
    (
        "UPDATE code SET retired = 1 WHERE code IN (SELECT code FROM claim)",
        "P6",
        "changed or made unused since",
    ),
    (
        "DELETE FROM retirement WHERE code = 'C-0008'",
        "P6",
        "the ledger says otherwise",
    ),
    (
        "UPDATE code SET code_group = 999 WHERE code IN (SELECT code FROM claim)",
        "P6",
        "changed or made unused since",
    ),
    (
        "UPDATE claim SET code = 'FORGED' WHERE id = 1",
        "P6",
        "changed or made unused since",
    ),
    (
        "DELETE FROM code WHERE code IN (SELECT code FROM claim)",
        "P6",
        "changed or made unused since",
    ),
    (
        "UPDATE claim SET contact = 'somebody-else' WHERE id = 1",
        "P6",
        "went to another contact",
    ),
    (
        "UPDATE claim SET run = (SELECT id FROM run WHERE id NOT IN (SELECT run FROM claim) LIMIT 1)
         WHERE id = 1",
        "P2",
        "belongs to no committed step",
    ),
];

#[test]
fn p12_the_audit_holds_after_a_mixed_load_and_checks_every_promise() {
    let (_shop, promoflow) = mixed();
    let audited = promoflow.audit().unwrap();
    let promises: Vec<&str> = audited.iter().map(|one| one.promise.as_str()).collect();
    assert_eq!(promises, ["P1", "P2", "P5", "P6"]);
    for one in audited {
        assert!(one.holds && one.violations.is_empty(), "{one:?}");
        assert!(one.checked > 0, "{one:?}");
    }
}

#[test]
fn p12_the_audit_reports_each_kind_of_damage() {
    let (app, promoflow) = mixed();
    drop(promoflow);
    for (number, (damage, promise, expected)) in DAMAGES.iter().enumerate() {
        let file = app.sibling(&format!("damaged-{number}.db"));
        let database = app.database().copy(file);
        let promoflow = Promoflow::open(database.address()).unwrap();
        assert!(broken(&promoflow).is_empty(), "sound before {damage}");
        let damaged = inspect(database.address()).unwrap();
        let damaged = damaged.execute(damage, &[]).unwrap();
        assert!(damaged > 0, "nothing was damaged by {damage}");
        let broken = broken(&promoflow);
        let found = broken
            .iter()
            .filter(|one| one.promise == *promise)
            .any(|one| one.violations.iter().any(|text| text.contains(expected)));
        assert!(
            found,
            "{damage}\nexpected {promise}: {expected}\nfound {broken:#?}"
        );
    }
}

#[test]
fn p12_an_empty_database_holds() {
    let app = TestApp::new();
    let promoflow = app.open();
    assert!(broken(&promoflow).is_empty());
    // A configuration alone is nothing to check either.
    promoflow.add_messages(MAIL);
    assert!(broken(&promoflow).is_empty());
}

#[test]
fn p12_a_database_with_rows_but_nothing_to_check_fails() {
    let (app, promoflow) = mixed();
    let damage = "DELETE FROM claim; DELETE FROM code; DELETE FROM event; DELETE FROM run;
         DELETE FROM delivery; DELETE FROM upload_batch; DELETE FROM journal;
         DELETE FROM claim_release; DELETE FROM retirement; DELETE FROM available_code
         WHERE code_id <> (SELECT max(code_id) FROM available_code);";
    app.inspect().execute(damage, &[]).unwrap();
    let broken = broken(&promoflow);
    assert_eq!(broken.len(), 4, "{broken:#?}");
    for one in &broken {
        let nothing = |text: &String| text.contains("nothing was checked");
        assert!(one.violations.iter().any(nothing), "{one:?}");
    }
}

#[test]
fn p12_at_most_a_hundred_violations_per_promise_are_reported() {
    let (app, promoflow) = TestApp::with_codes(300);
    let damage = "UPDATE available_code SET code = 'FORGED-' || code_id";
    app.inspect().execute(damage, &[]).unwrap();
    let broken = broken(&promoflow);
    assert_eq!(broken[0].promise, "P1");
    assert_eq!(broken[0].violations.len(), 100);
}

/// Returns the main job with a start condition, and one run of it.
fn started_once(condition: &str) -> (TestApp, Promoflow) {
    let app = TestApp::new();
    let promoflow = app.open();
    promoflow.add_messages(MAIL);
    let start = format!("start: {{ event: birthday, {condition} }}");
    promoflow.add_workflows(&CODE_THEN_MAIL.replace("start: { event: birthday }", &start));
    let running = promoflow.start().unwrap();
    promoflow.run_event(&running, "birthday", "ann@example.com");
    drop(running);
    assert!(broken(&promoflow).is_empty());
    (app, promoflow)
}

/// Adds `count` copies of the first run, each `apart` milliseconds after the previous one.
fn more_runs(app: &TestApp, count: u32, apart: i64) {
    let copies = format!(
        "BEGIN;
         CREATE TEMP TABLE more AS WITH RECURSIVE more(id) AS (
             SELECT 2 UNION ALL SELECT id + 1 FROM more WHERE id <= {count}) SELECT id FROM more;
         INSERT INTO event (id, type, key, params, accepted_at)
         SELECT more.id, type, key, params, accepted_at FROM more, event WHERE event.id = 1;
         INSERT INTO run (id, event, workflow, config_version, state, segment, step, attempt,
                          started_at, finished_at)
         SELECT more.id, more.id, workflow, config_version, state, segment, step, attempt,
                started_at + (more.id - 1) * {apart}, finished_at + (more.id - 1) * {apart}
         FROM more, run WHERE run.id = 1;
         INSERT INTO journal (run, segment, outcome, steps, committed_at)
         SELECT more.id, segment, outcome, steps, committed_at FROM more, journal WHERE run = 1;
         COMMIT"
    );
    app.inspect().execute(&copies, &[]).unwrap();
}

#[test]
fn p12_a_run_that_started_too_soon_is_reported() {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    for (condition, sound, apart, damage) in [
        ("repeat: once", "UPDATE event SET key = id", DAY, "SELECT 1"),
        (
            "repeat: { every: 1d }",
            "SELECT 1",
            DAY,
            "UPDATE run SET started_at = started_at - 1 WHERE id = 3",
        ),
        (
            "skip-if-running: true",
            "SELECT 1",
            1,
            "UPDATE run SET finished_at = started_at + 2 WHERE id = 2",
        ),
        (
            "skip-if-running: true",
            "SELECT 1",
            1,
            "UPDATE run SET finished_at = NULL WHERE id = 2",
        ),
    ] {
        let (app, promoflow) = started_once(condition);
        more_runs(&app, 2, apart);
        let database = app.inspect();
        let key = "UPDATE event SET key = 'ann@example.com'";
        database.execute(sound, &[]).unwrap();
        assert!(
            broken(&promoflow).is_empty(),
            "{condition}: {:#?}",
            broken(&promoflow)
        );
        let damages = format!("{key}; {damage}");
        database.execute(&damages, &[]).unwrap();
        let broken = broken(&promoflow);
        assert_eq!(broken[0].promise, "P5", "{condition}: {damage}");
        let expected = "run 3 of workflow birthday started too soon after run 2 for the same key";
        assert!(
            broken[0].violations.iter().any(|one| one == expected),
            "{condition}, {damage}: {broken:#?}"
        );
        // A failed run may have been active again since.
        if condition.starts_with("skip") {
            let failed = "UPDATE journal SET outcome = 'failed' WHERE run = 2";
            database.execute(failed, &[]).unwrap();
            assert!(self::broken(&promoflow).is_empty());
        }
    }
}

#[test]
fn p12_the_audit_of_a_large_database_takes_seconds() {
    // Half of the codes are retired, and very many runs have one key, each after the previous one.
    let (app, promoflow) = started_once("repeat: { every: 1s }, skip-if-running: true");
    let mut csv = "code,expirationDate,discount,type,inUse\n".to_owned();
    for number in 0..200_000 {
        csv.push_str(&format!(
            "L-{number},2999-12-31,10,large,{}\n",
            number % 2 == 0
        ));
    }
    promoflow.import_codes(&csv);
    more_runs(&app, 60_000, 1_000);
    let began = Instant::now();
    assert!(broken(&promoflow).is_empty());
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    // It did check everything: the last retired code and the last started run are reported.
    let damage = "UPDATE code SET retired = 0 WHERE code = 'L-199998';
         UPDATE run SET started_at = started_at - 1 WHERE id = (SELECT max(id) FROM run)";
    app.inspect().execute(damage, &[]).unwrap();
    let found: Vec<String> = broken(&promoflow)
        .into_iter()
        .flat_map(|one| one.violations)
        .collect();
    assert!(
        found
            .iter()
            .any(|one| one.contains("the ledger says otherwise")),
        "{found:?}"
    );
    assert!(
        found
            .iter()
            .any(|one| one.contains("run 60001 of workflow birthday")),
        "{found:?}"
    );
}
