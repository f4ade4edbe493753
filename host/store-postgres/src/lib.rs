//! The store in a PostgreSQL database, which many hosts share.
//!
//! - `address`, `driver`, `connection`: how to reach a server, and how a thread asks it something;
//! - `transaction`, `pool`: what every transaction checks first, and what happens if it is lost;
//! - `hosts`: the processes that write, and what a dead one leaves behind;
//! - `migrations`: the schema;
//! - the other modules: the statements, one module for each concern, named as those of
//!   `promoflow-store-sqlite`, with equal tables and columns.
//!
//! Most transactions are exclusive: they lock every host's seat first, and no other transaction
//! writes until they end. The commits of events, segments and attempts are shared: any number of them
//! run at a time, and rows decide. docs/many-hosts.md explains both.
//!
//! ```no_run
//! use promoflow_store_postgres::PostgresStore;
//!
//! let store = PostgresStore::open("postgres://shop@db.example.com/shop")?;
//! # Ok::<(), promoflow_store::StoreError>(())
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod actions;
mod address;
mod alerts;
mod alternatives;
mod attempts;
mod audit;
mod available_codes;
mod catalog;
mod changes;
mod clock;
mod code_changes;
mod code_groups;
mod code_usage;
mod codes;
mod commit;
mod connection;
mod contacts;
mod counts;
mod deliveries;
mod driver;
mod dry_run;
mod due_deliveries;
mod due_runs;
mod errors;
mod event_params;
mod hosts;
mod idempotency;
mod installation;
mod keys;
mod leases;
mod migrations;
mod notifications;
mod pool;
mod release;
mod retry_states;
mod reuse;
mod runs;
mod seats;
mod sequences;
mod settings;
mod spellings;
mod start_rules;
mod statistics;
#[cfg(test)]
mod tests;
mod throttles;
mod traces;
mod transaction;
pub mod transfer;
mod upload;
mod upload_history;
mod waiting_runs;

use std::sync::Arc;

use parking_lot::Mutex;

use address::Address;
use code_groups::CodeGroupIds;
use contacts::ContactOverlay;
use errors::{Result, StoreResult};
use hosts::Shares;
use pool::Pool;
use transaction::{Mode, Transaction};

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: Arc<Pool>,
    /// The shares of the work that are this process's.
    shares: Arc<Shares>,
    code_groups: Mutex<CodeGroupIds>,
    /// Locked by the upload whose turn it is to write.
    uploading: Mutex<()>,
    /// The directory for test runs while contacts are disabled, once it was asked for.
    contact_overlay: Mutex<Option<Arc<ContactOverlay>>>,
}

impl PostgresStore {
    /// Opens the database at this address, `postgres://USER@HOST/DATABASE`, and creates the schema
    /// if the database is empty. The address may name several hosts and contain libpq's options.
    pub fn open(address: &str) -> StoreResult<PostgresStore> {
        Self::open_with(address, true)
    }

    /// Opens a database that has the schema.
    pub fn open_existing(address: &str) -> StoreResult<PostgresStore> {
        Self::open_with(address, false)
    }

    /// Returns true if the database has the schema of this or another release.
    pub fn exists(address: &str) -> StoreResult<bool> {
        let pool = Pool::new(Address::parse(address)?)?;
        let connection = pool.connect(None)?;
        Ok(migrations::version(&connection)?.is_some())
    }

    fn open_with(address: &str, create: bool) -> StoreResult<PostgresStore> {
        let pool = Arc::new(Pool::open(Address::parse(address)?, create)?);
        Ok(PostgresStore {
            shares: Arc::clone(&pool.seats.shares),
            pool,
            code_groups: Mutex::default(),
            uploading: Mutex::default(),
            contact_overlay: Mutex::default(),
        })
    }

    /// Runs a read transaction, which sees one moment.
    fn read<T>(&self, work: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.pool.read(work)
    }

    /// Runs a transaction beside which no other one writes. The work may be repeated.
    fn write<T>(&self, work: impl FnMut(&Transaction<'_>) -> Result<T>) -> Result<T> {
        self.pool.write(Mode::Exclusive, work)
    }

    /// Runs a write that may change the pool. Leases are checked again after it commits.
    fn write_pool<T>(&self, work: impl FnMut(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let written = self.write(work);
        self.pool.pool_changed();
        written
    }
}
