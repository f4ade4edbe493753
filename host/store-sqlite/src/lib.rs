//! The store in one SQLite file.
//!
//! One connection writes, behind a lock; a few read. Every commit is durable before it is
//! answered: write-ahead log with `synchronous=FULL`, because a commit that a power loss takes
//! back is a code issued twice. The statements stand one module a concern, below.

mod after;
mod alerts;
mod alternatives;
mod answers;
mod attempts;
mod audit;
mod backup;
mod carriers;
mod catalog;
mod census;
mod codes;
mod commit;
mod connection;
mod contacts;
mod deliveries;
mod due;
mod due_runs;
mod event_params;
mod faults;
mod history;
mod keys;
mod lanes;
mod layouts;
mod notices;
mod one_by_one;
mod orders;
mod pauses;
mod rehearsal;
mod release;
mod restore;
mod reuse;
mod settings;
mod spellings;
mod starts;
mod store;
#[cfg(test)]
mod tests;
mod traces;
mod troubles;
mod upload;
mod uploads;
mod waiters;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::{FairMutex, FairMutexGuard};
use rusqlite::{Connection, TransactionBehavior};

use promoflow_model::alert::Alert;
use promoflow_model::clock::{Clock, Timestamp};
use promoflow_model::event::Event;
use promoflow_model::failpoint::{self, Failpoint};
use promoflow_model::key::Key;
use promoflow_model::message::{ChannelKind, Message};
use promoflow_model::pool::{Calendar, Filter, Lane};
use promoflow_model::trace_context::TraceParent;
use promoflow_model::workflow::Workflow;
use promoflow_store::*;

use connection::{connect, make};
use faults::{Error, Result, StoreResult, damaged, readable, unreadable};
use one_by_one::one_by_one;
use settings::{calendar, number_setting, raise_setting, set_setting, setting};

pub use lanes::LaneIds;
pub use restore::{Restored, restore};

/// Idle readers that are kept open.
const KEPT_READERS: usize = 4;

/// A store in a SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    /// Fair: who waits gets it in turn, and no upload keeps an event waiting batch after batch.
    writer: FairMutex<Writer>,
    /// The turn of what writes much: only one of them waits for the writer at a time.
    bulk: Mutex<()>,
    /// Uploads that are on their way.
    uploading: AtomicUsize,
    readers: Mutex<Vec<Connection>>,
    /// Changes of the pool by this process.
    pool_changes: AtomicU64,
    /// Watches the file for commits of others; used for nothing else.
    watcher: Mutex<Connection>,
    /// What the directory of contacts would be, with the last event that it was filled from: once a
    /// test run has asked for contacts while it sleeps.
    aside: Mutex<Option<(Arc<contacts::Aside>, i64)>>,
}

/// The connection that writes, with what it remembers of the file.
struct Writer {
    connection: Connection,
    lanes: LaneIds,
}

impl SqliteStore {
    /// Opens the database, making it where there is none.
    pub fn open(path: &Path) -> StoreResult<SqliteStore> {
        Ok(Self::open_with(path, true)?)
    }

    /// Opens a database that must exist.
    pub fn open_existing(path: &Path) -> StoreResult<SqliteStore> {
        Ok(Self::open_with(path, false)?)
    }

    fn open_with(path: &Path, create: bool) -> Result<SqliteStore> {
        if !create && !path.exists() {
            return Err(StoreError::Open(format!(
                "there is no database at {}; `promoflow codes import` and `promoflow workflow \
                 apply` make one, --db PATH names another",
                path.display()
            ))
            .into());
        }
        if create {
            make(path);
        }
        let mut connection = connect(path)?;
        // One name, by whatever link it was opened: others beside it are made from it.
        let file = path.canonicalize().map_err(|error| {
            StoreError::Open(format!("cannot find {} again: {error}", path.display()))
        })?;
        layouts::prepare(&mut connection, path, &lock_path(&file))?;
        let watcher = connect(path)?;
        Ok(SqliteStore {
            path: file,
            writer: FairMutex::new(Writer {
                connection,
                lanes: LaneIds::default(),
            }),
            bulk: Mutex::new(()),
            uploading: AtomicUsize::new(0),
            readers: Mutex::new(Vec::new()),
            pool_changes: AtomicU64::new(0),
            watcher: Mutex::new(watcher),
            aside: Mutex::new(None),
        })
    }

    /// A connection with the settings that the store writes with, for measurements beside it.
    pub fn connect(path: &Path) -> StoreResult<Connection> {
        Ok(connect(path)?)
    }

    /// The file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writer(&self) -> FairMutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Runs one write transaction. `IMMEDIATE`: a transaction that begins by reading and then
    /// writes would not wait for others, but fail.
    fn write<T>(&self, work: impl FnOnce(&Connection, &mut LaneIds) -> Result<T>) -> Result<T> {
        let mut writer = self.writer();
        let Writer { connection, lanes } = &mut *writer;
        let written: std::thread::Result<Result<T>> = catch_unwind(AssertUnwindSafe(|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            layouts::must_be_present(&transaction)?;
            let value = work(&transaction, lanes)?;
            transaction.commit()?;
            Ok(value)
        }));
        // The transaction was rolled back on the way.
        let done =
            written.unwrap_or_else(|_| Err(StoreError::Engine("a write panicked".into()).into()));
        if done.is_err() {
            // Lanes that the transaction had added are gone with it.
            lanes.forget();
        }
        done
    }

    /// A write that may have changed the pool: leases are looked at anew once it stands.
    fn write_pool<T>(
        &self,
        work: impl FnOnce(&Connection, &mut LaneIds) -> Result<T>,
    ) -> Result<T> {
        let written = self.write(|connection, lanes| {
            let done = work(connection, lanes)?;
            failpoint::pass(Failpoint::InsideOrder);
            Ok(done)
        });
        if written.is_ok() {
            failpoint::pass(Failpoint::AfterOrder);
        }
        self.pool_changed();
        written
    }

    fn pool_changed(&self) {
        self.pool_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Writes what the database holds now into a new file of that name.
    fn snapshot(&self, name: &str) -> Result<()> {
        // Not within a transaction, which SQLite refuses here.
        connect(&self.path)?.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    }

    /// Reads on a connection of its own, in one transaction, so that what is read fits together.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut connection = match lock(&self.readers).pop() {
            Some(connection) => connection,
            None => connect(&self.path)?,
        };
        let value = {
            let transaction = connection.transaction()?;
            work(&transaction)?
        };
        let mut readers = lock(&self.readers);
        if readers.len() < KEPT_READERS {
            readers.push(connection);
        }
        Ok(value)
    }
}

/// A lock that a panic of another thread left behind is still good: transactions roll back when
/// they are dropped, so no half-done work is seen.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
