//! The watch for changes: one small query, a few times a second.

use std::time::{Duration, Instant};

use promoflow_store::{ChangeWatch, ChangedGroups, Changes};

use crate::connection::Connection;
use crate::errors::{Error, Result, StoreResult, damaged};
use crate::pool::Pool;
use crate::settings::parse_number;

/// Interval of checks for a commit.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// The longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A watch, with what it saw last.
pub(crate) struct Watch<'s> {
    pool: &'s Pool,
    connection: Option<Connection>,
    seen: Option<Seen>,
}

/// What shows changes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// The number of transactions of all seats.
    commits: i64,
    config: i64,
    pool: i64,
}

impl Watch<'_> {
    pub(crate) fn new(pool: &Pool) -> Watch<'_> {
        Watch {
            pool,
            connection: None,
            seen: None,
        }
    }

    fn look(&mut self) -> Result<Seen> {
        if let Some(connection) = self.connection.take()
            && !connection.is_closed()
        {
            match self.look_on(connection) {
                // The server may have been restarted since.
                Err(Error::Lost(_)) => {}
                seen => return seen,
            }
        }
        self.look_on(self.pool.connect(Some(ANSWER_TIMEOUT))?)
    }

    fn look_on(&mut self, connection: Connection) -> Result<Seen> {
        let answer = connection.query(
            "SELECT (SELECT sum(batch)::bigint FROM seat),
                    (SELECT value FROM setting WHERE name = 'config-version'),
                    (SELECT value FROM setting WHERE name = 'pool-generation')",
            &[],
        )?;
        self.connection = Some(connection);
        let row = answer.rows.first();
        let row = row.ok_or_else(|| damaged("the settings", "the rows are missing"))?;
        let number = |column, name| {
            let text: Option<String> = row.get(column)?;
            let missing = || damaged(format!("the setting `{name}`"), "the row is missing");
            parse_number(name, &text.ok_or_else(missing)?)
        };
        Ok(Seen {
            commits: row.get::<Option<i64>>(0)?.unwrap_or(0),
            config: number(1, "config-version")?,
            pool: number(2, "pool-generation")?,
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
            let current = self.look()?;
            if self.seen != Some(current) {
                return Ok(Some(match self.seen.replace(current) {
                    None => Changes::ALL,
                    Some(seen) => Changes {
                        config: seen.config != current.config,
                        pool: match seen.pool == current.pool {
                            true => ChangedGroups::NONE,
                            false => ChangedGroups::All,
                        },
                    },
                }));
            }
            if ends {
                return Ok(None);
            }
        }
    }
}
