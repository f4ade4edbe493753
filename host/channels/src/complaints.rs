//! A log of configuration errors that a provider reports, with a rate limit per error.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time before the same error is logged again.
const QUIET: Duration = Duration::from_secs(60);

/// Recently logged errors. Thousands of deliveries may meet the same error, which is logged once a
/// minute.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Logs an error, unless it was logged recently.
    pub(super) fn tell(&self, complaint: String) {
        if self.is_news(&complaint, Instant::now()) {
            tracing::error!("{complaint}");
        }
    }

    fn is_news(&self, complaint: &str, now: Instant) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        let news = !told.contains_key(complaint);
        if news {
            told.insert(complaint.to_owned(), now);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_the_same_error_once_a_minute() {
        let complaints = Complaints::default();
        let now = Instant::now();
        assert!(complaints.is_news("login", now));
        assert!(!complaints.is_news("login", now + QUIET / 2));
        assert!(complaints.is_news("sender", now + QUIET / 2));
        assert!(complaints.is_news("login", now + QUIET));
        assert!(!complaints.is_news("sender", now + QUIET));
    }
}
