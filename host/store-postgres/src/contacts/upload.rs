//! Uploads of contacts, with a transaction for each batch or one for all of them.

use promoflow_model::clock::Timestamp;
use promoflow_model::contact::NewContact;
use promoflow_store::{ContactOutcome, ContactSession};

use super::upsert::{StatedRow, upsert_all};
use crate::PostgresStore;
use crate::errors::{Result, StoreResult};
use crate::pool::OpenTransaction;

/// An upload of contacts. Dropping it undoes an open transaction.
struct Session<'s> {
    store: &'s PostgresStore,
    resubscribe: bool,
    at: Timestamp,
    /// The open transaction, if the upload is atomic.
    open: Option<OpenTransaction>,
}

pub(super) fn begin(
    store: &PostgresStore,
    atomic: bool,
    resubscribe: bool,
    at: Timestamp,
) -> Result<Box<dyn ContactSession + '_>> {
    let open = match atomic {
        true => Some(OpenTransaction::begin(&store.pool)?),
        false => None,
    };
    Ok(Box::new(Session {
        store,
        resubscribe,
        at,
        open,
    }))
}

impl ContactSession for Session<'_> {
    fn batch(&mut self, rows: &[NewContact]) -> StoreResult<Vec<ContactOutcome>> {
        let (resubscribe, at) = (self.resubscribe, self.at);
        let row = |new| StatedRow { key: None, new, at };
        let rows: Vec<StatedRow<'_>> = rows.iter().map(row).collect();
        Ok(match &mut self.open {
            Some(open) => open.run(|transaction| upsert_all(transaction, &rows, resubscribe)),
            None => self
                .store
                .write(|transaction| upsert_all(transaction, &rows, resubscribe)),
        }?)
    }

    fn finish(mut self: Box<Self>) -> StoreResult<()> {
        match self.open.take() {
            Some(open) => Ok(open.commit()?),
            None => Ok(()),
        }
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}
