//! The contact directory for test runs while contacts are disabled.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::{event_contacts, find, suppressions};
use crate::{Result, SCHEMA, SqliteStore, StoreResult, lock};
use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::Directory;

/// A directory in a temporary database, deleted when this is dropped.
pub(crate) struct ContactOverlay {
    connection: Mutex<Connection>,
}

impl ContactOverlay {
    fn new() -> Result<ContactOverlay> {
        // SQLite keeps a nameless database in memory and spills it to a temporary file if needed.
        let name = Path::new("");
        let mut connection = Connection::open(name)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")?;
        SCHEMA.migrate(&mut connection, name)?;
        Ok(ContactOverlay {
            connection: Mutex::new(connection),
        })
    }
}

/// Returns the directory that enabling contacts would build from the events so far. A further call
/// adds only the events since the last one, because a file of events may be tested one by one.
pub(super) fn load_overlay(store: &SqliteStore) -> Result<Arc<ContactOverlay>> {
    let mut kept = lock(&store.contact_overlay);
    let (contact_overlay, seen) = match kept.take() {
        Some(kept) => kept,
        None => (Arc::new(ContactOverlay::new()?), 0),
    };
    let seen = store.read(|events| {
        let into = lock(&contact_overlay.connection);
        let filling = into.unchecked_transaction()?;
        let mut seen = seen;
        while let Some(last) = event_contacts::add_from_events_after(events, &filling, seen)? {
            seen = last;
        }
        filling.commit()?;
        Ok(seen)
    })?;
    *kept = Some((Arc::clone(&contact_overlay), seen));
    Ok(contact_overlay)
}

impl Directory for ContactOverlay {
    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        Ok(event_contacts::contact_of_event(
            &lock(&self.connection),
            key,
            stated,
        )?)
    }

    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        Ok(suppressions::is_address_suppressed(
            &lock(&self.connection),
            channel,
            address,
        )?)
    }

    fn contact(&self, name: ContactKey) -> StoreResult<Option<Contact>> {
        Ok(find(&lock(&self.connection), name)?)
    }
}
