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
use promoflow_tests::{CODE_THEN_MAIL, MAIL, Shop, Teach};

/// Returns an installation with the main job, whose disk is watched from the first byte.
fn watched(prepare: impl FnOnce(&Disk)) -> (Shop, Disk, Builder) {
    let shop = Shop::new();
    let disk = powerloss::watch(shop.database().parent().unwrap());
    prepare(&disk);
    let promoflow = shop.open();
    promoflow.messages_of(MAIL);
    promoflow.workflows_of(CODE_THEN_MAIL);
    drop(promoflow);
    let builder = shop.builder();
    (shop, disk, builder)
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

/// Returns the column that a query selects.
fn column<T: rusqlite::types::FromSql>(connection: &rusqlite::Connection, sql: &str) -> Vec<T> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

/// Asserts that every run is completed with one code and one delivered delivery, and that no code
/// left twice.
fn all_went_once(shop: &Shop, promoflow: &Promoflow) {
    let sql = shop.sql();
    let unlike: Vec<i64> = column(
        &sql,
        "SELECT id FROM run WHERE state <> 'completed'
             OR (SELECT count(*) FROM claim WHERE claim.run = run.id) <> 1
             OR (SELECT count(*) FROM delivery
                 WHERE delivery.run = run.id AND state = 'delivered') <> 1",
    );
    assert!(unlike.is_empty(), "runs {unlike:?} have another result");
    let mut carriers = std::collections::HashMap::new();
    for letter in shop.letters.sent() {
        let first = carriers
            .entry(letter.text.clone())
            .or_insert(letter.id.clone());
        assert_eq!(*first, letter.id, "{} left twice", letter.text);
    }
    promoflow.audited();
}
