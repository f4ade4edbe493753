//! Deliveries through a faulty mail server, in the ordinary test run: two thousand.
#![cfg(unix)]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use promoflow_tests::smtp_faults::{self, Plan, run};

/// Returns a plan. The binary belongs to another package: building the whole workspace puts it next
/// to the tests.
fn plan(deliveries: u64, faults: u32) -> Plan {
    let tests = std::env::current_exe().expect("no path of the test binary");
    let release = tests.parent().and_then(Path::parent);
    let release = release.expect("the test binary is in `deps`");
    let python = smtp_faults::python(release);
    assert!(
        python.exists(),
        "`cargo xtask test` installs the mail server of this test"
    );
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is before 1970");
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
fn two_thousand_emails_arrive_once_unless_an_answer_is_lost() {
    // More faults than in the long run, so that each kind occurs often.
    let plan = plan(2_000, 60);
    println!("--seed {}", plan.seed);
    let summary = run(&plan).expect("the harness failed");
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
fn harness_detects_forgotten_emails() {
    let plan = Plan {
        forgets: 50,
        ..plan(200, 0)
    };
    let summary = run(&plan).expect("the harness failed");
    let reports = |part: &str| summary.violations.iter().any(|one| one.contains(part));
    assert!(reports("no server acknowledged it"), "{summary}");
    if let Some(kept) = summary.kept {
        std::fs::remove_dir_all(kept).expect("cannot remove the folder");
    }
}
