//! Compares the ledger with the database and with the messages that left.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::path::Path;

use anyhow::{Context, Result};
use promoflow_test_support::{FromValue, Inspect, inspect};

use super::ledger::Acknowledged;
use super::mailbox::Mailbox;

/// A run with its codes and deliveries.
struct Run {
    state: String,
    event: i64,
    codes: Vec<String>,
    deliveries: Vec<i64>,
}

/// The contents of the database, read from its tables.
struct Stored {
    /// Row id by event id.
    events: HashMap<String, i64>,
    runs: HashMap<i64, Run>,
    of_event: HashMap<i64, Vec<i64>>,
    /// Run, address and state by delivery id.
    deliveries: HashMap<i64, (i64, String, String)>,
    /// Number of attempts without an end, by delivery id.
    open_attempts: HashMap<i64, i64>,
    codes: HashSet<String>,
}

/// Returns every violation: each difference from what was acknowledged.
pub(crate) fn compare(
    database: &Path,
    acknowledged: &Acknowledged,
    mailbox: &Mailbox,
) -> Result<Vec<String>> {
    let inspected = inspect(database)?;
    let integrity_errors = inspected.integrity_errors()?;
    let stored = Stored::read(&*inspected).context("cannot read the database")?;
    let mut violations: Vec<String> = acknowledged.violations.iter().cloned().collect();
    violations.extend(mailbox.violations.iter().cloned());
    let damaged = integrity_errors.into_iter();
    violations.extend(damaged.map(|error| format!("the file is damaged: {error}")));
    for (event, runs) in &acknowledged.events {
        stored.event(event, runs, acknowledged, &mut violations);
    }
    for (upload, codes) in &acknowledged.uploads {
        let lost: Vec<_> = codes
            .iter()
            .filter(|code| !stored.codes.contains(*code))
            .collect();
        if let Some(first) = lost.first() {
            violations.push(format!(
                "{upload} lost {} codes, such as {first}",
                lost.len()
            ));
        }
    }
    stored.messages(mailbox, &mut violations);
    Ok(violations)
}

impl Stored {
    fn read(database: &dyn Inspect) -> Result<Stored> {
        let mut stored = Stored {
            events: map(database, "SELECT event_id, id FROM event")?,
            runs: HashMap::new(),
            of_event: HashMap::new(),
            deliveries: HashMap::new(),
            open_attempts: HashMap::new(),
            codes: HashSet::new(),
        };
        for (id, event, state) in
            database.rows("SELECT id, event, state FROM run ORDER BY id", &[])?
        {
            stored.of_event.entry(event).or_default().push(id);
            let run = Run {
                state,
                event,
                codes: Vec::new(),
                deliveries: Vec::new(),
            };
            stored.runs.insert(id, run);
        }
        let claims = "SELECT run, code FROM claim WHERE id NOT IN (SELECT claim FROM claim_release)
             UNION ALL
             SELECT code_reuse.run, code FROM code_reuse JOIN claim ON claim.id = code_reuse.claim
             WHERE claim NOT IN (SELECT claim FROM claim_release)";
        for (run, code) in database.rows::<(i64, String)>(claims, &[])? {
            if let Some(run) = stored.runs.get_mut(&run) {
                run.codes.push(code);
            }
        }
        for (id, run, address, state) in
            database.rows("SELECT id, run, address, state FROM delivery", &[])?
        {
            if let Some(run) = stored.runs.get_mut(&run) {
                run.deliveries.push(id);
            }
            stored.deliveries.insert(id, (run, address, state));
        }
        stored.open_attempts = map(
            database,
            "SELECT delivery, count(*) FROM attempt WHERE outcome IS NULL GROUP BY delivery",
        )?;
        let codes = database.rows("SELECT code FROM code", &[])?;
        stored.codes = codes.into_iter().collect();
        Ok(stored)
    }

    /// Checks an acknowledged event: it has exactly the acknowledged runs, each with one code and
    /// one delivery unless its cancellation was requested.
    fn event(
        &self,
        event: &str,
        runs: &[i64],
        acknowledged: &Acknowledged,
        violations: &mut Vec<String>,
    ) {
        let Some(row) = self.events.get(event) else {
            violations.push(format!("event {event} was acknowledged and is missing"));
            return;
        };
        let stored = self.of_event.get(row).map_or(&[][..], Vec::as_slice);
        if stored != runs || runs.len() != 1 {
            violations.push(format!(
                "event {event}: acknowledged runs {runs:?}, stored runs {stored:?}"
            ));
        }
        for number in stored {
            let Some(run) = self.runs.get(number) else {
                continue;
            };
            let got = (run.codes.len(), run.deliveries.len());
            let cancelled =
                run.state == "cancelled" && acknowledged.cancel_requested.contains(number);
            let fits = match cancelled {
                true => got.0 <= 1 && got.1 <= 1,
                false => run.state == "completed" && got == (1, 1),
            };
            if !fits || run.event != *row || (acknowledged.cancelled.contains(number) && !cancelled)
            {
                violations.push(format!(
                    "run {number} of event {event} is {}, with codes {:?} and deliveries {:?}",
                    run.state, run.codes, run.deliveries
                ));
            }
        }
    }

    /// Checks that exactly the committed messages left, and that no code left in two deliveries.
    fn messages(&self, mailbox: &Mailbox, violations: &mut Vec<String>) {
        let mut carriers: BTreeMap<&str, i64> = BTreeMap::new();
        for (&delivery, message) in &mailbox.messages {
            let shared = |other: &i64| {
                // A contact's own code may appear in several of its messages.
                message.code.contains("-keeper-")
                    && mailbox.messages.get(other).map(|one| &one.address) == Some(&message.address)
            };
            if let Some(other) = carriers.insert(&message.code, delivery)
                && !shared(&other)
            {
                let code = &message.code;
                violations.push(format!("{code} left in deliveries {other} and {delivery}"));
            }
            let committed = self
                .deliveries
                .get(&delivery)
                .is_some_and(|(run, address, _)| {
                    let codes = self.runs.get(run).map(|run| &run.codes[..]);
                    *address == message.address
                        && codes == Some(std::slice::from_ref(&message.code))
                });
            let open_attempts = self
                .open_attempts
                .get(&delivery)
                .copied()
                .unwrap_or_default();
            if i64::from(message.times) > 1 + open_attempts {
                violations.push(format!(
                    "delivery {delivery} left {} times, but {open_attempts} attempts have no end",
                    message.times
                ));
            }
            if !committed {
                violations.push(format!(
                    "delivery {delivery} left as {message:?}, which is not stored"
                ));
            }
        }
        for (delivery, (run, address, state)) in &self.deliveries {
            let off = self
                .runs
                .get(run)
                .is_some_and(|run| run.state == "cancelled");
            let left = mailbox.messages.contains_key(delivery);
            let fits = match &**state {
                "delivered" => left,
                "cancelled" => off && !left,
                _ => false,
            };
            if !fits {
                violations.push(format!(
                    "delivery {delivery} of run {run} to {address} is {state}, and {}",
                    if left { "left" } else { "never left" }
                ));
            }
        }
    }
}

/// Returns the rows of a query by their first column.
fn map<K: FromValue + Eq + Hash>(database: &dyn Inspect, sql: &str) -> Result<HashMap<K, i64>> {
    Ok(database.rows(sql, &[])?.into_iter().collect())
}
