//! P4: a staged claim returns to the pool if its segment does not commit.

use promoflow::store::RunState;
use promoflow_tests::{Shop, Teach, mischief};

#[test]
fn p4_staged_claims_return_in_order_whatever_ends_the_segment() {
    for (deed, state) in [
        ("rejected", RunState::Failed),
        ("invalid", RunState::Failed),
        ("bad-port", RunState::Failed),
        ("trap", RunState::Running),
        ("unavailable", RunState::Running),
    ] {
        let (_shop, promoflow) = Shop::with_codes(4);
        promoflow.workflows_of(&mischief(deed, ", claims: 3"));
        let running = promoflow.start().unwrap();
        let run = promoflow.one(&running, deed, "ann@example.com");
        assert_eq!(promoflow.run_of(run).0.state, state, "{deed}");
        assert_eq!(promoflow.free().len(), 4, "{deed}");
        // In their previous order.
        for wanted in ["C-0000", "C-0001", "C-0002", "C-0003"] {
            let code = promoflow.birthday(&running, "ben@example.com");
            assert_eq!(code.as_deref(), Some(wanted), "{deed}");
        }
        assert_eq!(promoflow.birthday(&running, "cem@example.com"), None);
        promoflow.audited();
    }
}

#[test]
fn p4_an_unconnected_port_returns_the_claims_too() {
    let (_shop, promoflow) = Shop::with_codes(1);
    promoflow.workflows_of(
        "
workflow: nowhere
start: { event: nowhere }
steps:
  - id: bad
    block: mischief
    with: { do: aside, claims: 1, type: birthday, discount: 10 }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "nowhere", "ann@example.com");
    let (row, _) = promoflow.run_of(run);
    assert_eq!(row.state, RunState::Failed);
    assert!(row.error.unwrap().contains("not connected"));
    assert_eq!(promoflow.free(), ["C-0000"]);
}

#[test]
fn p4_a_committed_claim_stays_claimed_when_a_later_segment_fails() {
    let (shop, promoflow) = Shop::with_codes(2);
    promoflow.workflows_of(
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
    ports: { aside: end }
  - id: bad
    block: mischief
    with: { do: rejected, claims: 1, type: birthday, discount: 10 }
    ports: { aside: end }
",
    );
    let running = promoflow.start().unwrap();
    let run = promoflow.one(&running, "late", "ann@example.com");
    shop.clock.set("2026-06-03T12:00:00Z");
    running.rest(&[run]).unwrap();
    assert_eq!(promoflow.run_of(run).0.state, RunState::Failed);
    assert_eq!(promoflow.free(), ["C-0001"]);
    promoflow.audited();
}
