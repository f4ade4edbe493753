//! How the pool stands and how long it lasts, without counting it anew each time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use promoflow_engine::run::rates::Rates;
use promoflow_model::clock::Timestamp;
use promoflow_store::{Census, LaneCount, Result, Store};

/// The days in which codes count as expiring.
pub const EXPIRING_DAYS: u32 = 7;
/// A count is kept at most for that long: codes expire meanwhile.
const LONGEST_KEPT: Duration = Duration::from_secs(300);
/// The pool is counted for no more than this part of the time.
const SHARE: u32 = 50;

/// A lane as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneOutlook {
    /// Its codes.
    pub count: LaneCount,
    /// Codes that were claimed in the last 24 hours.
    pub claimed_last_day: u64,
    /// Codes that are claimed in a day, at the present rate.
    pub a_day: f64,
    /// Days until no code is left, at that rate; `None` where none was claimed.
    pub days_left: Option<f64>,
}

/// What was counted last.
#[derive(Default)]
pub(super) struct Outlook(Mutex<Option<Kept>>);

struct Kept {
    census: Census,
    rates: Rates,
    counted: Instant,
    took: Duration,
}

impl Outlook {
    /// The lanes as they stand. The pool is counted where it was changed, or the last count is
    /// old, but seldom enough to cost little; claims since the last count are taken off.
    pub(super) fn lanes(&self, store: &dyn Store, now: Timestamp) -> Result<Vec<LaneOutlook>> {
        // Held while it counts: whoever asks meanwhile waits for the same answer.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match kept.as_mut() {
            Some(kept) => kept.goes_on(store)?,
            None => false,
        };
        if !fresh {
            *kept = Some(Kept::count(store, now)?);
        }
        Ok(kept.as_ref().map(Kept::lanes).unwrap_or_default())
    }
}

impl Kept {
    fn count(store: &dyn Store, now: Timestamp) -> Result<Kept> {
        let counted = Instant::now();
        let needed = store.calendar()?.expiry_needed(now, EXPIRING_DAYS);
        let census = store.census(now, needed.plus_millis(-1))?;
        let rates = Rates::read(store, now)?;
        Ok(Kept {
            census,
            rates,
            counted,
            took: counted.elapsed(),
        })
    }

    /// Takes off what was claimed since. False where it is to be counted anew.
    fn goes_on(&mut self, store: &dyn Store) -> Result<bool> {
        let age = self.counted.elapsed();
        let changed = store.pool_generation()? != self.census.generation;
        if (changed || age > LONGEST_KEPT) && age > self.took * SHARE {
            return Ok(false);
        }
        let claimed = store.claimed_after(self.census.last)?;
        self.census.last = claimed.last;
        for (lane, claims) in claimed.lanes {
            let known = self.census.lanes.iter_mut().find(|one| one.lane == lane);
            if let Some(count) = known {
                count.available = count.available.saturating_sub(claims);
                // What expires first is claimed first.
                count.expiring = count.expiring.saturating_sub(claims);
                count.used += claims;
            }
        }
        Ok(true)
    }

    fn lanes(&self) -> Vec<LaneOutlook> {
        let outlook = |count: &LaneCount| LaneOutlook {
            count: count.clone(),
            claimed_last_day: self.rates.last_day(&count.lane),
            a_day: self.rates.a_day(&count.lane),
            days_left: self.rates.days_left(&count.lane, count.available),
        };
        self.census.lanes.iter().map(outlook).collect()
    }
}
