//! The forecast: the state of the pool and how long it lasts, from counts that are cached.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use promoflow_engine::run::rates::Rates;
use promoflow_model::clock::Timestamp;
use promoflow_store::{Census, LaneCount, Result, Store};

/// The days within which codes count as expiring.
pub const EXPIRING_DAYS: u32 = 7;
/// Maximum age of a count: codes expire in the meantime.
const LONGEST_KEPT: Duration = Duration::from_secs(300);
/// The pool is counted for at most one part in this many of the time.
const SHARE: u32 = 50;

/// The forecast of a code group.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneOutlook {
    /// The numbers of its codes.
    pub count: LaneCount,
    /// Codes claimed in the last 24 hours.
    pub claimed_last_day: u64,
    /// Codes claimed per day, at the current rate.
    pub a_day: f64,
    /// Days until no code is left, at that rate; `None` if none was claimed.
    pub days_left: Option<f64>,
}

/// The cached last count.
#[derive(Default)]
pub(super) struct Outlook(Mutex<Option<Kept>>);

struct Kept {
    census: Census,
    rates: Rates,
    counted: Instant,
    took: Duration,
}

impl Outlook {
    /// Returns the forecast of each code group. Counts the pool again if it was changed or the last
    /// count is too old, but limits the share of time spent on it; claims since the last count are
    /// subtracted.
    pub(super) fn lanes(&self, store: &dyn Store, now: Timestamp) -> Result<Vec<LaneOutlook>> {
        // Held while counting: concurrent callers wait for the same result.
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

    /// Subtracts the claims since the count. Returns false if the pool must be counted again.
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
                // The code that expires first is claimed first.
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
