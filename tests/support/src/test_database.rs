//! The database of a test, on the engine that is tested.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Selects the engine of tests that run on every engine: `sqlite` (default) or `postgres`.
pub const ENGINE_VARIABLE: &str = "PROMOFLOW_TEST_ENGINE";

/// An engine that suites run on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TestEngine {
    /// A SQLite file for each test.
    Sqlite,
    /// A database for each test, on a throw-away PostgreSQL server.
    Postgres,
}

impl TestEngine {
    /// Returns the engine that the environment selects.
    ///
    /// # Panics
    /// If it is unknown.
    pub fn selected() -> TestEngine {
        match env::var(ENGINE_VARIABLE).as_deref() {
            Err(env::VarError::NotPresent) | Ok("" | "sqlite") => TestEngine::Sqlite,
            Ok("postgres") => TestEngine::Postgres,
            other => panic!("{ENGINE_VARIABLE} is {other:?}; expected sqlite or postgres"),
        }
    }
}

/// A database that exists for one test.
pub enum TestDatabase {
    /// A SQLite file, which need not exist yet.
    File(PathBuf),
    /// An empty database of PostgreSQL, which is removed when this value is dropped.
    Postgres(promoflow_test_postgres::TestDatabase),
}

impl TestDatabase {
    /// Returns an empty database on the selected engine: this file, if that is SQLite.
    pub fn new(file: impl Into<PathBuf>) -> TestDatabase {
        match TestEngine::selected() {
            TestEngine::Sqlite => TestDatabase::File(file.into()),
            TestEngine::Postgres => TestDatabase::Postgres(promoflow_test_postgres::database()),
        }
    }

    /// Returns the address, which every option and function for a database accepts.
    ///
    /// # Panics
    /// If the path of the file is not UTF-8.
    pub fn address(&self) -> &str {
        match self {
            TestDatabase::File(file) => file.to_str().expect("the path is not UTF-8"),
            TestDatabase::Postgres(database) => database.address(),
        }
    }

    /// Returns the file.
    ///
    /// # Panics
    /// If the database is not a SQLite file. A test about files must create its database as one on
    /// every engine.
    pub fn file(&self) -> &Path {
        match self {
            TestDatabase::File(file) => file,
            TestDatabase::Postgres(_) => panic!("a test about SQLite files selects no engine"),
        }
    }

    /// Copies the database, which no process may have open: into this file, if it is one.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub fn copy(&self, file: impl Into<PathBuf>) -> TestDatabase {
        match self {
            TestDatabase::File(original) => {
                let file = file.into();
                for suffix in ["", "-wal"] {
                    let name = |path: &Path| -> OsString {
                        let mut name = path.as_os_str().to_owned();
                        name.push(suffix);
                        name
                    };
                    if suffix.is_empty() || Path::new(&name(original)).exists() {
                        std::fs::copy(name(original), name(&file)).expect("cannot copy the file");
                    }
                }
                TestDatabase::File(file)
            }
            TestDatabase::Postgres(database) => TestDatabase::Postgres(database.copy()),
        }
    }
}
