//! The store in one SQLite file.
//!
//! One connection writes, behind a lock; a few read. Every commit is durable before it returns
//! (write-ahead log with `synchronous=FULL`), because a commit lost in a power failure means a code
//! issued twice.
//!
//! | module | contents |
//! | --- | --- |
//! | `connection`, `migrations`, `settings`, `errors` | connections, the schema, settings, errors |
//! | `executor_lock`, `owner_lock`, `changes` | what processes know of each other |
//! | `commit`, `release` | the commit of a batch, and what cancelling releases |
//! | `codes`, `code_groups`, `code_usage`, `spellings` | the pool |
//! | `upload`, `upload_history`, `dry_run` | uploads |
//! | `runs`, `due_runs`, `waiting_runs`, `retry_states`, `start_rules`, `reuse` | runs |
//! | `deliveries`, `due_deliveries`, `attempts`, `alternatives`, `throttles` | the outbox |
//! | `catalog`, `contacts`, `keys` | what authors write, contacts, API keys |
//! | `alerts`, `notifications`, `statistics` | alerts and counts |
//! | `actions`, `event_params`, `idempotency`, `traces` | operators' actions, and records about requests |
//! | `audit`, `backup`, `restore` | the promises re-derived; copies of the database |
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use promoflow_store_sqlite::SqliteStore;
//!
//! let store = SqliteStore::open(&folder.path().join("shop.db"))?;
//! assert!(store.path().ends_with("shop.db"));
//! # Ok(())
//! # }
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod actions;
mod alerts;
mod alternatives;
mod attempts;
mod audit;
mod backup;
mod catalog;
mod changes;
mod code_groups;
mod code_usage;
mod codes;
mod commit;
mod connection;
mod contacts;
mod deliveries;
mod dry_run;
mod due_deliveries;
mod due_runs;
mod errors;
mod event_params;
mod executor_lock;
mod idempotency;
mod keys;
mod migrations;
mod notifications;
mod owner_lock;
mod release;
mod restore;
mod retry_states;
mod reuse;
mod runs;
mod settings;
mod spellings;
mod start_rules;
mod statistics;
#[cfg(test)]
mod tests;
mod throttles;
mod traces;
pub mod transfer;
mod upload;
mod upload_history;
mod waiting_runs;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::{FairMutex, FairMutexGuard};
use rusqlite::{Connection, TransactionBehavior};

use promoflow_model::failpoint::{self, Failpoint};
use promoflow_store::StoreError;

use connection::{connect, create_file};
use errors::{Error, Result, StoreResult, damaged, read_name, skip_damaged, unreadable};
use executor_lock::{ExecutorLock, lock_path};
use migrations::SCHEMA;
use owner_lock::OwnerLock;
use settings::{calendar, number_setting, raise_setting, set_setting};

pub use code_groups::CodeGroupIds;
pub use restore::{Restored, restore};

/// Maximum number of idle read connections to keep open.
const MAX_IDLE_READERS: usize = 4;

/// A store in a SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    /// Fair, so that waiting threads get the lock in turn and uploads cannot starve events.
    writer: FairMutex<Writer>,
    /// Serialises bulk writes, so that only one of them waits for the writer at a time.
    bulk: Mutex<()>,
    /// The number of uploads in progress.
    active_uploads: AtomicUsize,
    readers: Mutex<Vec<Connection>>,
    /// The number of pool changes by this process.
    pool_changes: AtomicU64,
    /// Detects commits by other connections; used for nothing else.
    watcher: Mutex<Connection>,
    /// The contact directory for test runs while contacts are disabled, with the last event that it
    /// includes. Built when a test run first needs it.
    contact_overlay: Mutex<Option<(Arc<contacts::ContactOverlay>, i64)>>,
    /// The owner of what this store has begun. Created with the first of these things.
    owner: Mutex<Option<OwnerLock>>,
}

/// The writing connection, with its cache of code group ids.
struct Writer {
    connection: Connection,
    code_groups: CodeGroupIds,
}

impl SqliteStore {
    /// Opens the database, creating it if it does not exist.
    pub fn open(path: &Path) -> StoreResult<SqliteStore> {
        Ok(Self::open_with(path, true)?)
    }

    /// Opens an existing database.
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
            create_file(path);
        }
        let mut connection = connect(path)?;
        // A canonical name: the names of other files, such as the lock file, are derived from it.
        let file = path.canonicalize().map_err(|error| {
            StoreError::Open(format!("cannot find {} again: {error}", path.display()))
        })?;
        SCHEMA.prepare(&mut connection, path, &lock_path(&file))?;
        let watcher = connect(path)?;
        Ok(SqliteStore {
            path: file,
            writer: FairMutex::new(Writer {
                connection,
                code_groups: CodeGroupIds::default(),
            }),
            bulk: Mutex::new(()),
            active_uploads: AtomicUsize::new(0),
            readers: Mutex::new(Vec::new()),
            pool_changes: AtomicU64::new(0),
            watcher: Mutex::new(watcher),
            contact_overlay: Mutex::new(None),
            owner: Mutex::new(None),
        })
    }

    /// Opens a connection with the store's settings, for measurements next to it.
    pub fn connect(path: &Path) -> StoreResult<Connection> {
        Ok(connect(path)?)
    }

    /// Returns the path of the file, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name of this store as the owner of what it begins.
    fn owner(&self) -> Result<String> {
        let mut owner = lock(&self.owner);
        let owner = match &*owner {
            Some(known) => known,
            None => owner.insert(OwnerLock::acquire(&self.path)?),
        };
        Ok(owner.owner().to_owned())
    }

    fn writer(&self) -> FairMutexGuard<'_, Writer> {
        self.writer.lock()
    }

    /// Runs a write transaction. It is `IMMEDIATE`, because a transaction that reads first and
    /// writes later fails instead of waiting for other writers.
    fn write<T>(
        &self,
        work: impl FnOnce(&Connection, &mut CodeGroupIds) -> Result<T>,
    ) -> Result<T> {
        let mut writer = self.writer();
        let Writer {
            connection,
            code_groups,
        } = &mut *writer;
        let written: std::thread::Result<Result<T>> = catch_unwind(AssertUnwindSafe(|| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            SCHEMA.check_version(&transaction)?;
            let value = work(&transaction, code_groups)?;
            transaction.commit()?;
            Ok(value)
        }));
        // The panic has already rolled the transaction back.
        let done =
            written.unwrap_or_else(|_| Err(StoreError::Engine("a write panicked".into()).into()));
        if done.is_err() {
            // Code groups that the transaction had added are gone with it.
            code_groups.clear();
        }
        done
    }

    /// Runs a write that may change the pool. Leases are checked again after it commits.
    fn write_pool<T>(
        &self,
        work: impl FnOnce(&Connection, &mut CodeGroupIds) -> Result<T>,
    ) -> Result<T> {
        let written = self.write(|connection, code_groups| {
            let done = work(connection, code_groups)?;
            failpoint::pass(Failpoint::InsideAction);
            Ok(done)
        });
        if written.is_ok() {
            failpoint::pass(Failpoint::AfterAction);
        }
        self.pool_changed();
        written
    }

    fn pool_changed(&self) {
        self.pool_changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Writes the current database into a new file with that name.
    fn snapshot(&self, name: &str) -> Result<()> {
        // Outside a transaction, which SQLite requires here.
        connect(&self.path)?.execute("VACUUM INTO ?1", [name])?;
        Ok(())
    }

    /// Reads on a separate connection, in one transaction, so that the result is consistent.
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
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        Ok(value)
    }
}

/// Locks a mutex. A lock poisoned by a panic is still usable: transactions roll back when they are
/// dropped, so no incomplete work is visible.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
