//! The rate at which code groups are claimed.

use std::collections::HashMap;

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{Result, Store};

/// The period over which the rate is measured, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000;
/// The minimum period in milliseconds, so that the first minutes of an installation do not predict
/// a shortage.
const MIN_PERIOD: i64 = 60 * 60 * 1_000;
/// Maximum number of claims that are read; beyond that, the latest ones count.
const MAX_CLAIMS: u64 = 1_000_000;

/// The claims of the last day.
#[derive(Clone, Debug, Default)]
pub struct ClaimRates {
    code_groups: HashMap<CodeGroup, u64>,
    /// The measured period in days.
    days: f64,
}

impl ClaimRates {
    /// Reads the claims of the 24 hours before `now`, or since the first claim ever.
    pub fn read(store: &dyn Store, now: Timestamp) -> Result<ClaimRates> {
        let claimed = store.claimed_since(now.plus_millis(-DAY), MAX_CLAIMS)?;
        let time = now.0.saturating_sub(claimed.from.0);
        #[allow(clippy::cast_precision_loss, reason = "a rate is not exact")]
        let days = time.clamp(MIN_PERIOD, DAY) as f64 / DAY as f64;
        Ok(ClaimRates {
            code_groups: claimed.code_groups,
            days,
        })
    }

    /// Returns the number of claims in a code group in the last 24 hours.
    pub fn claims_last_day(&self, code_group: &CodeGroup) -> u64 {
        self.code_groups.get(code_group).copied().unwrap_or(0)
    }

    /// Returns the number of claims in a code group per day.
    #[allow(clippy::cast_precision_loss, reason = "a rate is not exact")]
    pub fn claims_per_day(&self, code_group: &CodeGroup) -> f64 {
        match self.claims_last_day(code_group) {
            0 => 0.0,
            claims => claims as f64 / self.days,
        }
    }

    /// Returns the days until this many codes of a group are used up, or `None` if none is claimed.
    #[allow(clippy::cast_precision_loss, reason = "days are not exact")]
    pub fn days_left(&self, code_group: &CodeGroup, codes: u64) -> Option<f64> {
        let claims_per_day = self.claims_per_day(code_group);
        (claims_per_day > 0.0).then(|| codes as f64 / claims_per_day)
    }
}
