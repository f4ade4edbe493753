//! A log of configuration errors that a provider reports, with a rate limit per error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time before the same error is logged again.
const QUIET_PERIOD: Duration = Duration::from_secs(60);

/// Recently logged errors. Thousands of deliveries may meet the same error, which is logged once a
/// minute.
#[derive(Debug, Default)]
pub(super) struct LogThrottle(Mutex<HashMap<String, Instant>>);

impl LogThrottle {
    /// Logs an error, unless it was logged recently.
    pub(super) fn log(&self, complaint: String) {
        if self.should_log(&complaint, Instant::now()) {
            tracing::error!("{complaint}");
        }
    }

    fn should_log(&self, complaint: &str, now: Instant) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, at| now.saturating_duration_since(*at) < QUIET_PERIOD);
        let is_new = !logged.contains_key(complaint);
        if is_new {
            logged.insert(complaint.to_owned(), now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_the_same_error_once_a_minute() {
        let log_throttle = LogThrottle::default();
        let now = Instant::now();
        assert!(log_throttle.should_log("login", now));
        assert!(!log_throttle.should_log("login", now + QUIET_PERIOD / 2));
        assert!(log_throttle.should_log("sender", now + QUIET_PERIOD / 2));
        assert!(log_throttle.should_log("login", now + QUIET_PERIOD));
        assert!(!log_throttle.should_log("sender", now + QUIET_PERIOD));
    }
}
