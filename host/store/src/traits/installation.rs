//! The installation itself: its identity, its calendar, and the care of the database.

use std::path::Path;

use promoflow_model::pool::Calendar;

use crate::{PromiseReport, Result};

/// The installation itself: its identity, its calendar, and the care of the database.
pub trait InstallationStore: Send + Sync {
    /// Fails with [`StoreError::Outdated`](crate::StoreError::Outdated) if another release migrated the database since it was
    /// opened.
    fn check_schema(&self) -> Result<()>;

    /// Returns the identifier of this installation.
    fn installation(&self) -> Result<String>;

    /// Returns the calendar of the installation; UTC unless it was set.
    fn calendar(&self) -> Result<Calendar>;

    /// Sets the time zone of the installation.
    fn set_calendar(&self, calendar: Calendar) -> Result<()>;

    /// Makes this process the executor of the database, until the returned value is dropped; `None`
    /// if another process is. Only an executor runs segments, leases codes and delivers.
    fn try_join(&self) -> Result<Option<Box<dyn Member>>>;

    /// Returns a number that changes when another process or connection has committed.
    fn data_version(&self) -> Result<u64>;

    /// Copies the database as it is at one moment into a new file, durably, without blocking
    /// writers. Fails if the file exists.
    fn backup(&self, to: &Path) -> Result<()>;

    /// Re-derives the promises from the stored rows.
    fn audit(&self) -> Result<Vec<PromiseReport>>;
}

/// The membership of an executor. Dropping it, or the end of the process in any way, gives up what
/// the executor had leased.
pub trait Member: Send + std::fmt::Debug {}
