//! How fast lanes are used up.

use std::collections::HashMap;

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Lane;
use promoflow_store::{Result, Store};

/// The time whose claims tell the present rate, in milliseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000;
/// A rate is told by no shorter time, so that the first minutes of a shop foretell no drought.
const SHORTEST: i64 = 60 * 60 * 1_000;
/// Claims that are read for it: beyond that the last of them tell it.
const MOST_CLAIMS: u64 = 1_000_000;

/// The claims of the last day.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    lanes: HashMap<Lane, u64>,
    /// How much of a day they are of.
    days: f64,
}

impl Rates {
    /// Reads the claims of the 24 hours before `now`, or of the time since the first that was ever
    /// made.
    pub fn read(store: &dyn Store, now: Timestamp) -> Result<Rates> {
        let claimed = store.claimed_since(now.plus_millis(-DAY), MOST_CLAIMS)?;
        let time = now.0.saturating_sub(claimed.from.0);
        #[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
        let days = time.clamp(SHORTEST, DAY) as f64 / DAY as f64;
        Ok(Rates {
            lanes: claimed.lanes,
            days,
        })
    }

    /// Codes of a lane that were claimed in the last 24 hours.
    pub fn last_day(&self, lane: &Lane) -> u64 {
        self.lanes.get(lane).copied().unwrap_or(0)
    }

    /// Codes of a lane that are claimed in a day.
    #[allow(clippy::cast_precision_loss, reason = "a rate is no exact number")]
    pub fn a_day(&self, lane: &Lane) -> f64 {
        match self.last_day(lane) {
            0 => 0.0,
            claims => claims as f64 / self.days,
        }
    }

    /// Days until so many codes of a lane are used up; `None` where none is claimed.
    #[allow(clippy::cast_precision_loss, reason = "days are no exact number")]
    pub fn days_left(&self, lane: &Lane, codes: u64) -> Option<f64> {
        let a_day = self.a_day(lane);
        (a_day > 0.0).then(|| codes as f64 / a_day)
    }
}
