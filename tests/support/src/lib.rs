//! The `promoflow` binary in a temporary folder, for the suites that drive it, and the rows of a
//! database.

mod inspect;
mod test_database;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

pub use test_database::{ENGINE_VARIABLE, TestDatabase, TestEngine};

pub use inspect::{Change, Column, FromRow, FromValue, Inspect, InspectError, Value, inspect};

/// The database of commands that name none.
const DEFAULT_DATABASE: &str = "promoflow.db";

/// Variables that would change what the binary does.
const VARIABLES: [&str; 4] = [
    "PROMOFLOW_DB",
    "PROMOFLOW_BLOCKS",
    "PROMOFLOW_CACHE",
    "PROMOFLOW_CONFIG",
];

/// An installation in a temporary folder. Its methods panic if their operation fails.
pub struct TestApp {
    program: &'static str,
    folder: TempDir,
    /// Created when a test first needs it.
    database: OnceLock<TestDatabase>,
}

impl TestApp {
    /// Creates an empty folder. `program` is `env!("CARGO_BIN_EXE_promoflow")`, which only a suite
    /// of the binary's own package knows.
    ///
    /// # Panics
    /// If the folder cannot be created.
    pub fn new(program: &'static str) -> TestApp {
        TestApp {
            program,
            folder: tempfile::tempdir().expect("cannot create a temporary folder"),
            database: OnceLock::new(),
        }
    }

    /// Creates an empty folder, for a test about SQLite files: its database is one, whichever engine
    /// is selected.
    ///
    /// # Panics
    /// If the folder cannot be created.
    pub fn with_file(program: &'static str) -> TestApp {
        let app = TestApp::new(program);
        let file = TestDatabase::File(app.path(DEFAULT_DATABASE));
        TestApp {
            database: OnceLock::from(file),
            ..app
        }
    }

    /// Returns the database of the commands, `promoflow.db` in the folder if it is a file.
    ///
    /// # Panics
    /// If no server can be started.
    pub fn database(&self) -> &TestDatabase {
        let create = || TestDatabase::new(self.path(DEFAULT_DATABASE));
        self.database.get_or_init(create)
    }

    /// Returns the folder of messages if no channel is configured.
    ///
    /// # Panics
    /// If no server can be started.
    pub fn maildir(&self) -> PathBuf {
        self.path(match self.database() {
            TestDatabase::File(_) => "promoflow.db-mail",
            TestDatabase::Postgres(_) => "promoflow-mail",
        })
    }

    /// Opens the rows of the database, independently of the program.
    ///
    /// # Panics
    /// If they cannot be opened.
    pub fn inspect(&self) -> Box<dyn Inspect> {
        inspect(self.database().address()).expect("cannot open the database")
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Writes a file in the folder and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, content).expect("cannot write the file");
        file
    }

    /// Returns a command that runs in the folder.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(args).current_dir(self.folder());
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        // A file is the default in its folder.
        if let TestDatabase::Postgres(database) = self.database() {
            command.env("PROMOFLOW_DB", database.address());
        }
        command
    }

    /// Runs a command.
    ///
    /// # Panics
    /// If the binary cannot be started.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args)
            .output()
            .expect("cannot start the binary")
    }

    /// Runs a command that must succeed, and returns standard output and standard error.
    ///
    /// # Panics
    /// If the command fails.
    #[track_caller]
    pub fn succeed(&self, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(0), "{args:?}: {stdout}{stderr}");
        (stdout, stderr)
    }

    /// Runs a command that must succeed with `--json`, and returns its first line.
    ///
    /// # Panics
    /// If the command fails or prints no JSON.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let (printed, _) = self.succeed(&[args, &["--json"]].concat());
        let line = printed.lines().next().expect("the command printed nothing");
        serde_json::from_str(line).expect("the line is not JSON")
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the output is not UTF-8")
}
