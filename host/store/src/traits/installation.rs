//! The installation itself: its identity, its calendar, and the care of the database.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use promoflow_model::clock::Clock;
use promoflow_model::pool::Calendar;

use crate::{Changes, PromiseReport, Result};

/// The installation itself: its identity, its calendar, and the care of the database.
pub trait InstallationStore: Send + Sync {
    /// Fails with [`StoreError::Outdated`](crate::StoreError::Outdated) if another release migrated the database since it was
    /// opened.
    fn check_schema(&self) -> Result<()>;

    /// Returns the identifier of this installation.
    fn installation(&self) -> Result<String>;

    /// Returns the clock that all processes of the installation share: they must agree on whether a
    /// code has expired.
    fn clock(&self) -> Arc<dyn Clock>;

    /// Returns the calendar of the installation; UTC unless it was set.
    fn calendar(&self) -> Result<Calendar>;

    /// Sets the time zone of the installation.
    fn set_calendar(&self, calendar: Calendar) -> Result<()>;

    /// Makes this process the executor of the database, until the returned value is dropped; `None`
    /// if another process is. Only an executor runs segments, leases codes and delivers.
    fn try_join(&self) -> Result<Option<Box<dyn Member>>>;

    /// Returns a watch that notices what any process commits.
    fn watch(&self) -> Box<dyn ChangeWatch + '_>;

    /// Copies the database as it is at one moment into a new file, durably, without blocking
    /// writers. Fails if the file exists. An engine that other tools back up fails and names them.
    fn backup(&self, to: &Path) -> Result<()>;

    /// Re-derives the promises from the stored rows.
    fn audit(&self) -> Result<Vec<PromiseReport>>;
}

/// The membership of an executor. Dropping it, or the end of the process in any way, gives up what
/// the executor had leased.
pub trait Member: Send + std::fmt::Debug {}

/// Notices what any process commits.
pub trait ChangeWatch: Send {
    /// Waits for something to be committed, for at most `at_most`. Returns what may have changed
    /// since the last call, or everything in the first call; `None` if nothing has. How soon a
    /// commit is noticed depends on the engine, which sleeps only through `pause`: it sleeps for at
    /// most that time and returns true if the caller must not wait any longer.
    fn wait(
        &mut self,
        at_most: Duration,
        pause: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<Option<Changes>>;
}
