//! The contact directory of a test run if the installation's own is not enabled yet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use promoflow_store::{Directory, Store, StoreError};

/// The in-memory contact directory that a test run fills instead of enabling the stored one.
#[derive(Default)]
pub(super) struct ContactOverlay {
    directory: OnceLock<Arc<dyn Directory>>,
    enabled: AtomicBool,
}

impl ContactOverlay {
    /// Fills the directory from the stored events, on the first call.
    pub(super) fn enable(&self, store: &dyn Store) -> Result<(), StoreError> {
        if self.directory.get().is_none() {
            let filled = store.contact_overlay()?;
            self.directory.get_or_init(|| filled);
        }
        self.enabled.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the directory if a step has enabled it.
    pub(super) fn directory(&self) -> Option<&dyn Directory> {
        self.directory.get().map(|directory| &**directory)
    }

    /// Returns true if a step has enabled the overlay since the last call.
    pub(super) fn take_enabled(&self) -> bool {
        self.enabled.swap(false, Ordering::Relaxed)
    }
}
