//! The seats of this process: its rights to write, with a connection each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use crate::address::Address;
use crate::connection::Connection;
use crate::errors::Result;
use crate::hosts::{self, SEATS, Shares};
use crate::transaction::Seat;

/// The longest wait for an answer to a statement that writes.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(150);

/// How to reach the database.
pub(crate) struct Link {
    pub(crate) address: Address,
    pub(crate) runtime: Handle,
}

impl Link {
    /// Opens a connection. `timeout`: the longest wait for an answer.
    pub(crate) fn connect(&self, timeout: Option<Duration>) -> Result<Connection> {
        Connection::open(&self.address, &self.runtime, timeout)
    }
}

/// A connection with its right to write.
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) seat: Seat,
}

/// The seats of this process, and what else changes with its name as a host.
pub(crate) struct Seats {
    link: Arc<Link>,
    table: Mutex<SeatTable>,
    /// Notified when a seat is free.
    freed: Condvar,
    /// The shares of the work that are this process's.
    pub(crate) shares: Arc<Shares>,
    /// The number of pool changes by this process.
    pool_changes: AtomicU64,
}

#[derive(Default)]
struct SeatTable {
    /// The name of this process as a host; `None` before its first write and after it was fenced.
    host: Option<String>,
    /// Connections with a seat that nobody uses.
    idle: Vec<Writer>,
    /// Seats of the present host without a connection.
    free: Vec<i32>,
}

impl Seats {
    pub(crate) fn new(link: Arc<Link>) -> Seats {
        Seats {
            link,
            table: Mutex::default(),
            freed: Condvar::new(),
            shares: Arc::default(),
            pool_changes: AtomicU64::new(0),
        }
    }

    /// Returns a connection with a seat, waiting until there is one. Registers this process as a host
    /// first, if it is none.
    pub(crate) fn take(&self) -> Result<Writer> {
        let mut table = self.table.lock();
        loop {
            while let Some(writer) = table.idle.pop() {
                if !writer.connection.is_closed() {
                    return Ok(writer);
                }
                table.free.push(writer.seat.number);
            }
            let Some(host) = table.host.clone() else {
                // Other threads wait meanwhile: they need the host too.
                let connection = self.link.connect(Some(WRITE_TIMEOUT))?;
                table.host = Some(hosts::register(&connection)?);
                table.free = (0..SEATS).collect();
                continue;
            };
            if let Some(number) = table.free.pop() {
                drop(table);
                let writer = self.occupy(&host, number);
                if writer.is_err() {
                    self.free(&host, number);
                }
                return writer;
            }
            self.freed.wait(&mut table);
        }
    }

    /// Connects a seat that no connection has.
    fn occupy(&self, host: &str, number: i32) -> Result<Writer> {
        let connection = self.link.connect(Some(WRITE_TIMEOUT))?;
        let seat = hosts::take_over_seat(&connection, host, number)?;
        Ok(Writer { connection, seat })
    }

    /// Keeps a connection for the next transaction.
    pub(crate) fn give_back(&self, writer: Writer) {
        let mut table = self.table.lock();
        if table.host.as_ref() == Some(&writer.seat.host) {
            table.idle.push(writer);
        }
        self.freed.notify_one();
    }

    /// Gives up the connection of a seat.
    pub(crate) fn free(&self, host: &str, number: i32) {
        let mut table = self.table.lock();
        if table.host.as_deref() == Some(host) {
            table.free.push(number);
        }
        self.freed.notify_one();
    }

    /// Forgets a host that others have taken for dead. The next write registers this process as another one.
    pub(crate) fn forget(&self, host: &str) {
        let mut table = self.table.lock();
        if table.host.as_deref() == Some(host) {
            tracing::warn!("other hosts have taken this one for dead; it joins again");
            *table = SeatTable::default();
            self.shares.forget();
            // What was leased is not this process's any more.
            self.pool_changed();
        }
        self.freed.notify_all();
    }

    /// Returns the name of this process as a host, if it is one.
    pub(crate) fn host(&self) -> Option<String> {
        self.table.lock().host.clone()
    }

    /// Closes the connections, and returns the name that this process had as a host.
    pub(crate) fn close(&self) -> Option<String> {
        std::mem::take(&mut *self.table.lock()).host
    }

    /// Returns how often this process has changed the pool other than by a segment's commit.
    pub(crate) fn pool_changes(&self) -> u64 {
        self.pool_changes.load(Ordering::SeqCst)
    }

    /// Counts a change of the pool other than by a segment's commit.
    pub(crate) fn pool_changed(&self) {
        self.pool_changes.fetch_add(1, Ordering::SeqCst);
    }
}
