//! The crash harness in the ordinary test run: a hundred kills.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promoflow_model::failpoint::Failpoint;
use promoflow_tests::crash::serve::{self, ServePlan};
use promoflow_tests::crash::{Plan, run};

/// Returns the binary, which belongs to another package: building the whole workspace puts it next
/// to the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("no path of the test binary");
    let release = tests.parent().and_then(Path::parent);
    let program = release
        .expect("the test binary is in `deps`")
        .join("promoflow");
    assert!(
        program.exists(),
        "build it: cargo build --release --workspace"
    );
    program
}

/// A program that breaks promises: it acknowledges an event that it does not store, and one message
/// leaves again under another identity.
const LIAR: &str = r#"#!/bin/sh
case "$*" in
*"event send"*) echo '{"event":"ghost","status":"accepted","runs":["1"]}'; exec PROGRAM "$@" ;;
*until-idle*)
    PROGRAM "$@" && cp "$2-mail"/???/*-delivery-1-* "$2-mail/new/liar-delivery-999999-" ;;
*) exec PROGRAM "$@" ;;
esac
"#;

#[test]
fn harness_detects_lost_events_and_duplicate_messages() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("cannot create a temporary folder");
    let liar = folder.path().join("liar");
    let script = LIAR.replace("PROGRAM", &format!("'{}'", program().display()));
    std::fs::write(&liar, script).expect("cannot write the script");
    std::fs::set_permissions(&liar, std::fs::Permissions::from_mode(0o755))
        .expect("cannot make the script executable");
    let plan = Plan {
        program: liar,
        kills: 2,
        seed: 1,
    };
    let summary = run(&plan).expect("the harness failed");
    let reports = |part: &str| summary.violations.iter().any(|one| one.contains(part));
    assert!(
        reports("event ghost: acknowledged runs")
            || reports("event ghost was acknowledged and is missing")
    );
    assert!(
        reports("event ghost was accepted as new twice"),
        "{summary}"
    );
    assert!(reports("left in deliveries 1 and 999999"), "{summary}");
    assert!(reports("delivery 999999 left as"), "{summary}");
    if let Some(kept) = summary.kept {
        std::fs::remove_dir_all(kept).expect("cannot remove the folder");
    }
}

#[test]
fn p7_acknowledged_work_survives_a_hundred_kills_and_messages_leave_once() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is before 1970")
        .as_secs();
    println!("--seed {seed}");
    let plan = Plan {
        program: program(),
        kills: 100,
        seed,
    };
    let summary = run(&plan).expect("the harness failed");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    assert!(summary.killed() >= 100);
    for point in Failpoint::ALL {
        assert!(summary.kills.contains_key(point.name()), "{summary}");
    }
    // A failpoint that is never reached tests nothing.
    assert!(summary.missed <= 3, "{summary}");
    assert!(summary.cancelled > 0, "{summary}");
}

#[test]
fn p7_events_acknowledged_by_the_service_survive_kills_and_have_one_run() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is before 1970")
        .as_secs();
    println!("--seed {seed}");
    let plan = ServePlan {
        program: program(),
        time: Duration::from_secs(6),
        kills: 3,
        connections: 32,
        // Each message is a synced file: limit their number, so that the end does not take long.
        pause: Duration::from_millis(30),
        seed,
    };
    let summary = serve::run(&plan).expect("the harness failed");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    assert_eq!(summary.kills, 3);
    assert!(summary.events > 500, "{summary}");
    assert!(summary.unanswered > 0 && summary.raced > 20, "{summary}");
    assert!(summary.uploads > 5, "{summary}");
}
