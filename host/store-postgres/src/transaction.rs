//! Transactions: what their beginning checks, and how they end.

use std::cell::{Cell, RefCell};

use tokio_postgres::types::ToSql;

use promoflow_store::StoreError;

use crate::connection::{Answer, Connection, Param, Query, Row, params};
use crate::errors::{Error, Result, damaged};
use crate::migrations::{self, SCHEMA_VERSION};

/// How a transaction that writes gets along with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Beside other shared transactions, of this host and of others. Every judgement needs the lock
    /// of a row that a statement *before* it took: a statement that waits for a lock goes on with the
    /// rows that it saw before.
    Shared,
    /// Alone: no other transaction writes until it ends, as in SQLite.
    Exclusive,
}

/// The right to write, with which a transaction begins.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    /// The host's name.
    pub(crate) host: String,
    /// The number of the seat.
    pub(crate) number: i32,
    /// The epoch that the row has as long as the seat is this process's.
    pub(crate) epoch: i64,
    /// The number of the last transaction that was begun with it.
    pub(crate) batch: i64,
}

/// What a transaction begins with, sent together with its first statements.
enum Opening {
    Read,
    Write { mode: Mode, seat: Seat },
}

/// A statement that is sent with the commit, with its parameters.
type Last = (&'static str, Vec<Box<dyn ToSql + Sync>>);

/// A transaction.
pub(crate) struct Transaction<'c> {
    connection: &'c Connection,
    opening: Opening,
    is_open: Cell<bool>,
    last: RefCell<Vec<Last>>,
}

/// No parameters.
const NONE: &[Param<'_>] = &[];
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const LOCK_BARRIER: &str = "SELECT id FROM barrier FOR UPDATE";
const LOCK_SEATS: &str = "SELECT seat.number FROM seat JOIN host ON host.id = seat.host
     WHERE host.ended_at IS NULL ORDER BY seat.host, seat.number FOR UPDATE OF seat";
const TAKE_SEAT: &str =
    "UPDATE seat SET batch = $4 WHERE host = $1 AND number = $2 AND epoch = $3 RETURNING batch";
const READ_SCHEMA: &str = "SELECT value FROM setting WHERE name = 'schema-version'";

impl<'c> Transaction<'c> {
    /// Creates a transaction that sees the database as it is at its first statement.
    pub(crate) fn reading(connection: &'c Connection) -> Transaction<'c> {
        Transaction::new(connection, Opening::Read)
    }

    /// Creates a transaction that writes with this seat, whose number of transactions includes it.
    pub(crate) fn writing(connection: &'c Connection, mode: Mode, seat: Seat) -> Transaction<'c> {
        Transaction::new(connection, Opening::Write { mode, seat })
    }

    /// Continues an exclusive transaction that was begun before with this seat.
    pub(crate) fn continued(connection: &'c Connection, seat: Seat) -> Transaction<'c> {
        let transaction = Transaction::writing(connection, Mode::Exclusive, seat);
        transaction.is_open.set(true);
        transaction
    }

    /// Continues the transaction of a connection that nobody shares: in a database that is new, or
    /// that nobody may write.
    pub(crate) fn alone(connection: &'c Connection) -> Transaction<'c> {
        let transaction = Transaction::reading(connection);
        transaction.is_open.set(true);
        transaction
    }

    /// Returns the seat with which the transaction writes; `None` if it reads.
    pub(crate) fn seat(&self) -> Option<&Seat> {
        match &self.opening {
            Opening::Read => None,
            Opening::Write { seat, .. } => Some(seat),
        }
    }

    /// Returns true if no other transaction writes until this one ends.
    pub(crate) fn is_exclusive(&self) -> bool {
        matches!(
            self.opening,
            Opening::Write {
                mode: Mode::Exclusive,
                ..
            }
        )
    }

    fn new(connection: &'c Connection, opening: Opening) -> Transaction<'c> {
        Transaction {
            connection,
            opening,
            is_open: Cell::new(false),
            last: RefCell::default(),
        }
    }

    /// Begins without any other statement, so that locks are held from here on.
    pub(crate) fn begin(&self) -> Result<()> {
        self.pipeline(&[]).map(|_| ())
    }

    /// Executes statements in order, all sent at once.
    pub(crate) fn pipeline(&self, queries: &[Query<'_>]) -> Result<Vec<Answer>> {
        if self.is_open.get() {
            return self.connection.pipeline(queries);
        }
        self.is_open.set(true);
        match &self.opening {
            Opening::Read => {
                let mut all: Vec<Query<'_>> = vec![(BEGIN_READ, &[])];
                all.extend_from_slice(queries);
                let mut answers = self.connection.pipeline(&all)?;
                Ok(answers.split_off(1))
            }
            Opening::Write { mode, seat } => {
                let rights = params![seat.host, seat.number, seat.epoch, seat.batch];
                let mut all: Vec<Query<'_>> = vec![("BEGIN", &[])];
                if *mode == Mode::Exclusive {
                    all.extend([(LOCK_BARRIER, NONE), (LOCK_SEATS, NONE)]);
                }
                all.extend([(TAKE_SEAT, &rights[..]), (READ_SCHEMA, NONE)]);
                let opening = all.len();
                all.extend_from_slice(queries);
                let mut answers = self.connection.pipeline(&all)?;
                let rest = answers.split_off(opening);
                let version = answers.pop();
                match answers.pop() {
                    Some(taken) if taken.affected == 1 => {}
                    _ => return Err(Error::Fenced),
                }
                check_schema(version)?;
                Ok(rest)
            }
        }
    }

    /// Returns the rows of a query.
    pub(crate) fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        Ok(self.one(sql, params)?.rows)
    }

    /// Returns the first row of a query.
    pub(crate) fn row(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params)?.into_iter().next())
    }

    /// Returns true if a query finds a row.
    pub(crate) fn exists(&self, sql: &str, params: &[Param<'_>]) -> Result<bool> {
        Ok(!self.rows(sql, params)?.is_empty())
    }

    /// Executes a statement. Returns how many rows it added, changed or removed.
    pub(crate) fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        Ok(self.one(sql, params)?.affected)
    }

    fn one(&self, sql: &str, params: &[Param<'_>]) -> Result<Answer> {
        let mut answers = self.pipeline(&[(sql, params)])?;
        answers.pop().ok_or_else(|| Error::Lost("no answer".into()))
    }

    /// Sends a statement together with the commit, which saves a round trip. Nothing may depend on
    /// its answer.
    pub(crate) fn at_commit(&self, sql: &'static str, params: Vec<Box<dyn ToSql + Sync>>) {
        self.last.borrow_mut().push((sql, params));
    }

    /// Sends the statements that were to be sent with the commit.
    pub(crate) fn send_last(&self) -> Result<()> {
        for (sql, params) in self.last.take() {
            let params: Vec<Param<'_>> = params.iter().map(|param| &**param as Param<'_>).collect();
            self.execute(sql, &params)?;
        }
        Ok(())
    }

    /// Commits. After [`Error::Lost`], whether it was stored is unknown.
    pub(crate) fn commit(&self) -> Result<()> {
        let last = self.last.take();
        let params: Vec<Vec<Param<'_>>> = last
            .iter()
            .map(|(_, params)| params.iter().map(|param| &**param as Param<'_>).collect())
            .collect();
        let mut queries: Vec<Query<'_>> = last
            .iter()
            .zip(&params)
            .map(|((sql, _), params)| (*sql, &params[..]))
            .collect();
        if !self.is_open.get() {
            if queries.is_empty() {
                return Ok(());
            }
            self.begin()?;
        }
        queries.push(("COMMIT", &[]));
        self.connection.notices().take_warning();
        self.connection.pipeline(&queries)?;
        match self.connection.notices().take_warning() {
            true => Err(Error::Lost("the database warned of the commit".into())),
            false => Ok(()),
        }
    }

    /// Undoes everything. If anything follows, it is a transaction of its own.
    pub(crate) fn roll_back(&self) -> Result<()> {
        self.last.take();
        match self.is_open.replace(false) {
            true => Transaction::roll_back_on(self.connection),
            false => Ok(()),
        }
    }

    /// Undoes the transaction of a connection, if it has one.
    pub(crate) fn roll_back_on(connection: &Connection) -> Result<()> {
        connection.run_script("ROLLBACK")
    }
}

/// Fails if another release has migrated the schema.
fn check_schema(answer: Option<Answer>) -> Result<()> {
    let row = answer.and_then(|answer| answer.rows.into_iter().next());
    let row = row.ok_or_else(|| damaged("the setting `schema-version`", "the row is missing"))?;
    check_version(&row.get::<String>(0)?)
}

/// Fails unless this is the version of the schema that this release knows.
pub(crate) fn check_version(text: &str) -> Result<()> {
    let found = text
        .parse()
        .map_err(|error| damaged("the setting `schema-version`", error))?;
    migrations::check_moved(found, || Ok("another database".to_owned()))?;
    match found == SCHEMA_VERSION {
        true => Ok(()),
        false => Err(StoreError::Outdated {
            found,
            known: SCHEMA_VERSION,
        }
        .into()),
    }
}
