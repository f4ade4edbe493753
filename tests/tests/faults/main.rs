//! Faults below the library: power loss, full or failing disks, a clock that jumps, and a database
//! that is copied while it is written.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "helpers of a suite may panic too; clippy only recognises test functions"
)]

mod clock;
mod copy;
mod disk;
mod group;
mod power;

use promoflow::event::Event;
use promoflow::{Builder, Promoflow};
use promoflow_tests::powerloss::{self, Disk};
use promoflow_tests::{CODE_THEN_MAIL, MAIL, PromoflowExt, TestApp};

/// Returns an installation with the main job, whose disk is watched from the first byte.
fn watched(prepare: impl FnOnce(&Disk)) -> (TestApp, Disk, Builder) {
    let app = TestApp::with_file();
    let disk = powerloss::watch(app.database().file().parent().unwrap());
    prepare(&disk);
    let promoflow = app.open();
    promoflow.add_messages(MAIL);
    promoflow.add_workflows(CODE_THEN_MAIL);
    drop(promoflow);
    let builder = app.builder();
    (app, disk, builder)
}

/// Returns `count` codes of the main job's type.
fn codes(prefix: &str, count: usize) -> String {
    let rows = (0..count).map(|number| format!("{prefix}-{number},2999-12-31,10,birthday\n"));
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    csv.extend(rows);
    csv
}

fn birthday(id: &str) -> Event {
    let address = format!("{id}@example.com");
    Event::new("birthday", &address)
        .with_id(id)
        .with_param("EmailAddress", address)
}

/// Asserts that every run is completed with one code and one delivered delivery, and that no code
/// left twice.
fn assert_sent_once(app: &TestApp, promoflow: &Promoflow) {
    let unexpected = "SELECT id FROM run WHERE state <> 'completed'
             OR (SELECT count(*) FROM claim WHERE claim.run = run.id) <> 1
             OR (SELECT count(*) FROM delivery
                 WHERE delivery.run = run.id AND delivery.state = 'delivered') <> 1";
    let unexpected: Vec<i64> = app.inspect().rows(unexpected, &[]).unwrap();
    assert!(
        unexpected.is_empty(),
        "runs {unexpected:?} have another result"
    );
    let mut carriers = std::collections::HashMap::new();
    for message in app.channel.sent() {
        let first = carriers
            .entry(message.text.clone())
            .or_insert(message.id.clone());
        assert_eq!(*first, message.id, "{} left twice", message.text);
    }
    promoflow.assert_audit();
}
