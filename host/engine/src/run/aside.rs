//! The contact directory as steps see it: the installation's own, or in a test run an in-memory
//! overlay if the directory is not enabled yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::step::Reach;
use promoflow_store::{Directory, Store, StoreError};

/// The in-memory contact directory that a test run fills instead of enabling the stored one.
#[derive(Default)]
pub(super) struct Aside {
    directory: OnceLock<Arc<dyn Directory>>,
    woken: AtomicBool,
}

impl Aside {
    fn wake(&self, store: &dyn Store) -> Result<(), StoreError> {
        if self.directory.get().is_none() {
            let filled = store.contacts_aside()?;
            self.directory.get_or_init(|| filled);
        }
        self.woken.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true if a step has enabled the overlay since the last call.
    pub(super) fn was_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }
}

impl Reach {
    /// Enables the contact directory.
    pub(super) fn wake(&mut self) -> Result<(), StoreError> {
        match &self.aside {
            Some(aside) => aside.wake(&*self.store)?,
            None => self.store.wake_contacts()?,
        }
        self.contacts = true;
        Ok(())
    }

    /// Returns the contact directory: the overlay if a test run enabled one, else the store.
    pub(super) fn directory(&self) -> &dyn Directory {
        let aside = self.aside.as_ref().filter(|_| self.contacts);
        match aside.and_then(|aside| aside.directory.get()) {
            Some(directory) => &**directory,
            None => &*self.store,
        }
    }
}
