//! The contact directory as steps see it: the installation's own, or in a test run an in-memory
//! overlay if the directory is not enabled yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::effect_buffer::HostContext;
use promoflow_store::{Directory, Store, StoreError};

/// The in-memory contact directory that a test run fills instead of enabling the stored one.
#[derive(Default)]
pub(super) struct ContactOverlay {
    directory: OnceLock<Arc<dyn Directory>>,
    enabled: AtomicBool,
}

impl ContactOverlay {
    fn enable(&self, store: &dyn Store) -> Result<(), StoreError> {
        if self.directory.get().is_none() {
            let filled = store.contact_overlay()?;
            self.directory.get_or_init(|| filled);
        }
        self.enabled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns true if a step has enabled the overlay since the last call.
    pub(super) fn take_enabled(&self) -> bool {
        self.enabled.swap(false, Ordering::Relaxed)
    }
}

impl HostContext {
    /// Enables the contact directory.
    pub(super) fn enable_contacts(&mut self) -> Result<(), StoreError> {
        match &self.contact_overlay {
            Some(contact_overlay) => contact_overlay.enable(&*self.store)?,
            None => self.store.enable_contacts()?,
        }
        self.contacts = true;
        Ok(())
    }

    /// Returns the contact directory: the overlay if a test run enabled one, else the store.
    pub(super) fn directory(&self) -> &dyn Directory {
        let contact_overlay = self.contact_overlay.as_ref().filter(|_| self.contacts);
        match contact_overlay.and_then(|contact_overlay| contact_overlay.directory.get()) {
            Some(directory) => &**directory,
            None => &*self.store,
        }
    }
}
