//! Compares the messages that left with what is stored about them.

use std::collections::{BTreeMap, BTreeSet};

use promoflow_test_support::Inspect;

use crate::{SentMessage, TestApp};

/// Asserts that every message belongs to a delivery and left as often as attempts were made: at
/// least once per ended attempt, at most once per started attempt. A code that may have left did so
/// for the runs of one claim only (P1, P3).
///
/// # Panics
/// If that is not so.
pub fn assert_deliveries_match(app: &TestApp) {
    let mut messages = app.channel.sent();
    messages.extend(app.helper_messages().sent());
    let database = app.inspect();
    let mut times: BTreeMap<String, i64> = BTreeMap::new();
    for message in &messages {
        *times.entry(delivery(message)).or_default() += 1;
    }
    let deliveries = "SELECT 'delivery-' || id, state,
             (SELECT count(*) FROM attempt WHERE delivery = id),
             (SELECT count(*) FROM attempt WHERE delivery = id AND outcome IS NOT NULL),
             (SELECT count(*) FROM attempt WHERE delivery = id AND outcome = 'delivered')
         FROM delivery";
    let deliveries: Vec<(String, String, i64, i64, i64)> = database
        .rows(deliveries, &[])
        .expect("cannot read deliveries");
    for (id, state, began, ended, delivered) in deliveries {
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
    let (may_have_left, runs_by_claim) = (may_have_left(&*database), runs_by_claim(&*database));
    for (code, deliveries) in carriers(&messages) {
        let runs: BTreeSet<i64> = deliveries
            .iter()
            .filter_map(|delivery| may_have_left.get(delivery).copied())
            .collect();
        let share_one_claim = runs_by_claim
            .iter()
            .any(|((claimed, _), of_claim)| *claimed == code && runs.is_subset(of_claim));
        assert!(
            runs.is_empty() || share_one_claim,
            "{code} may have left in {deliveries:?}, which do not share one claim"
        );
    }
}

/// Returns the runs of deliveries with an attempt that did not fail permanently.
fn may_have_left(database: &dyn Inspect) -> BTreeMap<String, i64> {
    let sql = "SELECT 'delivery-' || delivery.id, delivery.run
               FROM delivery JOIN attempt ON attempt.delivery = delivery.id
               WHERE attempt.outcome IS DISTINCT FROM 'permanent'";
    let rows = database.rows(sql, &[]).expect("cannot read attempts");
    rows.into_iter().collect()
}

/// Returns the runs that used each claim, by its code and id.
fn runs_by_claim(database: &dyn Inspect) -> BTreeMap<(String, i64), BTreeSet<i64>> {
    let sql = "SELECT code, id, run FROM claim
               UNION ALL
               SELECT claim.code, claim.id, code_reuse.run
               FROM code_reuse JOIN claim ON claim.id = code_reuse.claim";
    let rows = database.rows(sql, &[]).expect("cannot read claims");
    let mut runs: BTreeMap<(String, i64), BTreeSet<i64>> = BTreeMap::new();
    for (code, claim, run) in rows {
        runs.entry((code, claim)).or_default().insert(run);
    }
    runs
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
