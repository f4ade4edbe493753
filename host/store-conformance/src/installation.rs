//! The installation itself: identity, calendar, executors, backups.

use super::{Fixture, Harness, NOW, code_group, segment};
use promoflow_model::pool::Calendar;

/// The identity is assigned once, and the calendar is UTC until it is set.
pub fn identity_calendar_and_schema<H: Harness>() {
    let harness = H::create();
    let installation = harness.store().installation().unwrap();
    assert!(!installation.is_empty());
    let utc = Calendar::new(chrono_tz::UTC);
    assert_eq!(harness.store().calendar().unwrap(), utc);
    let kyiv = Calendar::new(chrono_tz::Europe::Kyiv);
    let before = harness.store().config().unwrap();
    harness.store().set_calendar(kyiv).unwrap();
    assert!(harness.store().config().unwrap() > before);
    let harness = harness.reopen();
    harness.store().check_schema().unwrap();
    assert_eq!(harness.store().installation().unwrap(), installation);
    assert_eq!(harness.store().calendar().unwrap(), kyiv);
}

/// The right to execute is free again once the executor has ended.
pub fn only_one_member_executes<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let member = store.try_join().unwrap().unwrap();
    assert!(store.try_join().unwrap().is_none());
    drop(member);
    let member = store.try_join().unwrap();
    assert!(member.is_some());
    drop(member);
    assert!(harness.reopen().store().try_join().unwrap().is_some());
}

/// What a commit has acknowledged is there for the next process, and in a backup.
pub fn p7_everything_acknowledged_survives_a_restart<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A", "B"]);
    let claims = vec![fixture.claim_first()];
    let run = fixture.start(Some(segment(None, claims)));
    let seen = fixture.store().data_version().unwrap();
    assert_eq!(fixture.store().data_version().unwrap(), seen);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fixture.store().backup(&copy).unwrap();
    assert!(copy.exists());
    assert!(fixture.store().backup(&copy).is_err());
    let fixture = fixture.reopen();
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "B");
    assert!(fixture.store().run(run).unwrap().is_some());
    assert_eq!(fixture.store().segment_at(run, 0).unwrap(), Some(NOW));
    assert_eq!(fixture.store().segment_at(run, 1).unwrap(), None);
    fixture.audit();
}
