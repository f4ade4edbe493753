//! Several hosts on one PostgreSQL that are killed, paused and cut off, in short versions of
//! `cargo xtask crash --hosts`.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promoflow_tests::crash::hosts::{self, HostsPlan, lost_commits};

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

fn plan(events: u64) -> HostsPlan {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is before 1970")
        .as_secs();
    println!("--seed {seed}");
    HostsPlan {
        program: program(),
        hosts: 3,
        events,
        kills: 2,
        connections: 16,
        pause: Duration::from_millis(20),
        faketime: None,
        seed,
    }
}

#[test]
#[ignore = "starts hosts and servers for minutes; run with `-- --ignored` on a machine that does nothing else"]
fn p1_p2_p7_hold_while_hosts_are_killed_and_paused_and_the_database_fails_over() {
    let summary = hosts::run(&plan(3_000)).expect("the harness failed");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    assert_eq!(summary.events, 3_000, "{summary}");
    assert_eq!(summary.faults["database failed over"], 1, "{summary}");
    assert!(summary.take_overs >= 2, "{summary}");
    assert!(summary.raced > 50, "{summary}");
}

#[test]
#[ignore = "starts hosts and servers for minutes; run with `-- --ignored` on a machine that does nothing else"]
fn p2_p7_events_are_accepted_once_though_the_answers_to_their_commits_are_lost() {
    let plan = HostsPlan {
        hosts: 2,
        ..plan(100)
    };
    let summary = lost_commits::run(&plan).expect("the harness failed");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    assert_eq!((summary.events, summary.duplicates), (100, 0), "{summary}");
    // Others of the host's transactions may have been hit instead.
    assert!(summary.lost_commits >= 50, "{summary}");
}

/// Debian's `libfaketime`, installed or unpacked by `cargo xtask test`.
#[cfg(target_os = "linux")]
fn faketime() -> PathBuf {
    let target = program().ancestors().nth(2).map(Path::to_owned);
    let unpacked = target.expect("target/release/promoflow");
    let unpacked = unpacked.join("test-tools/libfaketime");
    let libraries = [Path::new("/"), &unpacked]
        .into_iter()
        .filter_map(|root| root.join("usr/lib").read_dir().ok());
    let library = libraries
        .flatten()
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists());
    library.expect(
        "libfaketime is missing: `cargo xtask test` unpacks it on Debian; elsewhere install it",
    )
}

#[test]
#[ignore = "starts hosts and servers for minutes; run with `-- --ignored` on a machine that does nothing else"]
#[cfg(target_os = "linux")]
fn p8_clocks_of_hosts_that_are_minutes_apart_change_nothing() {
    let plan = HostsPlan {
        kills: 1,
        faketime: Some(faketime()),
        ..plan(1_000)
    };
    let summary = hosts::run(&plan).expect("the harness failed");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    assert_eq!(summary.events, 1_000, "{summary}");
}
