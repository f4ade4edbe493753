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

    /// Returns the address of a database.
    pub(crate) fn address(&self, database: &str) -> String {
        let Psql { port, password, .. } = self;
        format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}")
    }

    /// Executes a statement in a database.
    pub(crate) fn execute(&self, database: &str, sql: &str) -> Result<(), Error> {
        let mut command = Command::new(self.programs.path("psql"));
        self.programs.prepare(&mut command);
        command
            .args(["--no-psqlrc", "--quiet", "--command", sql])
            // Other than arguments, variables are not shown to other users.
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .env("PGPASSWORD", &self.password)
            .env("PGDATABASE", database);
        let output = command.output().map_err(Error::of("run psql"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Error(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }
}
