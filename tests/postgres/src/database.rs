//! A database of a test.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::psql::Psql;
use crate::{Error, Server};

/// A database that is removed when this value is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    psql: Psql,
    name: String,
    address: String,
    /// The number of copies.
    copies: AtomicU64,
}

impl TestDatabase {
    pub(crate) fn create(psql: Psql, name: String) -> TestDatabase {
        TestDatabase::create_from(psql, name, "template0")
    }

    fn create_from(psql: Psql, name: String, template: &str) -> TestDatabase {
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'");
        if let Err(error) = psql.execute("postgres", &sql) {
            panic!("cannot create a database: {error}");
        }
        let address = psql.address(&name);
        TestDatabase {
            psql,
            name,
            address,
            copies: AtomicU64::new(0),
        }
    }

    /// Copies the database, which nobody may be connected to.
    ///
    /// # Panics
    /// If the server does not copy it.
    pub fn copy(&self) -> TestDatabase {
        let copy = self.copies.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}_{copy}", self.name);
        TestDatabase::create_from(self.psql.clone(), name, &self.name)
    }

    /// Returns the address: `postgres://postgres:PASSWORD@127.0.0.1:PORT/NAME`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the address of the database behind any of these ports of this machine, such as those
    /// of proxies, or of a primary and its standby.
    pub fn address_at(&self, ports: &[u16]) -> String {
        self.psql.address_at(ports, &self.name)
    }

    /// Executes a statement with `psql`.
    pub fn execute(&self, sql: &str) -> Result<(), Error> {
        self.psql.execute(&self.name, sql)
    }

    /// Returns the rows of a query, executed with `psql`: the values of each as text, NULL as an
    /// empty one.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        self.psql.query(&self.name, sql)
    }

    /// Returns the rows of a query of this database on another server, such as the standby.
    pub fn query_on(&self, server: &Server, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        server.psql.query(&self.name, sql)
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
