//! Compares what was acknowledged and what was handed over with the database.

use std::collections::HashSet;

use anyhow::Result;

use super::clients::Ledger;
use super::databases::Databases;
use super::load;
use super::receiver::Deliveries;

/// Every event with its runs, and their codes and deliveries that stand: one row for each event if
/// nothing was done twice.
const RUNS: &str = "SELECT event.event_id, run.id, run.state, claim.code, delivery.address,
        delivery.state, delivery.attempts
     FROM event LEFT JOIN run ON run.event = event.id
     LEFT JOIN claim ON claim.run = run.id
     LEFT JOIN delivery ON delivery.run = run.id";

/// Counts that must be 0.
const NOTHING: [(&str, &str); 5] = [
    ("releases of claims", "SELECT count(*) FROM claim_release"),
    (
        "claims without a run",
        "SELECT count(*) FROM claim WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = claim.run)",
    ),
    (
        "runs without an event",
        "SELECT count(*) FROM run WHERE NOT EXISTS (SELECT 1 FROM event WHERE event.id = run.event)",
    ),
    (
        "codes with two claims",
        "SELECT count(*) - count(DISTINCT code) FROM claim",
    ),
    (
        "deliveries without a run",
        "SELECT count(*) FROM delivery
         WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.id = delivery.run)",
    ),
];

/// Returns every violation.
pub(super) fn compare(
    databases: &Databases,
    ledger: &Ledger,
    received: &Deliveries,
    uploaded: u64,
) -> Result<Vec<String>> {
    let mut violations = ledger.violations();
    violations.extend(received.violations().iter().cloned());
    for (what, sql) in NOTHING {
        match databases.number(sql)? {
            0 => {}
            count => violations.push(format!("{count} {what}")),
        }
    }
    let available = databases.number("SELECT count(*) FROM available_code")?;
    let claimed = databases.number("SELECT count(*) FROM claim")?;
    if available + claimed != uploaded {
        violations.push(format!(
            "{available} codes are available and {claimed} claimed, but {uploaded} were uploaded"
        ));
    }
    let mut known = HashSet::new();
    for row in databases.query(RUNS)? {
        let event = row.first().map_or("", String::as_str);
        let number = event
            .strip_prefix('e')
            .and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| known.insert(*number)) else {
            violations.push(format!("event {event} was executed twice: {row:?}"));
            continue;
        };
        violations.extend(check(&row, number, ledger, received));
    }
    let acknowledged = ledger.acknowledged();
    if known.len() as u64 != acknowledged || received.len() as u64 != acknowledged {
        violations.push(format!(
            "{acknowledged} events are acknowledged, {} stored, and {} messages handed over",
            known.len(),
            received.len()
        ));
    }
    Ok(violations)
}

/// Checks the row of an event.
fn check(row: &[String], number: u64, ledger: &Ledger, received: &Deliveries) -> Option<String> {
    let [event, run, state, code, address, delivery, attempts] = row else {
        return Some(format!("not a row of an event: {row:?}"));
    };
    let acknowledged = ledger.run(number);
    if acknowledged.map(|run| run.to_string()).as_ref() != Some(run) {
        let acknowledged = acknowledged.unwrap_or_default();
        return Some(format!(
            "event {event}: run {acknowledged} is acknowledged, {run} is stored"
        ));
    }
    if state != "completed" || delivery != "delivered" || *address != load::address(number) {
        return Some(format!("event {event} is not completed: {row:?}"));
    }
    let Some(message) = received.to(address) else {
        return Some(format!(
            "the message of event {event} was never handed over"
        ));
    };
    let attempts: u32 = attempts.parse().unwrap_or_default();
    match message.code == *code && message.times <= attempts {
        true => None,
        false => Some(format!("event {event}: {row:?}, but {message:?}")),
    }
}
