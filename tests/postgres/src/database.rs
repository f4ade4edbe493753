//! A database of a test.

use std::thread;

use crate::Error;
use crate::psql::Psql;

/// A database that is removed when this value is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    psql: Psql,
    name: String,
    address: String,
}

impl TestDatabase {
    pub(crate) fn create(psql: Psql, name: String) -> TestDatabase {
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        if let Err(error) = psql.execute("postgres", &sql) {
            panic!("cannot create a database: {error}");
        }
        let address = psql.address(&name);
        TestDatabase {
            psql,
            name,
            address,
        }
    }

    /// Returns the address: `postgres://postgres:PASSWORD@127.0.0.1:PORT/NAME`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Executes a statement with `psql`.
    pub fn execute(&self, sql: &str) -> Result<(), Error> {
        self.psql.execute(&self.name, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (psql, name) = (self.psql.clone(), self.name.clone());
        // Takes half a second, for which no test should wait. What is left when the process ends goes
        // with the server.
        thread::spawn(move || {
            psql.execute("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"))
        });
    }
}
