//! P7: acknowledged work survives `kill -9`.

use std::collections::HashSet;

use promoflow::store::{DeliveryState, RunState};
use promoflow_tests::{Ack, Helper, PromoflowExt, TestApp};

use crate::HELPER;

#[test]
fn p7_every_acknowledged_event_survives_a_kill_with_its_run_code_and_delivery() {
    let (app, promoflow) = TestApp::with_codes(2_000);
    let mut acks: Vec<Ack> = Vec::new();
    for (round, before) in [1, 3, 40, 120].into_iter().enumerate() {
        let prefix = format!("r{round}");
        let mut helper = Helper::start(HELPER, &app, &["send", &prefix, "100000"]);
        acks.extend((0..before).map(|_| helper.ack().unwrap()));
        acks.extend(helper.kill());
    }
    let mut last = Helper::start(HELPER, &app, &["work"]);
    last.expect("working");
    last.end();

    let mut codes = HashSet::new();
    let messages = app.helper_messages().sent();
    let messages: HashSet<(String, String)> = messages
        .into_iter()
        .map(|message| (message.address, message.text))
        .collect();
    for ack in &acks {
        assert!(!ack.duplicate);
        let [run] = ack.runs[..] else {
            panic!("{ack:?}")
        };
        let (row, _) = promoflow.run_of(run);
        assert_eq!(
            (row.event, row.state),
            (ack.event.clone(), RunState::Completed)
        );
        let code = promoflow.code_of(run).unwrap();
        let (_, deliveries) = promoflow.code(&code).unwrap().unwrap();
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0].state, DeliveryState::Delivered);
        let message = (format!("{}@example.com", ack.event), code.clone());
        assert!(messages.contains(&message), "{message:?} was not delivered");
        assert!(codes.insert(code.clone()), "{code} went to two events");
    }
    assert!(acks.len() >= 164);
    promoflow.assert_audit();
}
