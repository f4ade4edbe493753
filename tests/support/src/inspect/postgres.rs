//! The rows of a PostgreSQL database.

use bytes::BytesMut;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage};

use super::{Change, Column, Inspect, InspectError, Value};

pub(super) struct Postgres {
    client: Client,
    /// Executes the connection. It is dropped after the client, which closes the connection.
    runtime: Runtime,
}

impl Postgres {
    pub(super) fn open(address: &str) -> Result<Postgres, InspectError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| InspectError(error.to_string()))?;
        let (client, connection) = runtime.block_on(tokio_postgres::connect(address, NoTls))?;
        runtime.spawn(async move {
            // The client reports the error of a connection.
            let _ = connection.await;
        });
        Ok(Postgres { client, runtime })
    }

    fn execute_once(&self, sql: &str, params: &[Value]) -> Result<u64, tokio_postgres::Error> {
        if params.is_empty() {
            let messages = self.runtime.block_on(self.client.simple_query(sql))?;
            let counts = messages.iter().map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => *rows,
                _ => 0,
            });
            return Ok(counts.sum());
        }
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
        self.runtime.block_on(self.client.execute(sql, &params))
    }

    fn batch(&self, sql: &str) -> Result<(), InspectError> {
        Ok(self.runtime.block_on(self.client.batch_execute(sql))?)
    }

    /// Drops a violated constraint: PostgreSQL cannot ignore those of values.
    fn drop_constraint(&self, error: &tokio_postgres::Error) -> Result<(), InspectError> {
        let error = error.as_db_error();
        let names = error.and_then(|error| Some((error.table()?, error.constraint()?)));
        let Some((table, constraint)) = names else {
            return Err(InspectError("an unnamed constraint is violated".to_owned()));
        };
        self.batch(&format!("ALTER TABLE {table} DROP CONSTRAINT {constraint}"))
    }
}

impl Inspect for Postgres {
    fn query(&self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, InspectError> {
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|value| value as _).collect();
        let rows = self.runtime.block_on(self.client.query(sql, &params))?;
        rows.iter().map(values).collect()
    }

    fn execute(&self, sql: &str, params: &[Value]) -> Result<u64, InspectError> {
        loop {
            match self.execute_once(sql, params) {
                Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                    self.drop_constraint(&error)?;
                }
                result => return Ok(result?),
            }
        }
    }

    fn columns(&self, table: &str) -> Result<Vec<Column>, InspectError> {
        let sql = "SELECT attname::text,
                          attnum = ANY (SELECT unnest(indkey) FROM pg_index
                                        WHERE indrelid = attrelid AND indisprimary)
                   FROM pg_attribute
                   WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
                   ORDER BY attnum";
        let columns = <dyn Inspect>::rows(self, sql, &[table.into()])?;
        let columns = columns.into_iter();
        Ok(columns
            .map(|(name, is_key)| Column { name, is_key })
            .collect())
    }

    fn reject(&self, change: Change, table: &str, condition: &str) -> Result<(), InspectError> {
        let trigger = trigger(change, table);
        let kept = match change {
            Change::Delete => "OLD",
            Change::Insert | Change::Update => "NEW",
        };
        // The condition of a trigger itself must not contain a query.
        self.batch(&format!(
            "CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $body$
             BEGIN
                 IF {condition} THEN
                     RAISE EXCEPTION 'a test rejects {change} on {table}';
                 END IF;
                 RETURN {kept};
             END
             $body$;
             CREATE TRIGGER {trigger} BEFORE {change} ON {table}
             FOR EACH ROW EXECUTE FUNCTION {trigger}()"
        ))
    }

    fn accept(&self, change: Change, table: &str) -> Result<(), InspectError> {
        let trigger = trigger(change, table);
        self.batch(&format!(
            "DROP TRIGGER {trigger} ON {table}; DROP FUNCTION {trigger}()"
        ))
    }

    fn lock_writes(&self) -> Result<(), InspectError> {
        let sql = "SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname)
                   FROM pg_class
                   WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
        let tables: String = <dyn Inspect>::row(self, sql, &[])?;
        // Others can read, without locking rows.
        self.batch(&format!("BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE"))
    }

    fn integrity_errors(&self) -> Result<Vec<String>, InspectError> {
        self.batch("CREATE EXTENSION IF NOT EXISTS amcheck")?;
        let of_tables = "SELECT relname || ': ' || msg
                         FROM pg_class, verify_heapam(pg_class.oid)
                         WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
        let mut errors: Vec<String> = <dyn Inspect>::rows(self, of_tables, &[])?;
        let indices = "SELECT quote_ident(relname) FROM pg_class
                       WHERE relkind = 'i' AND relnamespace = current_schema()::regnamespace
                           AND relam = (SELECT oid FROM pg_am WHERE amname = 'btree')";
        for index in <dyn Inspect>::rows::<String>(self, indices, &[])? {
            let check = "SELECT bt_index_check($1::text::regclass, true)::text";
            if let Err(error) = self.query(check, &[index.as_str().into()]) {
                errors.push(format!("{index}: {error}"));
            }
        }
        Ok(errors)
    }

    fn raise_schema_version(&self) -> Result<(), InspectError> {
        let sql = "UPDATE setting SET value = CAST(CAST(value AS bigint) + 1 AS text)
                   WHERE name = 'schema-version'";
        match self.execute(sql, &[])? {
            1 => Ok(()),
            rows => Err(InspectError(format!("{rows} schema versions"))),
        }
    }
}

/// Returns the name of the trigger, and of its function, that reject changes.
fn trigger(change: Change, table: &str) -> String {
    format!("reject_{change}_{table}").to_lowercase()
}

fn values(row: &Row) -> Result<Vec<Value>, InspectError> {
    (0..row.len())
        .map(|column| Ok(row.try_get(column)?))
        .collect()
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(
        of: &Type,
        raw: &'a [u8],
    ) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *of {
            Type::BOOL => Value::Integer(bool::from_sql(of, raw)?.into()),
            Type::INT2 => Value::Integer(i16::from_sql(of, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(of, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(of, raw)?),
            Type::NUMERIC => Value::Integer(integer(raw).ok_or("a number is not an integer")?),
            Type::BYTEA => Value::Bytes(raw.to_owned()),
            _ => Value::Text(String::from_sql(of, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Value, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Value::Null)
    }

    fn accepts(of: &Type) -> bool {
        let numbers = [
            Type::BOOL,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::NUMERIC,
            Type::BYTEA,
        ];
        numbers.contains(of) || <String as FromSql>::accepts(of)
    }
}

/// Returns a number in the binary format of `numeric`, which sums have.
fn integer(raw: &[u8]) -> Option<i64> {
    let mut fields = raw
        .chunks_exact(2)
        .map(|bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    let (digits, weight, sign) = (fields.next()?, fields.next()?, fields.next()?);
    let _scale = fields.next()?;
    // Digits of base 10,000, the first one of that weight; digits after the point would be more.
    if digits > weight + 1 {
        return None;
    }
    let mut number: i64 = 0;
    for _ in 0..=weight {
        let digit = fields.next().unwrap_or(0);
        number = number.checked_mul(10_000)?.checked_add(digit.into())?;
    }
    match sign {
        0 => Some(number),
        0x4000 => Some(-number),
        _ => None,
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, of) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(number), &Type::BOOL) => (*number != 0).to_sql(of, out),
            (Value::Integer(number), &Type::INT2) => i16::try_from(*number)?.to_sql(of, out),
            (Value::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(of, out),
            (Value::Integer(number), &Type::INT8) => number.to_sql(of, out),
            (Value::Text(text), of) if <&str as ToSql>::accepts(of) => text.to_sql(of, out),
            (Value::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(of, out),
            (value, of) => Err(format!("{value:?} is not of type {of}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl From<tokio_postgres::Error> for InspectError {
    fn from(error: tokio_postgres::Error) -> InspectError {
        InspectError(match error.as_db_error() {
            Some(error) => error.to_string(),
            None => error.to_string(),
        })
    }
}
