//! The contact directory for test runs while contacts are disabled.

use std::sync::Arc;

use parking_lot::Mutex;

use promoflow_model::contact::{Contact, ContactKey, NewContact};
use promoflow_model::message::ChannelKind;
use promoflow_store::Directory;

use super::event_scan::EventScan;
use super::{event_contacts, find, suppressions};
use crate::PostgresStore;
use crate::connection::Connection;
use crate::errors::{Result, StoreResult};
use crate::pool::Pool;
use crate::transaction::Transaction;

/// A session has its temporary tables in front of the others, so the statements of this module find
/// them there. The session's transactions only read, which admits writing to temporary tables.
const CREATE: &str = "
    CREATE TEMPORARY TABLE contact (LIKE contact INCLUDING ALL);
    CREATE TEMPORARY TABLE contact_address (LIKE contact_address INCLUDING ALL);
    CREATE TEMPORARY TABLE former_address (LIKE former_address INCLUDING ALL);
    CREATE TEMPORARY TABLE consent (LIKE consent INCLUDING ALL);
    CREATE TEMPORARY TABLE suppression (LIKE suppression INCLUDING ALL)";

/// A directory in temporary tables, deleted when this is dropped.
pub(crate) struct ContactOverlay {
    session: Mutex<Session>,
    // After the session, which needs it while it is dropped.
    _pool: Arc<Pool>,
}

struct Session {
    connection: Connection,
    /// The events from which the directory was filled.
    scan: EventScan,
}

impl ContactOverlay {
    fn new(pool: &Arc<Pool>) -> Result<ContactOverlay> {
        let connection = pool.connect(None)?;
        connection.run_script(CREATE)?;
        Ok(ContactOverlay {
            session: Mutex::new(Session {
                connection,
                scan: EventScan::default(),
            }),
            _pool: Arc::clone(pool),
        })
    }

    /// Adds the events that are not yet in it.
    fn fill(&self) -> Result<()> {
        let mut session = self.session.lock();
        loop {
            let mut scan = session.scan.clone();
            let is_end = session.transact(|transaction| {
                let page = scan.next(transaction)?;
                event_contacts::add_events(transaction, &page)?;
                Ok(page.is_end)
            })?;
            session.scan = scan;
            if is_end {
                return Ok(());
            }
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> StoreResult<T> {
        Ok(self.session.lock().transact(work)?)
    }
}

impl Session {
    fn transact<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let transaction = Transaction::reading(&self.connection);
        match work(&transaction) {
            Ok(value) => transaction.commit().map(|()| value),
            Err(error) => {
                transaction.roll_back()?;
                Err(error)
            }
        }
    }
}

/// Returns the directory that enabling contacts would build from the events so far. A further call
/// adds only the events since the last one, because a file of events may be tested one by one.
pub(super) fn load_overlay(store: &PostgresStore) -> Result<Arc<ContactOverlay>> {
    let mut kept = store.contact_overlay.lock();
    let usable = kept
        .take()
        .filter(|one| !one.session.lock().connection.is_closed());
    let overlay = match usable {
        Some(overlay) => overlay,
        None => Arc::new(ContactOverlay::new(&store.pool)?),
    };
    overlay.fill()?;
    *kept = Some(Arc::clone(&overlay));
    Ok(overlay)
}

impl Directory for ContactOverlay {
    fn contact_of(&self, key: &str, stated: &NewContact) -> StoreResult<Option<Contact>> {
        self.read(|transaction| event_contacts::contact_of_event(transaction, key, stated))
    }

    fn is_suppressed(&self, channel: ChannelKind, address: &str) -> StoreResult<bool> {
        self.read(|transaction| suppressions::is_address_suppressed(transaction, channel, address))
    }

    fn contact(&self, name: ContactKey) -> StoreResult<Option<Contact>> {
        let names = name.candidates();
        self.read(|transaction| find(transaction, &names))
    }
}
