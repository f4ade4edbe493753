//! The watch for changes: SQLite is polled, which costs microseconds.

use std::time::{Duration, Instant};

use super::{Error, Result, SqliteStore, StoreResult, lock, number_setting};
use promoflow_store::{ChangeWatch, ChangedGroups, Changes};

/// Interval of checks for a commit.
const POLL_INTERVAL: Duration = Duration::from_millis(4);

/// A watch, with what it saw last.
pub(super) struct Watch<'s> {
    store: &'s SqliteStore,
    version: Option<i64>,
    settings: Option<Settings>,
}

/// The settings that show changes.
#[derive(Clone, Copy)]
struct Settings {
    config: i64,
    pool: i64,
}

impl Watch<'_> {
    pub(super) fn new(store: &SqliteStore) -> Watch<'_> {
        Watch {
            store,
            version: None,
            settings: None,
        }
    }

    /// Compares the settings with those of the last call.
    fn changes(&mut self) -> Result<Changes> {
        let current = self.store.read(|connection| {
            Ok(Settings {
                config: number_setting(connection, "config-version")?,
                pool: number_setting(connection, "pool-generation")?,
            })
        })?;
        Ok(match self.settings.replace(current) {
            None => Changes::ALL,
            Some(seen) => Changes {
                config: seen.config != current.config,
                pool: match seen.pool == current.pool {
                    true => ChangedGroups::NONE,
                    false => ChangedGroups::All,
                },
            },
        })
    }
}

impl ChangeWatch for Watch<'_> {
    fn wait(
        &mut self,
        at_most: Duration,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> StoreResult<Option<Changes>> {
        let began = Instant::now();
        loop {
            let left = at_most.saturating_sub(began.elapsed());
            let ends = pause(left.min(POLL_INTERVAL)) || left <= POLL_INTERVAL;
            // Read before the settings, so that no commit in between is missed.
            let version = Some(data_version(self.store)?);
            if self.version != version {
                let changes = self.changes()?;
                self.version = version;
                return Ok(Some(changes));
            }
            if ends {
                return Ok(None);
            }
        }
    }
}

/// Returns a number that changes when another connection, of this process or another one, has
/// committed.
fn data_version(store: &SqliteStore) -> Result<i64> {
    let watcher = lock(&store.watcher);
    let mut statement = watcher.prepare_cached("PRAGMA data_version")?;
    statement
        .query_row([], |row| row.get(0))
        .map_err(Error::from)
}
