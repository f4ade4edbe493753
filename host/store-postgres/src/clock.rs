//! The database's clock, which all hosts share.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use promoflow_model::clock::{Clock, Timestamp};

use crate::connection::Connection;
use crate::errors::Result;

/// The time of the database server, without asking it each time: read at times, and carried forward
/// by this machine's monotonic clock. It never goes back.
pub(crate) struct DatabaseClock {
    /// The server's time at a moment of this machine.
    read: Mutex<(i64, Instant)>,
    latest: AtomicI64,
}

impl DatabaseClock {
    /// Creates a clock, to be updated before it is read.
    pub(crate) fn new() -> DatabaseClock {
        DatabaseClock {
            read: Mutex::new((0, Instant::now())),
            latest: AtomicI64::new(i64::MIN),
        }
    }

    /// Reads the server's time.
    pub(crate) fn update(&self, connection: &Connection) -> Result<()> {
        let asked = Instant::now();
        let answer = connection.query(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            &[],
        )?;
        // The server read its clock between the question and the answer.
        let middle = asked + asked.elapsed() / 2;
        if let Some(row) = answer.rows.first() {
            *self.read.lock() = (row.get(0)?, middle);
        }
        Ok(())
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let (then, at) = *self.read.lock();
        let since = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = then.saturating_add(since);
        Timestamp(self.latest.fetch_max(now, Ordering::SeqCst).max(now))
    }
}
