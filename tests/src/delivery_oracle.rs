//! Compares the messages that left with what is stored about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{FileChannel, SentMessage, TestApp};

/// Asserts that every message belongs to a delivery and left as often as attempts were made: at
/// least once per ended attempt, at most once per started attempt. A code that may have left did so
/// for the runs of one claim only (P1, P3).
///
/// # Panics
/// If that is not so.
pub fn assert_deliveries_match(app: &TestApp) {
    let elsewhere = FileChannel(format!("{}-messages", app.database().display()).into());
    let mut messages = app.channel.sent();
    messages.extend(elsewhere.sent());
    let sql = app.sql();
    let mut times: BTreeMap<String, i64> = BTreeMap::new();
    for message in &messages {
        *times.entry(delivery(message)).or_default() += 1;
    }
    let mut statement = sql
        .prepare(
            "SELECT 'delivery-' || id, state, (SELECT count(*) FROM attempt WHERE delivery = id),
                 (SELECT count(*) FROM attempt WHERE delivery = id AND outcome IS NOT NULL),
                 (SELECT count(*) FROM attempt WHERE delivery = id AND outcome = 'delivered')
             FROM delivery",
        )
        .expect("deliveries are read");
    let mut rows = statement.query([]).expect("deliveries are read");
    while let Some(row) = rows.next().expect("deliveries are read") {
        let read = "a delivery has these columns";
        let (id, state): (String, String) = (row.get(0).expect(read), row.get(1).expect(read));
        let (began, ended): (i64, i64) = (row.get(2).expect(read), row.get(3).expect(read));
        let delivered: i64 = row.get(4).expect(read);
        let left = times.remove(&id).unwrap_or_default();
        assert!(
            (ended..=began).contains(&left),
            "{id} left {left} times in {began} attempts, of which {ended} have ended"
        );
        assert_eq!(
            delivered,
            i64::from(state == "delivered"),
            "{id} is {state}"
        );
    }
    assert!(times.is_empty(), "messages without a delivery: {times:?}");
    for (code, deliveries) in carriers(&messages) {
        let one_claim = "SELECT NOT EXISTS (
                 SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
                 WHERE 'delivery-' || delivery.id IN (SELECT value FROM json_each(?2))
                     AND attempt.outcome IS NOT 'permanent')
             OR EXISTS (
                 SELECT 1 FROM claim WHERE claim.code = ?1 AND NOT EXISTS (
                     SELECT 1 FROM delivery JOIN attempt ON attempt.delivery = delivery.id
                     WHERE 'delivery-' || delivery.id IN (SELECT value FROM json_each(?2))
                         AND attempt.outcome IS NOT 'permanent' AND delivery.run <> claim.run
                         AND delivery.run NOT IN (
                             SELECT run FROM code_reuse WHERE claim = claim.id)))";
        let ids = serde_json::to_string(&deliveries).expect("texts are JSON");
        let fits: bool = sql
            .query_row(one_claim, [&code, &ids], |row| row.get(0))
            .expect("claims are read");
        assert!(
            fits,
            "{code} may have left in {deliveries:?}, which do not share one claim"
        );
    }
}

/// Returns the deliveries by text.
fn carriers(messages: &[SentMessage]) -> BTreeMap<String, BTreeSet<String>> {
    let mut carriers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in messages.iter().filter(|message| !message.text.is_empty()) {
        let deliveries = carriers.entry(message.text.clone()).or_default();
        deliveries.insert(delivery(message));
    }
    carriers
}

/// Returns the delivery's id; alternatives after the first append a number to it.
fn delivery(message: &SentMessage) -> String {
    let parts: Vec<&str> = message.id.split('-').take(2).collect();
    parts.join("-")
}
