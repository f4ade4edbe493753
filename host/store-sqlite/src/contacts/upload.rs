//! Uploads of contacts, with a transaction for each batch or one for all of them.

use super::upsert;
use crate::{Error, FairMutexGuard, Result, SCHEMA, SqliteStore, StoreResult, Writer};
use promoflow_model::clock::Timestamp;
use promoflow_model::contact::NewContact;
use promoflow_store::{ContactOutcome, ContactSession};

/// An upload of contacts into a SQLite file.
pub(super) struct Session<'s> {
    store: &'s SqliteStore,
    resubscribe: bool,
    at: Timestamp,
    /// The writer with its open transaction, if the upload is atomic.
    open: Option<FairMutexGuard<'s, Writer>>,
}

pub(super) fn begin(
    store: &SqliteStore,
    atomic: bool,
    resubscribe: bool,
    at: Timestamp,
) -> Result<Box<dyn ContactSession + '_>> {
    let mut session = Session {
        store,
        resubscribe,
        at,
        open: None,
    };
    if atomic {
        let writer = store.writer();
        writer.connection.execute_batch("BEGIN IMMEDIATE")?;
        // From here on, dropping the session rolls back.
        let writer = session.open.insert(writer);
        SCHEMA.check_version(&writer.connection)?;
    }
    Ok(Box::new(session))
}

impl ContactSession for Session<'_> {
    fn batch(&mut self, rows: &[NewContact]) -> StoreResult<Vec<ContactOutcome>> {
        let (resubscribe, at) = (self.resubscribe, self.at);
        let all = |connection: &rusqlite::Connection| {
            let one = |row| upsert::upsert(connection, None, row, resubscribe, at);
            rows.iter().map(one).collect()
        };
        Ok(match &self.open {
            Some(writer) => all(&writer.connection),
            None => self.store.write(|connection, _| all(connection)),
        }?)
    }

    fn finish(mut self: Box<Self>) -> StoreResult<()> {
        if let Some(writer) = &self.open {
            writer
                .connection
                .execute_batch("COMMIT")
                .map_err(Error::from)?;
            self.open = None;
        }
        Ok(())
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(writer) = &self.open
            && let Err(error) = writer.connection.execute_batch("ROLLBACK")
        {
            // SQLite has already rolled back; if not, the next BEGIN fails.
            tracing::debug!(%error, "rolling back an upload of contacts");
        }
    }
}
