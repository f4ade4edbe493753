//! The installation itself: identity, calendar, executors, backups.

use std::thread;
use std::time::Duration;

use super::{Fixture, Harness, NOW, code_group, segment, workflow};
use promoflow_model::pool::Calendar;
use promoflow_store::{ChangeWatch, ChangedGroups, Changes};

/// Maximum time in which a commit must be noticed.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The identity is assigned once, the calendar is UTC until it is set, and the clock does not go
/// back.
pub fn identity_calendar_and_schema<H: Harness>() {
    let harness = H::create();
    let installation = harness.store().installation().unwrap();
    assert!(!installation.is_empty());
    let clock = harness.store().clock();
    let time = clock.now();
    assert!(clock.now() >= time);
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
    assert!(harness.store().clock().now() >= time);
}

/// One process executes, or any number of them. The right to execute is free again once an executor
/// has ended.
pub fn members_execute_until_they_end<H: Harness>() {
    let harness = H::create();
    let store = harness.store();
    let member = store.try_join().unwrap().unwrap();
    assert_eq!(store.try_join().unwrap().is_some(), H::DIVIDES_WORK);
    let other = harness.another();
    assert_eq!(other.store().try_join().unwrap().is_some(), H::DIVIDES_WORK);
    drop(other);
    drop(member);
    let member = store.try_join().unwrap();
    assert!(member.is_some());
    drop(member);
    assert!(harness.reopen().store().try_join().unwrap().is_some());
}

/// A watch notices every commit and whether it changed the configuration or the pool. Its caller
/// can end a wait.
pub fn commits_are_noticed<H: Harness>() {
    let fixture = Fixture::<H>::new();
    let mut watch = fixture.store().watch();
    assert_eq!(changes(&mut *watch), Changes::ALL);
    fixture.start(None);
    changes(&mut *watch);
    fixture.add_codes(&["A"]);
    assert!(is_changed(&changes(&mut *watch)));
    fixture.store().retire(&["A".into()], true, &NOW).unwrap();
    assert!(is_changed(&changes(&mut *watch)));
    let other = workflow("other");
    fixture.store().save_workflow(&other, NOW).unwrap();
    assert!(changes(&mut *watch).config);

    let nothing = watch.wait(Duration::from_millis(20), &mut sleep).unwrap();
    assert_eq!(nothing, None);
    let mut pauses = 0;
    let ended = watch.wait(Duration::MAX, &mut |_| {
        pauses += 1;
        true
    });
    assert_eq!((ended.unwrap(), pauses), (None, 1));
}

/// Returns what was changed since the last call.
fn changes(watch: &mut dyn ChangeWatch) -> Changes {
    let changes = watch.wait(MAX_WAIT, &mut sleep).unwrap();
    changes.expect("the watch noticed no commit")
}

fn sleep(time: Duration) -> bool {
    thread::sleep(time);
    false
}

/// Returns true if the codes without a discount may have changed.
fn is_changed(changes: &Changes) -> bool {
    match &changes.pool {
        ChangedGroups::Only(groups) => groups.contains(&code_group(0)),
        ChangedGroups::All => true,
    }
}

/// What a commit has acknowledged is there for the next process. A backup is made, or the tool that
/// makes it is named.
pub fn p7_everything_acknowledged_survives_a_restart<H: Harness>() {
    let fixture = Fixture::<H>::new();
    fixture.add_codes(&["A", "B"]);
    let claims = vec![fixture.claim_first()];
    let run = fixture.start(Some(segment(None, claims)));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    let backup = fixture.store().backup(&copy);
    match H::BACKUP_TOOL {
        None => backup.unwrap(),
        Some(tool) => assert!(backup.unwrap_err().to_string().contains(tool)),
    }
    assert_eq!(copy.exists(), H::BACKUP_TOOL.is_none());
    assert!(fixture.store().backup(&copy).is_err());
    let fixture = fixture.reopen();
    assert_eq!(fixture.first(&code_group(0)).unwrap().code, "B");
    assert!(fixture.store().run(run).unwrap().is_some());
    assert_eq!(fixture.store().segment_at(run, 0).unwrap(), Some(NOW));
    assert_eq!(fixture.store().segment_at(run, 1).unwrap(), None);
    fixture.audit();
}
