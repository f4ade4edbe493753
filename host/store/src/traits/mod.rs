//! The traits of a store, one for each aggregate.

mod alert;
mod commit;
mod configuration;
mod contact;
mod delivery;
mod idempotency;
mod installation;
mod key;
mod lease;
mod pool;
mod run;
mod statistics;
mod upload;

pub use alert::AlertStore;
pub use commit::CommitStore;
pub use configuration::ConfigurationStore;
pub use contact::{ContactOutcome, ContactSession, ContactStore, Directory};
pub use delivery::{DeliveryStore, PermanentTenure, Tenure};
pub use idempotency::IdempotencyStore;
pub use installation::{ChangeWatch, InstallationStore, Member};
pub use key::KeyStore;
pub use lease::LeaseStore;
pub use pool::PoolStore;
pub use run::RunStore;
pub use statistics::StatisticsStore;
pub use upload::{UploadSession, UploadStore};

/// All state of an installation. All threads of a process share one store. What a store begins, an
/// upload for example, belongs to it until it is dropped or its process ends.
///
/// Texts are compared and ordered by their bytes in UTF-8. None contains the character U+0000,
/// which callers reject, except as an escape in JSON.
///
/// Everything that implements the traits of the aggregates is a store.
pub trait Store:
    AlertStore
    + CommitStore
    + ConfigurationStore
    + ContactStore
    + DeliveryStore
    + IdempotencyStore
    + InstallationStore
    + KeyStore
    + LeaseStore
    + PoolStore
    + RunStore
    + StatisticsStore
    + UploadStore
{
}

impl<S> Store for S where
    S: AlertStore
        + CommitStore
        + ConfigurationStore
        + ContactStore
        + DeliveryStore
        + IdempotencyStore
        + InstallationStore
        + KeyStore
        + LeaseStore
        + PoolStore
        + RunStore
        + StatisticsStore
        + UploadStore
{
}
