//! A connection, used by one thread at a time that waits for each answer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::{TryStreamExt, pin_mut};
use tokio::runtime::Handle;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Statement};

use promoflow_store::StoreError;

use crate::address::Address;
use crate::driver::Notices;
use crate::errors::{Error, LOCK_TIMEOUT_SECONDS, Result, damaged};

/// Maximum number of prepared statements to keep. All of this crate's are fewer.
const MAX_STATEMENTS: usize = 512;

/// A parameter of a statement.
pub(crate) type Param<'p> = &'p (dyn ToSql + Sync);

/// Lists the parameters of a statement.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &(dyn tokio_postgres::types::ToSql + Sync)),*]
    };
}
pub(crate) use params;

/// A statement with its parameters, to be sent together with others.
pub(crate) type Query<'q> = (&'q str, &'q [Param<'q>]);

/// The answer to a statement.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The rows.
    pub(crate) rows: Vec<Row>,
    /// The number of rows that were added, changed or removed.
    pub(crate) affected: u64,
}

/// A row.
#[derive(Debug)]
pub(crate) struct Row(tokio_postgres::Row);

impl Row {
    /// Returns the value of a column, from 0.
    pub(crate) fn get<T: FromSqlOwned>(&self, column: usize) -> Result<T> {
        self.0.try_get(column).map_err(Error::from)
    }

    /// Returns the value of an `integer` column that is never negative.
    pub(crate) fn count(&self, column: usize) -> Result<u32> {
        let number: i32 = self.get(column)?;
        u32::try_from(number).map_err(|error| damaged("a value", error))
    }

    /// Returns the value of an `integer` column that is 0 or 1.
    pub(crate) fn flag(&self, column: usize) -> Result<bool> {
        Ok(self.get::<i32>(column)? != 0)
    }
}

/// Converts a count for an `integer` column.
pub(crate) fn integer(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A connection with the store's settings.
pub(crate) struct Connection {
    client: Client,
    notices: Arc<Notices>,
    runtime: Handle,
    statements: RefCell<HashMap<String, Statement>>,
    /// The longest wait for an answer.
    timeout: Option<Duration>,
}

impl Connection {
    /// Connects, with settings on which the promises rest, whatever the server's are.
    pub(crate) fn open(
        address: &Address,
        runtime: &Handle,
        timeout: Option<Duration>,
    ) -> Result<Connection> {
        let (client, notices) = {
            let _context = runtime.enter();
            pollster::block_on(address.connect())?
        };
        let connection = Connection {
            client,
            notices,
            runtime: runtime.clone(),
            statements: RefCell::default(),
            timeout,
        };
        connection.run_script(&format!(
            "SET synchronous_commit = on;
             SET default_transaction_isolation = 'read committed';
             SET idle_in_transaction_session_timeout = '5s';
             SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s';
             SET statement_timeout = 0;
             SET TimeZone = 'UTC'"
        ))?;
        let fsync = connection.query("SHOW fsync", &[])?;
        match fsync.rows.first().map(|row| row.get::<String>(0)) {
            Some(Ok(value)) if value == "off" => Err(StoreError::Open(
                "the database server has `fsync = off`: a power failure would lose commits, so \
                 codes would be issued twice; set `fsync = on`"
                    .into(),
            )
            .into()),
            _ => Ok(connection),
        }
    }

    /// Returns true if the connection can be used no longer.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns what the server says besides its answers.
    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    /// Executes statements without parameters, separated by semicolons.
    pub(crate) fn run_script(&self, sql: &str) -> Result<()> {
        self.wait(async { Ok(self.client.batch_execute(sql).await?) })
    }

    /// Executes one statement.
    pub(crate) fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Answer> {
        let mut answers = self.pipeline(&[(sql, params)])?;
        answers.pop().ok_or_else(|| Error::Lost("no answer".into()))
    }

    /// Executes statements in order, all sent at once. If one fails, those after it in the same
    /// transaction fail too, and its error is returned.
    pub(crate) fn pipeline(&self, queries: &[Query<'_>]) -> Result<Vec<Answer>> {
        self.wait(async {
            let mut missing: Vec<&str> = {
                let known = self.statements.borrow();
                let sqls = queries.iter().map(|(sql, _)| *sql);
                sqls.filter(|sql| !known.contains_key(*sql)).collect()
            };
            missing.sort_unstable();
            missing.dedup();
            if !missing.is_empty() {
                let prepared = missing.iter().map(|sql| self.client.prepare(sql));
                let prepared = try_join_all(prepared).await?;
                let mut known = self.statements.borrow_mut();
                if known.len() >= MAX_STATEMENTS {
                    known.clear();
                }
                let names = missing.into_iter().map(str::to_owned);
                known.extend(names.zip(prepared));
            }
            let mut answers = Vec::with_capacity(queries.len());
            for (sql, params) in queries {
                let statement = match self.statements.borrow().get(*sql) {
                    Some(statement) => statement.clone(),
                    None => return Err(Error::Lost("a statement is not prepared".into())),
                };
                answers.push(self.ask(statement, params));
            }
            join_all(answers).await.into_iter().collect()
        })
    }

    async fn ask(&self, statement: Statement, params: &[Param<'_>]) -> Result<Answer> {
        let params = params.iter().map(|param| *param as &dyn ToSql);
        let stream = self.client.query_raw(&statement, params).await?;
        pin_mut!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(Row(row));
        }
        let affected = stream.rows_affected().unwrap_or(0);
        Ok(Answer { rows, affected })
    }

    /// Blocks this thread until the answer is there.
    fn wait<T>(&self, answer: impl Future<Output = Result<T>>) -> Result<T> {
        let _context = self.runtime.enter();
        pollster::block_on(async {
            match self.timeout {
                None => answer.await,
                Some(timeout) => match tokio::time::timeout(timeout, answer).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Error::Lost(format!(
                        "the database has not answered for {} s",
                        timeout.as_secs()
                    ))),
                },
            }
        })
    }
}
