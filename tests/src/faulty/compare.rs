//! Compares the database with the servers' logs.

use std::collections::HashMap;

use anyhow::Result;
use rusqlite::Connection;

use super::server::Noted;

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
    pub(super) fn read(connection: &Connection) -> Result<Stored> {
        let mut statement = connection.prepare(
            "SELECT delivery.address, delivery.id, delivery.state, delivery.attempts, claim.code
             FROM delivery JOIN claim ON claim.run = delivery.run",
        )?;
        let rows = statement.query_map([], |row| {
            let delivery = Delivery {
                id: row.get(1)?,
                state: row.get(2)?,
                attempts: row.get::<_, u32>(3)?.into(),
                code: row.get(4)?,
            };
            Ok((row.get(0)?, delivery))
        })?;
        Ok(Stored {
            deliveries: rows.collect::<rusqlite::Result<_>>()?,
        })
    }

    /// Returns every violation. With `is_last`, no delivery may be failed any more.
    pub(super) fn offences(&self, all: &HashMap<String, Noted>, is_last: bool) -> Vec<String> {
        let mut offences = Vec::new();
        let none = Noted::default();
        for (address, delivery) in &self.deliveries {
            let noted = all.get(address).unwrap_or(&none);
            let mut tell = |what: &str| {
                let (id, state) = (delivery.id, &delivery.state);
                offences.push(format!(
                    "delivery {id} to {address} is {state}: {what}: {noted:?}"
                ));
            };
            let arrived = noted.taken + noted.ambiguous;
            match delivery.state.as_str() {
                "delivered" if noted.taken == 0 => tell("no server acknowledged it"),
                "failed" if is_last => tell("it was retried and is still failed"),
                "failed" if noted.refused == 0 => tell("no server rejected it"),
                "delivered" | "failed" => {}
                _ => tell("it is still pending"),
            }
            if arrived > 1 + noted.ambiguous {
                tell("it was sent twice without a lost answer");
            }
            let answers = arrived + noted.later + noted.refused + noted.cut;
            if answers != delivery.attempts {
                let attempts = delivery.attempts;
                tell(&format!(
                    "{attempts} attempts, but {answers} emails or rejections"
                ));
            }
            let identity = format!("<delivery-{}@", delivery.id);
            let same =
                |(id, text): &(String, String)| id.starts_with(&identity) && *text == delivery.code;
            if !noted.mails.iter().all(same) {
                tell("it arrived under another identity or with another code");
            }
        }
        for address in all.keys() {
            if !self.deliveries.contains_key(address) {
                offences.push(format!("{address} got an email, but no delivery is stored"));
            }
        }
        offences
    }
}
