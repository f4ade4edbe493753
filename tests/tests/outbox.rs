//! Deliveries through a mail server with faults, in the ordinary test run: two thousand.
#![cfg(unix)]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use promoflow_tests::faulty::{self, Plan, run};

/// The binary is of another package: a call for the whole workspace builds it beside the tests.
fn plan(deliveries: u64, faults: u32) -> Plan {
    let tests = std::env::current_exe().expect("the test is a file");
    let release = tests.parent().and_then(Path::parent);
    let release = release.expect("it is in `deps`");
    let python = faulty::python(release);
    assert!(
        python.exists(),
        "`cargo xtask test` installs what this test talks to"
    );
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    Plan {
        program: release.join("promoflow"),
        python,
        tools: Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"),
        deliveries,
        seed: since.as_secs(),
        faults,
        forgets: 0,
    }
}

#[test]
fn none_of_two_thousand_is_lost_and_none_arrives_twice_but_for_a_lost_answer() {
    // More faults than the long run has, so that each kind comes many times.
    let plan = plan(2_000, 60);
    println!("--seed {}", plan.seed);
    let summary = run(&plan).expect("the harness comes to its end");
    println!("{summary}");
    assert!(summary.holds(), "{summary}");
    let kinds = [
        summary.later,
        summary.refused,
        summary.cut,
        summary.ambiguous,
    ];
    assert!(kinds.iter().all(|count| *count > 0), "{summary}");
    assert!(summary.twice > 0 && summary.dead > 0, "{summary}");
    assert_eq!(summary.restarts, 3);
}

#[test]
fn the_harness_sees_what_a_server_forgot() {
    let plan = Plan {
        forgets: 50,
        ..plan(200, 0)
    };
    let summary = run(&plan).expect("the harness comes to its end");
    let told = |part: &str| summary.offences.iter().any(|one| one.contains(part));
    assert!(told("no server said that it took it"), "{summary}");
    if let Some(kept) = summary.kept {
        std::fs::remove_dir_all(kept).expect("it is removed");
    }
}
