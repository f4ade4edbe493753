//! The audit finds what is broken. The facade's tests break more.

use promoflow_model::workflow::Repeat;
use promoflow_store::{InstallationStore, StartRule};
use promoflow_store_conformance::{Fixture, segment};

use super::Postgres;

/// Returns a database with two codes, one of them claimed, and two runs.
fn sound() -> Fixture<Postgres> {
    let fixture = Fixture::new();
    fixture.add_codes(&["A", "B"]);
    let claims = vec![fixture.claim_first()];
    let segment = segment(None, claims);
    fixture.commit(&[fixture.accept(Some("one"), Some(segment))]);
    fixture.commit(&[fixture.accept(Some("two"), None)]);
    fixture.audit();
    fixture
}

/// Returns the violations of a promise after this damage.
fn violations(promise: &str, damage: &str) -> Vec<String> {
    let fixture = sound();
    break_rows(&fixture, damage);
    let reports = fixture.harness.store.audit().unwrap();
    let report = reports.into_iter().find(|one| one.promise == promise);
    let report = report.unwrap();
    assert_eq!(report.holds, report.violations.is_empty());
    report.violations
}

fn break_rows(fixture: &Fixture<Postgres>, damage: &str) {
    let connection = fixture.harness.store.pool.connect(None).unwrap();
    connection.run_script(damage).unwrap();
}

#[test]
fn p12_each_damage_is_reported() {
    for (damage, promise, expected) in [
        (
            "INSERT INTO available_code SELECT code_group, expires_at, code_id, code FROM claim",
            "P1",
            "and is also available",
        ),
        (
            "UPDATE claim SET step = 'never'",
            "P2",
            "belongs to no committed step",
        ),
        (
            "DELETE FROM journal",
            "P2",
            "counts 1 segments, its journal 0",
        ),
        (
            "DROP INDEX event_by_id; UPDATE event SET event_id = 'twice'",
            "P5",
            "event id 'twice' was accepted 2 times",
        ),
        (
            "DELETE FROM claim",
            "P6",
            "the ledger of claims lacks 1 rows",
        ),
        (
            "UPDATE claim_count SET claims = claims - 1",
            "P6",
            "the ledger of claims has 1 rows too many",
        ),
        (
            "UPDATE upload_batch SET id = id + 1",
            "P6",
            "the ledger of uploads lacks 1 batches",
        ),
        (
            "DELETE FROM available_code",
            "P6",
            "uploads inserted 2 codes, but 0 available + 1 claimed + 0 retired = 1",
        ),
        (
            "UPDATE claim SET contact = 'bob'",
            "P6",
            "went to another contact",
        ),
    ] {
        let found = violations(promise, damage);
        let is_expected = |text: &String| text.contains(expected);
        assert!(found.iter().any(is_expected), "{damage}: {found:#?}");
    }
}

/// Where JSON cannot be read, the rest is still checked.
#[test]
fn p12_invalid_json_is_reported_and_hides_nothing() {
    let sound_otherwise = "UPDATE journal SET steps = steps || ','";
    let found = violations("P2", sound_otherwise);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("invalid JSON"), "{found:#?}");
    let broken = "UPDATE journal SET steps = '['; UPDATE claim SET step = 'never'";
    let found = violations("P2", broken);
    let never = |text: &String| text.contains("belongs to no committed step");
    assert!(found.iter().any(never), "{found:#?}");
    let found = violations("P5", "UPDATE workflow SET definition = '{'");
    assert!(found[0].contains("invalid JSON"), "{found:#?}");
}

#[test]
fn p12_a_run_that_started_too_soon_is_reported() {
    let fixture = sound();
    let daily = "{\"start\": {\"repeat\": {\"every\": {\"seconds\": 86400}}}}";
    break_rows(
        &fixture,
        &format!("UPDATE workflow SET definition = '{daily}'"),
    );
    let reports = fixture.harness.store.audit().unwrap();
    let broken: Vec<_> = reports.iter().filter(|one| !one.holds).collect();
    let [report] = broken[..] else {
        panic!("{broken:#?}")
    };
    assert_eq!(report.promise, "P5");
    let expected = "started too soon after run";
    assert!(report.violations[0].contains(expected), "{report:#?}");
    break_rows(
        &fixture,
        "UPDATE run SET started_at = started_at + 86400000 WHERE segment = 0",
    );
    fixture.audit();
}

/// What the start rules admit, the audit admits too.
#[test]
fn p12_the_audit_agrees_with_the_rules() {
    let fixture = Fixture::<Postgres>::new();
    let rule = |repeat| StartRule {
        workflow: "w".into(),
        repeat,
        skip_if_running: false,
        stop_event: None,
    };
    for id in ["one", "two"] {
        fixture.commit(&[fixture.accept_under(Some(rule(Repeat::Once)), Some(id), None)]);
    }
    let once = "{\"start\": {\"repeat\": \"once\"}}";
    break_rows(
        &fixture,
        &format!("UPDATE workflow SET definition = '{once}'"),
    );
    fixture.audit();
}
