//! A test installation: a database in a temporary folder, with everything that a suite sets up in
//! it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use promoflow::channel::Channel;
use promoflow::event::Event;
use promoflow::pool::{Filter, ImportOptions, ImportReport};
use promoflow::run::Receipt;
use promoflow::store::{CodeRow, RunId, RunRow, RunState, StepRecord};
use promoflow::{Builder, EngineHandle, Promoflow};
use promoflow_model::database::Database;
use promoflow_test_support::{Inspect, TestDatabase, inspect};
use tempfile::TempDir;

use crate::{FileChannel, RecordingChannel, TestClock};

/// The message that the workflows here send.
pub const MAIL: &str = "
message: mail
channel: email
subject: A code
text: \"$!data.get('promocode')\"
";

/// The main job: on the event `birthday`, sends a code of the type `birthday` by email; without an
/// available code, the run ends.
pub const CODE_THEN_MAIL: &str = "
workflow: birthday
start: { event: birthday }
steps:
  - id: code
    block: get-promocode
    with: { type: birthday, discount: 10, days: 0 }
    ports: { exhausted: end }
  - id: mail
    block: send-message
    with: { channel: email, message: mail }
";

/// Returns a workflow of one `mischief` step; the event that starts it names the action.
pub fn chaos(action: &str, more: &str) -> String {
    format!(
        "
workflow: w-{action}
start: {{ event: {action} }}
steps:
  - id: bad
    block: mischief
    with: {{ do: {action}, type: birthday, discount: 10{more} }}
    ports: {{ other: end }}
"
    )
}

/// Polls until a condition holds.
///
/// # Panics
/// If the condition does not hold within half a minute.
pub fn until(is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("the condition did not hold in time");
}

/// Returns the runs of receipts.
pub fn ids(receipts: &[Receipt]) -> Vec<RunId> {
    receipts
        .iter()
        .flat_map(|receipt| receipt.runs.clone())
        .collect()
}

/// A test installation's database, clock and channel.
pub struct TestApp {
    folder: TempDir,
    database: TestDatabase,
    /// Clock of everything opened here.
    pub clock: TestClock,
    /// Delivered messages.
    pub channel: RecordingChannel,
}

impl Default for TestApp {
    fn default() -> TestApp {
        TestApp::new()
    }
}

impl TestApp {
    /// Creates an installation without a database, at 2026-06-01 12:00 UTC.
    ///
    /// # Panics
    /// If the folder cannot be created. The other methods panic if their operation fails.
    pub fn new() -> TestApp {
        TestApp::create(TestDatabase::new)
    }

    /// Creates an installation for a test about SQLite files: its database is one, whichever engine
    /// is selected.
    ///
    /// # Panics
    /// If the folder cannot be created.
    pub fn with_file() -> TestApp {
        TestApp::create(TestDatabase::File)
    }

    fn create(database: impl Fn(PathBuf) -> TestDatabase) -> TestApp {
        let folder = tempfile::tempdir().expect("cannot create a temporary folder");
        TestApp {
            database: database(folder.path().join("shop.db")),
            folder,
            clock: TestClock::at("2026-06-01T12:00:00Z"),
            channel: RecordingChannel::default(),
        }
    }

    /// Creates an installation with the main job and `count` codes of its type, `C-0000` onwards.
    pub fn with_codes(count: usize) -> (TestApp, Promoflow) {
        TestApp::new().add_codes(count)
    }

    /// Creates an installation like [`with_codes`](Self::with_codes) for a test about SQLite files.
    pub fn with_codes_in_file(count: usize) -> (TestApp, Promoflow) {
        TestApp::with_file().add_codes(count)
    }

    fn add_codes(self, count: usize) -> (TestApp, Promoflow) {
        let app = self;
        let promoflow = app.open();
        promoflow.add_messages(MAIL);
        promoflow.add_workflows(CODE_THEN_MAIL);
        if count > 0 {
            promoflow.import_codes(&csv(count));
        }
        (app, promoflow)
    }

    /// Returns the address of the database.
    pub fn address(&self) -> &str {
        self.database.address()
    }

    /// Returns the database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Returns the messages that helper processes delivered.
    pub fn helper_messages(&self) -> FileChannel {
        FileChannel(self.sibling("messages"))
    }

    /// Returns the path of a file or folder of the installation.
    pub fn sibling(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns a builder with the block `mischief` and this installation's clock and channel.
    pub fn builder(&self) -> Builder {
        self.builder_at(self.address(), &self.channel)
    }

    /// Returns a builder with another channel in front of the installation's own.
    pub fn builder_before(&self, channel: impl Channel + 'static) -> Builder {
        builder(self.address())
            .clock(self.clock.clone())
            .channel(channel)
            .channel(self.channel.clone())
    }

    /// Returns a builder for another database, with a separate channel.
    pub fn builder_at(&self, database: impl Into<Database>, channel: &RecordingChannel) -> Builder {
        builder(database)
            .clock(self.clock.clone())
            .channel(channel.clone())
    }

    /// Opens the installation.
    pub fn open(&self) -> Promoflow {
        self.builder().open().expect("cannot open the database")
    }

    /// Opens the rows of the database, independently of the library.
    pub fn inspect(&self) -> Box<dyn Inspect> {
        inspect(self.address()).expect("cannot open the database")
    }
}

/// The component of the misbehaving block, the only one in its folder. `cargo xtask blocks` builds
/// it from `tests/guest`.
pub const MISCHIEF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mischief.wasm");

/// Returns the cache of compiled blocks that programs of one target folder share.
pub fn block_cache() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    program.with_file_name("compiled-blocks")
}

/// Returns a builder with the misbehaving block.
pub(crate) fn builder(database: impl Into<Database>) -> Builder {
    let mischief = Path::new(MISCHIEF);
    let folder = mischief.parent().expect("a file has a parent folder");
    Promoflow::builder(database)
        .blocks(folder)
        .cache(block_cache())
        .workers(4)
}

/// Returns `count` codes of the main job's type.
fn csv(count: usize) -> String {
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in 0..count {
        csv.push_str(&format!("C-{number:04},2999-12-31,10,birthday\n"));
    }
    csv
}

/// Shorthands that suites use on an installation; an error ends the test.
pub trait PromoflowExt {
    /// Applies messages.
    fn add_messages(&self, yaml: &str);
    /// Applies workflows.
    fn add_workflows(&self, yaml: &str);
    /// Uploads codes, all of which must be accepted.
    fn import_codes(&self, csv: &str) -> ImportReport;
    /// Returns every code, ordered by text.
    fn all_codes(&self) -> Vec<CodeRow>;
    /// Returns the available codes, ordered by text.
    fn available_codes(&self) -> Vec<String>;
    /// Returns a run that must exist.
    fn run_of(&self, run: RunId) -> (RunRow, Vec<StepRecord>);
    /// Sends an event about the address, waits until its runs are idle, and returns the last one.
    fn run_event(&self, running: &EngineHandle, kind: &str, address: &str) -> RunId;
    /// Sends an event of the main job and returns its code, or `None` if the run ended without one.
    fn birthday(&self, running: &EngineHandle, address: &str) -> Option<String>;
    /// Returns the code of a run.
    fn code_of(&self, run: RunId) -> Option<String>;
    /// Asserts that the audit holds.
    fn assert_audit(&self);
}

impl PromoflowExt for Promoflow {
    fn add_messages(&self, yaml: &str) {
        let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let file = self
            .apply_messages("messages", yaml.as_bytes(), &no_files)
            .expect("cannot apply messages");
        assert!(!file.applied.is_empty(), "{:#?}", file.diagnostics);
    }

    fn add_workflows(&self, yaml: &str) {
        let file = self
            .apply_workflows("workflows", yaml.as_bytes())
            .expect("cannot apply workflows");
        assert!(!file.applied.is_empty(), "{:#?}", file.diagnostics);
    }

    fn import_codes(&self, csv: &str) -> ImportReport {
        let report = self
            .import(csv.as_bytes(), &ImportOptions::default(), &mut |_| ())
            .expect("the upload failed");
        assert_eq!(report.rejected, 0, "{:#?}", report.errors);
        report
    }

    fn all_codes(&self) -> Vec<CodeRow> {
        let mut codes = Vec::new();
        self.codes(&Filter::default(), |code| {
            codes.push(code);
            ControlFlow::Continue(())
        })
        .expect("cannot list codes");
        codes
    }

    fn available_codes(&self) -> Vec<String> {
        let unused = self.all_codes().into_iter().filter(|code| !code.in_use);
        unused.map(|code| code.code).collect()
    }

    fn run_of(&self, run: RunId) -> (RunRow, Vec<StepRecord>) {
        let found = self.run(run).expect("cannot read the run");
        found.expect("no such run")
    }

    fn run_event(&self, running: &EngineHandle, kind: &str, address: &str) -> RunId {
        let event = Event::new(kind, address).with_param("EmailAddress", address);
        let receipt = running.send(event).expect("the event was rejected");
        running
            .wait_idle(&receipt.runs)
            .expect("the runs did not become idle");
        *receipt.runs.last().expect("the event started no run")
    }

    fn birthday(&self, running: &EngineHandle, address: &str) -> Option<String> {
        let run = self.run_event(running, "birthday", address);
        let (row, _) = self.run_of(run);
        assert_eq!(row.state, RunState::Completed, "{row:?}");
        self.code_of(run)
    }

    fn code_of(&self, run: RunId) -> Option<String> {
        let (_, steps) = self.run_of(run);
        steps.into_iter().rev().find_map(|step| {
            let value = step.data.get("promocode")?;
            Some(value.as_str().expect("the code is not text").to_owned())
        })
    }

    fn assert_audit(&self) {
        let audited = self.audit().expect("the audit failed");
        let broken: Vec<_> = audited.iter().filter(|one| !one.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(audited.iter().any(|one| one.checked > 0), "nothing checked");
    }
}
