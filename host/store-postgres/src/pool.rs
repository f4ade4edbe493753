//! The connections of a store: who writes with which, and what happens when one is lost.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use promoflow_store::StoreError;

use crate::address::Address;
use crate::clock::DatabaseClock;
use crate::connection::Connection;
use crate::errors::{Error, Result, StoreResult};
use crate::hosts::{self, Beat};
use crate::migrations;
use crate::seats::{Link, Seats, WRITE_TIMEOUT, Writer};
use crate::sequences::Sequences;
use crate::transaction::{Mode, Seat, Transaction};

/// Maximum number of idle read connections to keep open.
const MAX_IDLE_READERS: usize = 4;
/// How often a transaction is tried that met others, or whose host was taken for dead.
const MAX_TRIES: u32 = 5;
/// How long to look for the result of a commit whose answer was lost.
const LOOK_UP_TIME: Duration = Duration::from_secs(60);
/// The time between two look-ups.
const LOOK_UP_INTERVAL: Duration = Duration::from_millis(200);
/// The longest wait for the database to record that this process has ended.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections of this process.
pub(crate) struct Pool {
    link: Arc<Link>,
    readers: Mutex<Vec<Connection>>,
    /// The seats of this process.
    pub(crate) seats: Arc<Seats>,
    /// Shows other hosts that this process runs.
    pub(crate) beat: Beat,
    /// The database's clock.
    pub(crate) clock: Arc<DatabaseClock>,
    /// The ids that this process has taken.
    pub(crate) sequences: Sequences,
    // Last, because connections need it while they are dropped.
    _runtime: Runtime,
}

impl Pool {
    /// Connects to a database, and creates its schema if it is empty and `create` is true.
    pub(crate) fn open(address: Address, create: bool) -> StoreResult<Pool> {
        let pool = Pool::new(address)?;
        let connection = pool.connect(None)?;
        migrations::prepare(&connection, create)?;
        pool.clock.update(&connection)?;
        Ok(pool)
    }

    /// Prepares connections to a server.
    pub(crate) fn new(address: Address) -> StoreResult<Pool> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Open(format!("cannot start a thread: {error}")))?;
        let link = Arc::new(Link {
            address,
            runtime: runtime.handle().clone(),
        });
        let clock = Arc::new(DatabaseClock::new());
        let seats = Arc::new(Seats::new(Arc::clone(&link)));
        Ok(Pool {
            beat: Beat::new(Arc::clone(&link), Arc::clone(&seats), Arc::clone(&clock)),
            link,
            readers: Mutex::default(),
            seats,
            clock,
            sequences: Sequences::default(),
            _runtime: runtime,
        })
    }

    /// Opens a connection.
    pub(crate) fn connect(&self, timeout: Option<Duration>) -> Result<Connection> {
        self.link.connect(timeout)
    }

    /// Runs a read transaction, which sees one moment. It is repeated on another connection if that
    /// was lost.
    pub(crate) fn read<T>(&self, work: impl Fn(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().pop().filter(|one| !one.is_closed());
        if let Some(connection) = idle {
            match self.read_with(connection, &work) {
                // The server may have been restarted since the connection was last used.
                Err(Error::Lost(_)) => self.readers.lock().clear(),
                read => return read,
            }
        }
        self.read_with(self.connect(None)?, &work)
    }

    fn read_with<T>(
        &self,
        connection: Connection,
        work: impl Fn(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let transaction = Transaction::reading(&connection);
        let value = work(&transaction)?;
        transaction.roll_back()?;
        let mut readers = self.readers.lock();
        if readers.len() < MAX_IDLE_READERS {
            readers.push(connection);
        }
        Ok(value)
    }

    /// Runs a transaction that writes. The work is repeated as a whole if the transaction met
    /// another one or its connection was lost, so it must change nothing outside.
    pub(crate) fn write<T>(
        &self,
        mode: Mode,
        mut work: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut tries = 1;
        loop {
            let writer = self.take_writer()?;
            match self.write_with(writer, mode, &mut work) {
                Err(error @ (Error::Conflict(_) | Error::Lost(_) | Error::Fenced))
                    if tries < MAX_TRIES =>
                {
                    tracing::debug!("a transaction is repeated: {error}");
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    fn write_with<T>(
        &self,
        mut writer: Writer,
        mode: Mode,
        work: &mut impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        writer.seat.batch += 1;
        let batch = writer.seat.batch;
        let transaction = Transaction::writing(&writer.connection, mode, writer.seat.clone());
        let worked = catch_unwind(AssertUnwindSafe(|| work(&transaction)));
        let worked =
            worked.unwrap_or_else(|_| Err(StoreError::Engine("a write panicked".into()).into()));
        match worked {
            Ok(value) => match transaction.commit() {
                Ok(()) => {
                    self.seats.give_back(writer);
                    Ok(value)
                }
                Err(Error::Lost(why)) => {
                    let seat = writer.seat.clone();
                    drop(writer);
                    match self.look_up(&seat, &why)? == batch {
                        true => Ok(value),
                        false => Err(Error::Lost(why)),
                    }
                }
                Err(error) => self.undo(writer, error),
            },
            Err(error) => self.undo(writer, error),
        }
    }

    /// Returns the number of the last transaction that was committed with a seat whose connection
    /// was lost. From here on the lost session can commit nothing.
    fn look_up(&self, seat: &Seat, why: &str) -> Result<i64> {
        tracing::warn!("the answer to a commit was lost and is looked up: {why}");
        let began = Instant::now();
        loop {
            let found = self.connect(Some(WRITE_TIMEOUT)).and_then(|connection| {
                let found = hosts::take_over_seat(&connection, &seat.host, seat.number)?;
                Ok((connection, found))
            });
            match found {
                Ok((connection, found)) => {
                    let batch = found.batch;
                    self.seats.give_back(Writer {
                        connection,
                        seat: found,
                    });
                    return Ok(batch);
                }
                Err(_) if began.elapsed() < LOOK_UP_TIME => std::thread::sleep(LOOK_UP_INTERVAL),
                Err(error) => {
                    self.seats.free(&seat.host, seat.number);
                    return Err(StoreError::Unknown(format!("{why}; {error}")).into());
                }
            }
        }
    }

    /// Rolls back after an error. A connection that cannot even do that is dropped, and so is the
    /// transaction.
    fn undo<T>(&self, writer: Writer, error: Error) -> Result<T> {
        match &error {
            Error::Fenced => self.seats.forget(&writer.seat.host),
            Error::Lost(_) => self.seats.free(&writer.seat.host, writer.seat.number),
            _ => match Transaction::roll_back_on(&writer.connection) {
                Ok(()) => self.seats.give_back(writer),
                Err(_) => self.seats.free(&writer.seat.host, writer.seat.number),
            },
        }
        Err(error)
    }

    /// Returns a connection with a seat, waiting until there is one. This process is a host from then
    /// on.
    pub(crate) fn take_writer(&self) -> Result<Writer> {
        let writer = self.seats.take()?;
        self.beat.start()?;
        Ok(writer)
    }

    /// Returns the name of this process as a host, registering it before its first write.
    pub(crate) fn host(&self) -> Result<String> {
        let writer = self.take_writer()?;
        let host = writer.seat.host.clone();
        self.seats.give_back(writer);
        Ok(host)
    }

    /// Returns how often this process has changed the pool other than by a segment's commit.
    pub(crate) fn pool_changes(&self) -> u64 {
        self.seats.pool_changes()
    }

    /// Counts a change of the pool other than by a segment's commit.
    pub(crate) fn pool_changed(&self) {
        self.seats.pool_changed();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.beat.stop();
        let Some(host) = self.seats.close() else {
            return;
        };
        let left = self
            .connect(Some(LEAVE_TIMEOUT))
            .and_then(|connection| hosts::leave(&connection, &host));
        if let Err(error) = left {
            tracing::debug!("other hosts will find that this one has ended: {error}");
        }
    }
}

/// A transaction that writes and stays open between calls: an atomic upload. Dropping it undoes it.
pub(crate) struct OpenTransaction {
    pool: Arc<Pool>,
    /// `None` once it has ended.
    writer: Option<Writer>,
    is_begun: bool,
}

impl OpenTransaction {
    /// Begins an exclusive transaction.
    pub(crate) fn begin(pool: &Arc<Pool>) -> Result<OpenTransaction> {
        let mut writer = pool.take_writer()?;
        writer.seat.batch += 1;
        let mut open = OpenTransaction {
            pool: Arc::clone(pool),
            writer: Some(writer),
            is_begun: false,
        };
        open.run(|transaction| transaction.begin())?;
        Ok(open)
    }

    /// Runs a part of the transaction. After an error it has ended.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let Some(writer) = self.writer.take() else {
            return Err(StoreError::Engine("the transaction has ended".into()).into());
        };
        let transaction = match self.is_begun {
            false => Transaction::writing(&writer.connection, Mode::Exclusive, writer.seat.clone()),
            true => Transaction::continued(&writer.connection, writer.seat.clone()),
        };
        self.is_begun = true;
        let worked = work(&transaction).and_then(|value| transaction.send_last().map(|()| value));
        match worked {
            Ok(value) => {
                self.writer = Some(writer);
                Ok(value)
            }
            Err(error) => self.pool.undo(writer, error),
        }
    }

    /// Commits.
    pub(crate) fn commit(mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else {
            return Err(StoreError::Engine("the transaction has ended".into()).into());
        };
        let batch = writer.seat.batch;
        match Transaction::continued(&writer.connection, writer.seat.clone()).commit() {
            Ok(()) => {
                self.pool.seats.give_back(writer);
                Ok(())
            }
            Err(Error::Lost(why)) => {
                let seat = writer.seat.clone();
                drop(writer);
                match self.pool.look_up(&seat, &why)? == batch {
                    true => Ok(()),
                    false => Err(Error::Lost(why)),
                }
            }
            Err(error) => self.pool.undo(writer, error),
        }
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            match Transaction::roll_back_on(&writer.connection) {
                Ok(()) => self.pool.seats.give_back(writer),
                Err(_) => self.pool.seats.free(&writer.seat.host, writer.seat.number),
            }
        }
    }
}
