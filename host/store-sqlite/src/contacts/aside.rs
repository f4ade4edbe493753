//! The contact directory for test runs while contacts are disabled.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::{find, people, refusals};
use crate::{Result, SqliteStore, StoreResult, layouts, lock};
use promoflow_model::contact::{Contact, Name, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::Directory;

/// A directory in a temporary database, deleted when this is dropped.
pub(crate) struct Aside {
    connection: Mutex<Connection>,
}

impl Aside {
    fn new() -> Result<Aside> {
        // SQLite keeps a nameless database in memory and spills it to a temporary file if needed.
        let name = Path::new("");
        let mut connection = Connection::open(name)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
        layouts::complete(&mut connection, name)?;
        Ok(Aside {
            connection: Mutex::new(connection),
        })
    }
}

/// Returns the directory that enabling contacts would build from the events so far. A further call
/// adds only the events since the last one, because a file of events may be tested one by one.
pub(super) fn filled(store: &SqliteStore) -> Result<Arc<Aside>> {
    let mut kept = lock(&store.aside);
    let (aside, seen) = match kept.take() {
        Some(kept) => kept,
        None => (Arc::new(Aside::new()?), 0),
    };
    let seen = store.read(|events| {
        let into = lock(&aside.connection);
        let filling = into.unchecked_transaction()?;
        let mut seen = seen;
        while let Some(last) = people::fill_after(events, &filling, seen)? {
            seen = last;
        }
        filling.commit()?;
        Ok(seen)
    })?;
    *kept = Some((Arc::clone(&aside), seen));
    Ok(aside)
}

impl Directory for Aside {
    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        Ok(people::about(&lock(&self.connection), key, stated)?)
    }

    fn is_refused(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        Ok(refusals::refuses(
            &lock(&self.connection),
            channel,
            address,
        )?)
    }

    fn contact(&self, name: Name) -> StoreResult<Option<Contact>> {
        Ok(find(&lock(&self.connection), name)?)
    }
}
