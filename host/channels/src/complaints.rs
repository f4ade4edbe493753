//! What an operator is told of a channel that refuses this installation.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the same complaint is not repeated.
const QUIET: Duration = Duration::from_secs(60);

/// Complaints that were told a moment ago: thousands of letters may meet the same fault, and it is
/// told once a minute.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, Instant>>);

impl Complaints {
    /// Writes a complaint into the log, unless it stands there already.
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
    fn the_same_is_told_once_a_minute() {
        let complaints = Complaints::default();
        let now = Instant::now();
        assert!(complaints.is_news("login", now));
        assert!(!complaints.is_news("login", now + QUIET / 2));
        assert!(complaints.is_news("sender", now + QUIET / 2));
        assert!(complaints.is_news("login", now + QUIET));
        assert!(!complaints.is_news("sender", now + QUIET));
    }
}
