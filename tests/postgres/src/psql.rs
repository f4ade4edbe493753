//! Statements, executed by `psql`: this crate needs no client of its own.

use std::process::Command;

use crate::{Error, Programs};

/// The server's administrator.
#[derive(Clone, Debug)]
pub(crate) struct Psql {
    programs: Programs,
    port: u16,
    password: String,
}

impl Psql {
    pub(crate) fn new(programs: Programs, port: u16, password: String) -> Psql {
        Psql {
            programs,
            port,
            password,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Returns the address of a database.
    pub(crate) fn address(&self, database: &str) -> String {
        self.address_at(&[self.port], database)
    }

    /// Returns the address of a database behind any of these ports of this machine.
    pub(crate) fn address_at(&self, ports: &[u16], database: &str) -> String {
        let password = &self.password;
        let hosts: Vec<String> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let hosts = hosts.join(",");
        format!("postgres://postgres:{password}@{hosts}/{database}")
    }

    /// Executes a statement in a database.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> Result<(), Error> {
        self.run(database, sql).map(|_| ())
    }

    /// Returns the rows of a query: the values of each as text, NULL as an empty one.
    pub(crate) fn query(&self, database: &str, sql: &str) -> Result<Vec<Vec<String>>, Error> {
        let output = self.run(database, sql)?;
        let fields = |line: &str| line.split('\t').map(str::to_owned).collect();
        Ok(output.lines().map(fields).collect())
    }

    fn run(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut command = Command::new(self.programs.path("psql"));
        self.programs.prepare(&mut command);
        command
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--field-separator", "\t", "--command", sql])
            // Other than arguments, variables are not shown to other users.
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", &self.password)
            .env("PGDATABASE", database);
        let output = command.output().map_err(Error::of("run psql"))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Error(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }
}
