//! Compares the database with the servers' logs.

use std::collections::HashMap;

use anyhow::Result;
use promoflow_test_support::Inspect;

use super::server::ServerLog;

/// A stored delivery.
pub(super) struct Delivery {
    pub(super) id: i64,
    pub(super) state: String,
    pub(super) attempts: u64,
    /// Code of its run.
    pub(super) code: String,
}

/// All deliveries, by address.
pub(super) struct Stored {
    pub(super) deliveries: HashMap<String, Delivery>,
}

impl Stored {
    pub(super) fn read(database: &dyn Inspect) -> Result<Stored> {
        let rows = database.rows(
            "SELECT delivery.address, delivery.id, delivery.state, delivery.attempts, claim.code
             FROM delivery JOIN claim ON claim.run = delivery.run",
            &[],
        )?;
        let mut deliveries = HashMap::new();
        for (address, id, state, attempts, code) in rows {
            let attempts: i64 = attempts;
            let delivery = Delivery {
                id,
                state,
                attempts: attempts.try_into()?,
                code,
            };
            deliveries.insert(address, delivery);
        }
        Ok(Stored { deliveries })
    }

    /// Returns every violation. With `is_last`, no delivery may be failed any more.
    pub(super) fn violations(
        &self,
        all: &HashMap<String, ServerLog>,
        is_last: bool,
    ) -> Vec<String> {
        let mut violations = Vec::new();
        let none = ServerLog::default();
        for (address, delivery) in &self.deliveries {
            let logged = all.get(address).unwrap_or(&none);
            let mut report = |what: &str| {
                let (id, state) = (delivery.id, &delivery.state);
                violations.push(format!(
                    "delivery {id} to {address} is {state}: {what}: {logged:?}"
                ));
            };
            let arrived = logged.taken + logged.ambiguous;
            match delivery.state.as_str() {
                "delivered" if logged.taken == 0 => report("no server acknowledged it"),
                "failed" if is_last => report("it was retried and is still failed"),
                "failed" if logged.refused == 0 => report("no server rejected it"),
                "delivered" | "failed" => {}
                _ => report("it is still pending"),
            }
            if arrived > 1 + logged.ambiguous {
                report("it was sent twice without a lost answer");
            }
            let answers = arrived + logged.later + logged.refused + logged.cut;
            if answers != delivery.attempts {
                let attempts = delivery.attempts;
                report(&format!(
                    "{attempts} attempts, but {answers} emails or rejections"
                ));
            }
            let identity = format!("<delivery-{}@", delivery.id);
            let same =
                |(id, text): &(String, String)| id.starts_with(&identity) && *text == delivery.code;
            if !logged.mails.iter().all(same) {
                report("it arrived under another identity or with another code");
            }
        }
        for address in all.keys() {
            if !self.deliveries.contains_key(address) {
                violations.push(format!("{address} got an email, but no delivery is stored"));
            }
        }
        violations
    }
}
