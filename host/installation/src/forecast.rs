//! The forecast: the state of the pool and how long it lasts, from counts that are cached.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use promoflow_engine::run::ClaimRates;
use promoflow_model::clock::Timestamp;
use promoflow_store::{CodeGroupCount, PoolStatistics, Result, Store};

use super::Promoflow;

/// The days within which codes count as expiring.
pub const EXPIRING_DAYS: u32 = 7;
/// Maximum age of a count: codes expire in the meantime.
const MAX_AGE: Duration = Duration::from_secs(300);
/// The pool is counted for at most one part in this many of the time.
const MIN_PAUSE_FACTOR: u32 = 50;

/// The forecast of a code group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupForecast {
    /// The numbers of its codes.
    pub count: CodeGroupCount,
    /// Codes claimed in the last 24 hours.
    pub claimed_last_day: u64,
    /// Codes claimed per day, at the current rate.
    pub claims_per_day: f64,
    /// Days until no code is left, at that rate; `None` if none was claimed.
    pub days_left: Option<f64>,
}

/// The cached last count.
#[derive(Default)]
pub(super) struct ForecastCache(Mutex<Option<CachedCount>>);

struct CachedCount {
    census: PoolStatistics,
    rates: ClaimRates,
    counted: Instant,
    took: Duration,
}

impl ForecastCache {
    /// Returns the forecast of each code group. Counts the pool again if it was changed or the last
    /// count is too old, but limits the share of time spent on it; claims since the last count are
    /// subtracted.
    pub(super) fn code_groups(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Vec<GroupForecast>> {
        // Held while counting: concurrent callers wait for the same result.
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match cached.as_mut() {
            Some(cached) => cached.refresh(store)?,
            None => false,
        };
        if !fresh {
            *cached = Some(CachedCount::count(store, now)?);
        }
        Ok(cached
            .as_ref()
            .map(CachedCount::code_groups)
            .unwrap_or_default())
    }
}

impl Promoflow {
    /// Returns the state and the forecast of each code group.
    pub fn forecast(&self) -> super::Result<Vec<GroupForecast>> {
        Ok(self.forecast.code_groups(&*self.store, self.now())?)
    }
}

impl CachedCount {
    fn count(store: &dyn Store, now: Timestamp) -> Result<CachedCount> {
        let counted = Instant::now();
        let needed = store.calendar()?.expiry_needed(now, EXPIRING_DAYS);
        let census = store.pool_statistics(now, needed.plus_millis(-1))?;
        let rates = ClaimRates::read(store, now)?;
        Ok(CachedCount {
            census,
            rates,
            counted,
            took: counted.elapsed(),
        })
    }

    /// Subtracts the claims since the count. Returns false if the pool must be counted again.
    fn refresh(&mut self, store: &dyn Store) -> Result<bool> {
        let age = self.counted.elapsed();
        let changed = store.pool_generation()? != self.census.generation;
        if (changed || age > MAX_AGE) && age > self.took * MIN_PAUSE_FACTOR {
            return Ok(false);
        }
        let claimed = store.claimed_after(&self.census.mark)?;
        self.census.mark = claimed.mark;
        for (code_group, claims) in claimed.code_groups {
            let known = self
                .census
                .code_groups
                .iter_mut()
                .find(|one| one.code_group == code_group);
            if let Some(count) = known {
                count.available = count.available.saturating_sub(claims);
                // The code that expires first is claimed first.
                count.expiring = count.expiring.saturating_sub(claims);
                count.used += claims;
            }
        }
        Ok(true)
    }

    fn code_groups(&self) -> Vec<GroupForecast> {
        let forecast = |count: &CodeGroupCount| GroupForecast {
            count: count.clone(),
            claimed_last_day: self.rates.claims_last_day(&count.code_group),
            claims_per_day: self.rates.claims_per_day(&count.code_group),
            days_left: self.rates.days_left(&count.code_group, count.available),
        };
        self.census.code_groups.iter().map(forecast).collect()
    }
}
