//! P4: a staged claim returns to the pool if its segment does not commit.

use promoflow::store::RunState;
use promoflow_tests::{PromoflowExt, TestApp, chaos};

#[test]
fn p4_staged_claims_return_in_order_whatever_ends_the_segment() {
    for (action, state) in [
        ("rejected", RunState::Failed),
        ("invalid", RunState::Failed),
        ("bad-port", RunState::Failed),
        ("trap", RunState::Running),
        ("unavailable", RunState::Running),
    ] {
        let (_shop, promoflow) = TestApp::with_codes(4);
        promoflow.add_workflows(&chaos(action, ", claims: 3"));
        let running = promoflow.start().unwrap();
        let run = promoflow.run_event(&running, action, "ann@example.com");
        assert_eq!(promoflow.run_of(run).0.state, state, "{action}");
        assert_eq!(promoflow.available_codes().len(), 4, "{action}");
        // In their previous order.
        for wanted in ["C-0000", "C-0001", "C-0002", "C-0003"] {
            let code = promoflow.birthday(&running, "ben@example.com");
            assert_eq!(code.as_deref(), Some(wanted), "{action}");
        }
        assert_eq!(promoflow.birthday(&running, "cem@example.com"), None);
        promoflow.assert_audit();
    }
}

#[test]
fn p4_an_unconnected_port_returns_the_claims_too() {
    let (_shop, promoflow) = TestApp::with_codes(1);
    promoflow.add_workflows(
        "
workflow: nowhere
start: { event: nowhere }
steps:
  - id: bad
    block: mischief
    with: { do: other, claims: 1, type: birthday, discount: 10 }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "nowhere", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    assert!(row.error.unwrap().contains("not connected"));
    assert_eq!(promoflow.available_codes(), ["C-0000"]);
}

#[test]
fn p4_a_committed_claim_stays_claimed_when_a_later_segment_fails() {
    let (app, promoflow) = TestApp::with_codes(2);
    promoflow.add_workflows(
        "
workflow: late
start: { event: late }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: sleep
    block: mischief
    with: { do: wait, until: 1780401600000 }
    ports: { other: end }
  - id: bad
    block: mischief
    with: { do: rejected, claims: 1, type: birthday, discount: 10 }
    ports: { other: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.run_event(&running, "late", "ann@example.com");
    app.clock.set("2026-06-03T12:00:00Z");
    running.wait_idle(&[run]).unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Failed);
    assert_eq!(promoflow.available_codes(), ["C-0001"]);
    promoflow.assert_audit();
}
