//! Uploads: rows of a file into the store, batch by batch.

mod batches;
pub mod codes;
pub mod contacts;

pub use batches::{ImportError, ImportReport};
pub use codes::{ImportOptions, ImportProgress};
pub use contacts::ContactOptions;
