//! A PostgreSQL database as the source or the target of a move to another engine.

use std::time::Duration;

use promoflow_store::transfer::{Fill, PAGE_ROWS, Source, Target, Value};
use promoflow_store::{PromiseReport, StoreError};

use crate::address::Address;
use crate::connection::{Connection, Param, params};
use crate::errors::{Result, StoreResult, damaged};
use crate::pool::Pool;
use crate::transaction::Transaction;
use crate::{PostgresStore, audit, counts, migrations};

/// How long a host gives no sign of life at most.
const SILENCE: Duration = Duration::from_secs(6);

/// Opens a database as the source of a move. Fails while a host runs on it.
pub fn source(address: &str) -> StoreResult<Box<dyn Source>> {
    Ok(Box::new(PostgresSource::open(address)?))
}

struct PostgresSource {
    connection: Connection,
    // Dropped after the connection, which needs its runtime.
    _pool: Pool,
}

impl PostgresSource {
    fn open(address: &str) -> Result<PostgresSource> {
        drop(PostgresStore::open_existing(address)?);
        let pool = Pool::new(Address::parse(address)?)?;
        let connection = pool.connect(None)?;
        connection.run_script("BEGIN")?;
        // Whoever wants to write needs a seat, and waits until this transaction ends.
        connection.run_script(
            "SELECT id FROM barrier FOR UPDATE;
             SELECT number FROM seat ORDER BY host, number FOR UPDATE",
        )?;
        let source = PostgresSource {
            connection,
            _pool: pool,
        };
        if source.runs_any_host()? {
            return Err(
                StoreError::Open("hosts run on the database; stop them first".to_owned()).into(),
            );
        }
        Ok(source)
    }

    /// Returns true if any host still gives signs of life.
    fn runs_any_host(&self) -> Result<bool> {
        let beats = || -> Result<Vec<(String, i64)>> {
            let answer = self.connection.query(
                "SELECT id, beat FROM host WHERE ended_at IS NULL ORDER BY id",
                &[],
            )?;
            let hosts = answer.rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
            hosts.collect()
        };
        let before = beats()?;
        if before.is_empty() {
            return Ok(false);
        }
        // One that was killed could not say that it has ended.
        std::thread::sleep(SILENCE);
        Ok(beats()?.iter().any(|host| !before.contains(host)))
    }

    fn read(
        &self,
        table: &str,
        columns: &[String],
        visit: &mut dyn FnMut(Vec<Vec<Value>>) -> StoreResult<()>,
    ) -> Result<()> {
        let types = column_types(&self.connection, table)?;
        let values = columns.iter().map(|column| match kind(&types, column) {
            Ok(Kind::Integer) => Ok(format!("{column}::bigint")),
            Ok(Kind::Text | Kind::Bytes) => Ok(column.clone()),
            Err(error) => Err(error),
        });
        let values = values.collect::<Result<Vec<_>>>()?.join(", ");
        let condition = match table {
            // It is this engine's own.
            "setting" => " WHERE name <> 'schema-version'",
            _ => "",
        };
        self.connection.run_script(&format!(
            "DECLARE moved_{table} NO SCROLL CURSOR FOR SELECT {values} FROM {table}{condition}"
        ))?;
        // The statement is of this table only, as its columns are.
        let fetch = format!("FETCH {PAGE_ROWS} FROM moved_{table}");
        loop {
            let page = self.connection.query(&fetch, &[])?.rows;
            if page.is_empty() {
                break;
            }
            let mut rows = Vec::with_capacity(page.len());
            for row in &page {
                let mut values = Vec::with_capacity(columns.len());
                for (index, column) in columns.iter().enumerate() {
                    values.push(match kind(&types, column)? {
                        Kind::Integer => row.get::<Option<i64>>(index)?.map(Value::Integer),
                        Kind::Text => row.get::<Option<String>>(index)?.map(Value::Text),
                        Kind::Bytes => row.get::<Option<Vec<u8>>>(index)?.map(Value::Bytes),
                    });
                }
                rows.push(
                    values
                        .into_iter()
                        .map(|one| one.unwrap_or(Value::Null))
                        .collect(),
                );
            }
            visit(rows)?;
        }
        self.connection.run_script(&format!("CLOSE moved_{table}"))
    }
}

impl Source for PostgresSource {
    fn columns(&self, table: &str) -> StoreResult<Vec<String>> {
        let types = column_types(&self.connection, table)?;
        Ok(types.into_iter().map(|(column, _)| column).collect())
    }

    fn rows(
        &self,
        table: &str,
        columns: &[String],
        visit: &mut dyn FnMut(Vec<Vec<Value>>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        Ok(self.read(table, columns, visit)?)
    }

    fn close(self: Box<Self>, to: &str) -> StoreResult<()> {
        Ok(migrations::close(&self.connection, to)?)
    }
}

/// Creates the tables in an empty database, with the rows that `fill` adds. The tables exist
/// afterwards only if that succeeded and every promise holds. Returns the result of the audit.
pub fn create(address: &str, fill: &mut Fill<'_>) -> StoreResult<Vec<PromiseReport>> {
    let pool = Pool::new(Address::parse(address)?)?;
    let connection = pool.connect(None)?;
    connection.run_script("BEGIN")?;
    let audited = make(&connection, fill);
    let holds = audited
        .as_ref()
        .is_ok_and(|audited| audited.iter().all(|one| one.holds));
    connection.run_script(if holds { "COMMIT" } else { "ROLLBACK" })?;
    Ok(audited?)
}

fn make(connection: &Connection, fill: &mut Fill<'_>) -> Result<Vec<PromiseReport>> {
    migrations::create(connection)?;
    // Those of the source are added.
    connection.run_script("DELETE FROM setting WHERE name <> 'schema-version'")?;
    fill(&mut PostgresTarget { connection })?;
    continue_ids(connection)?;
    let transaction = Transaction::alone(connection);
    counts::recount(&transaction)?;
    audit::audit(|check| {
        transaction.execute("SAVEPOINT before_check", &[])?;
        let found = check(&transaction);
        if found.is_err() {
            transaction.execute("ROLLBACK TO SAVEPOINT before_check", &[])?;
        }
        found
    })
}

struct PostgresTarget<'c> {
    connection: &'c Connection,
}

impl PostgresTarget<'_> {
    fn insert(&self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> Result<()> {
        let types = column_types(self.connection, table)?;
        let mut arrays = Vec::with_capacity(columns.len());
        let mut places = Vec::with_capacity(columns.len());
        let mut rows: Vec<_> = rows.into_iter().map(Vec::into_iter).collect();
        for (number, column) in (1..).zip(columns) {
            let values = rows.iter_mut().map(|row| row.next().unwrap_or(Value::Null));
            let kind = kind(&types, column)?;
            arrays.push(Array::of(kind, table, values)?);
            places.push(format!("${number}::{}[]", kind.sql()));
        }
        let sql = format!(
            "INSERT INTO {table} ({}) SELECT * FROM unnest({})",
            columns.join(", "),
            places.join(", ")
        );
        let arrays: Vec<Param<'_>> = arrays.iter().map(Array::param).collect();
        self.connection.query(&sql, &arrays)?;
        Ok(())
    }
}

impl Target for PostgresTarget<'_> {
    fn add(&mut self, table: &str, columns: &[String], rows: Vec<Vec<Value>>) -> StoreResult<()> {
        Ok(self.insert(table, columns, rows)?)
    }
}

/// A kind of column.
#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

impl Kind {
    fn sql(self) -> &'static str {
        match self {
            Kind::Integer => "bigint",
            Kind::Text => "text",
            Kind::Bytes => "bytea",
        }
    }
}

/// The values of a column.
enum Array {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn of(kind: Kind, table: &str, values: impl Iterator<Item = Value>) -> Result<Array> {
        let unexpected = || damaged(format!("a row of {table}"), "a value of another type");
        Ok(match kind {
            Kind::Integer => Array::Integers(
                values
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Integer(number) => Ok(Some(number)),
                        _ => Err(unexpected()),
                    })
                    .collect::<Result<_>>()?,
            ),
            Kind::Text => Array::Texts(
                values
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Text(text) => Ok(Some(text)),
                        _ => Err(unexpected()),
                    })
                    .collect::<Result<_>>()?,
            ),
            Kind::Bytes => Array::Bytes(
                values
                    .map(|value| match value {
                        Value::Null => Ok(None),
                        Value::Bytes(bytes) => Ok(Some(bytes)),
                        _ => Err(unexpected()),
                    })
                    .collect::<Result<_>>()?,
            ),
        })
    }

    fn param(&self) -> Param<'_> {
        match self {
            Array::Integers(values) => values,
            Array::Texts(values) => values,
            Array::Bytes(values) => values,
        }
    }
}

/// Returns the columns of a table with their types.
fn column_types(connection: &Connection, table: &str) -> Result<Vec<(String, String)>> {
    let answer = connection.query(
        "SELECT column_name::text, data_type::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
        params![table],
    )?;
    let columns = answer.rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
    columns.collect()
}

fn kind(types: &[(String, String)], column: &str) -> Result<Kind> {
    let found = types.iter().find(|(name, _)| name == column);
    match found.map(|(_, kind)| kind.as_str()) {
        Some("bigint" | "integer") => Ok(Kind::Integer),
        Some("text") => Ok(Kind::Text),
        Some("bytea") => Ok(Kind::Bytes),
        _ => Err(damaged(
            format!("the column `{column}`"),
            "it is unexpected",
        )),
    }
}

/// Lets the next ids follow those of the rows that were added.
fn continue_ids(connection: &Connection) -> Result<()> {
    for (sequence, table) in [
        ("event_ids", "event"),
        ("run_ids", "run"),
        ("claim_ids", "claim"),
        ("delivery_ids", "delivery"),
    ] {
        connection.run_script(&format!(
            "SELECT setval('{sequence}', max(id)) FROM {table} HAVING max(id) IS NOT NULL"
        ))?;
    }
    let answer = connection.query(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = current_schema() AND is_identity = 'YES'",
        &[],
    )?;
    for row in &answer.rows {
        let (table, column): (String, String) = (row.get(0)?, row.get(1)?);
        connection.run_script(&format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column}))
             FROM {table} HAVING max({column}) IS NOT NULL"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;
    use promoflow_store::transfer::TABLES;

    /// The tables that only this engine has.
    const OWN: [&str; 7] = [
        "barrier",
        "claim_count",
        "host",
        "lease",
        "run_count",
        "seat",
        "share",
    ];

    #[test]
    fn every_table_is_moved() {
        let database = promoflow_test_postgres::database();
        let store = PostgresStore::open(database.address()).unwrap();
        let found = store.read(|transaction| {
            transaction.rows(
                "SELECT relname::text FROM pg_class
                 WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
                &[],
            )
        });
        let found = found.unwrap();
        let mut tables: Vec<String> = found.iter().map(|row| row.get(0).unwrap()).collect();
        tables.sort();
        let mut moved = [TABLES, &OWN].concat();
        moved.sort_unstable();
        assert_eq!(tables, moved);
    }
}
