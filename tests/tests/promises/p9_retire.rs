//! P9: an unused code cannot be deleted, only retired.

use promoflow::pool::Filter;
use promoflow_test_support::Change;
use promoflow_tests::{PromoflowExt, TestApp};

fn texts(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

#[test]
fn p9_retired_codes_stay_in_the_pool_and_are_claimed_only_after_reinstatement() {
    let (_shop, promoflow) = TestApp::with_codes(4);
    let running = promoflow.start().unwrap();
    let done = promoflow
        .retire(&texts(&["C-0000", "C-0002", "C-0002", "NO-SUCH"]))
        .unwrap();
    assert_eq!(done.retired, 2);
    assert_eq!(done.unknown, ["NO-SUCH"]);
    assert_eq!(promoflow.all_codes().len(), 4);
    let next = || promoflow.birthday(&running, "ann@example.com");
    assert_eq!(next().as_deref(), Some("C-0001"));
    assert_eq!(next().as_deref(), Some("C-0003"));
    assert_eq!(next(), None);
    assert_eq!(promoflow.reinstate(&texts(&["C-0002"])).unwrap().retired, 1);
    assert_eq!(next().as_deref(), Some("C-0002"));
    assert_eq!(next(), None);
    let count = promoflow.count(&Filter::default()).unwrap();
    assert_eq!((count.total, count.used, count.retired), (4, 3, 1));
    promoflow.assert_audit();
}

#[test]
fn p9_a_used_code_is_neither_retired_nor_reinstated() {
    let (_shop, promoflow) = TestApp::with_codes(1);
    let running = promoflow.start().unwrap();
    promoflow.birthday(&running, "ann@example.com");
    let used = promoflow.code("C-0000").unwrap();
    for done in [
        promoflow.retire(&texts(&["C-0000"])).unwrap(),
        promoflow.reinstate(&texts(&["C-0000"])).unwrap(),
    ] {
        assert_eq!(done.retired, 0);
        assert_eq!(done.already_used, ["C-0000"]);
    }
    assert_eq!(promoflow.code("C-0000").unwrap(), used);
    assert_eq!(promoflow.birthday(&running, "ben@example.com"), None);
    promoflow.assert_audit();
}

#[test]
fn p9_a_code_retired_between_claim_and_commit_is_not_used() {
    let (app, promoflow) = TestApp::with_codes(2);
    let running = promoflow.start().unwrap();
    let other = app.open();
    app.clock.before_commit(move || {
        assert_eq!(other.retire(&["C-0000".into()]).unwrap().retired, 1);
    });
    assert_eq!(
        promoflow.birthday(&running, "ann@example.com").as_deref(),
        Some("C-0001")
    );
    promoflow.assert_audit();
}

#[test]
fn p9_no_sql_statement_deletes_from_the_pool_or_its_ledgers() {
    let (app, promoflow) = TestApp::with_codes(3);
    for table in [
        "code",
        "upload",
        "upload_batch",
        "retirement",
        "claim",
        "claim_release",
        "event",
        "run",
        "journal",
        "delivery",
        "attempt",
    ] {
        let database = app.inspect();
        database.reject(Change::Delete, table, "TRUE").unwrap();
    }
    let running = promoflow.start().unwrap();
    assert!(promoflow.birthday(&running, "ann@example.com").is_some());
    promoflow.retire(&texts(&["C-0001"])).unwrap();
    promoflow.reinstate(&texts(&["C-0001"])).unwrap();
    promoflow
        .import_codes("code,discount,type,inUse\nC-0001,20,birthday,false\nC-0002,,,true\nX,,,\n");
    assert_eq!(promoflow.all_codes().len(), 4);
    promoflow.assert_audit();
}
