//! The directory of contacts as steps reach it: that of the installation, or in a test run one that
//! wakes in its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::step::Reach;
use promoflow_store::{Directory, Store, StoreError};

/// What wakes in a test run in the place of a directory that sleeps.
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

    /// Whether a step has woken it since that was asked last.
    pub(super) fn was_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Relaxed)
    }
}

impl Reach {
    /// Wakes the directory of contacts.
    pub(super) fn wake(&mut self) -> Result<(), StoreError> {
        match &self.aside {
            Some(aside) => aside.wake(&*self.store)?,
            None => self.store.wake_contacts()?,
        }
        self.contacts = true;
        Ok(())
    }

    /// The directory of contacts.
    pub(super) fn directory(&self) -> &dyn Directory {
        let aside = self.aside.as_ref().filter(|_| self.contacts);
        match aside.and_then(|aside| aside.directory.get()) {
            Some(directory) => &**directory,
            None => &*self.store,
        }
    }
}
