//! A shop: a database in a folder of its own, with everything that a suite sets up in it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use promoflow::channel::Channel;
use promoflow::event::Event;
use promoflow::pool::{Filter, ImportOptions, ImportReport};
use promoflow::run::Receipt;
use promoflow::store::{CodeRow, RunId, RunRow, RunState, StepRecord};
use promoflow::{Builder, Promoflow, Running};
use tempfile::TempDir;

use crate::{HandClock, Letters};

/// The message that the workflows here send.
pub const MAIL: &str = "
message: mail
channel: email
subject: A code
text: \"$!data.get('promocode')\"
";

/// The main job: on the event `birthday`, a code of the type `birthday` by email; without one, the
/// run ends.
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

/// A workflow of one step, which the block `mischief` does; the deed is the event that starts it.
pub fn mischief(deed: &str, more: &str) -> String {
    format!(
        "
workflow: w-{deed}
start: {{ event: {deed} }}
steps:
  - id: bad
    block: mischief
    with: {{ do: {deed}, type: birthday, discount: 10{more} }}
    ports: {{ aside: end }}
"
    )
}

/// Waits until something is so.
///
/// # Panics
/// Where it is not so for half a minute.
pub fn until(is_so: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain");
}

/// The runs of receipts.
pub fn ids(receipts: &[Receipt]) -> Vec<RunId> {
    receipts
        .iter()
        .flat_map(|receipt| receipt.runs.clone())
        .collect()
}

/// A shop's database, clock and channel.
pub struct Shop {
    folder: TempDir,
    /// The clock of whatever is opened here.
    pub clock: HandClock,
    /// What was delivered.
    pub letters: Letters,
}

impl Default for Shop {
    fn default() -> Shop {
        Shop::new()
    }
}

impl Shop {
    /// A shop without a database, on 2026-06-01 at noon in UTC.
    ///
    /// # Panics
    /// Where no folder can be made; so do all the others where what they are for cannot be done.
    pub fn new() -> Shop {
        Shop {
            folder: tempfile::tempdir().expect("a folder for the test"),
            clock: HandClock::at("2026-06-01T12:00:00Z"),
            letters: Letters::default(),
        }
    }

    /// A shop with the main job set up, and so many codes of its type, `C-0000` and on.
    pub fn with_codes(count: usize) -> (Shop, Promoflow) {
        let shop = Shop::new();
        let promoflow = shop.open();
        promoflow.messages_of(MAIL);
        promoflow.workflows_of(CODE_THEN_MAIL);
        if count > 0 {
            promoflow.codes_of(&csv(count));
        }
        (shop, promoflow)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// A file or folder beside the database.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An installation here, with the block `mischief`, the clock and the channel of the shop.
    pub fn builder(&self) -> Builder {
        self.builder_at(&self.database(), &self.letters)
    }

    /// An installation here with another channel before the shop's.
    pub fn builder_before(&self, channel: impl Channel + 'static) -> Builder {
        builder(&self.database())
            .clock(self.clock.clone())
            .channel(channel)
            .channel(self.letters.clone())
    }

    /// An installation in another database, with a channel of its own.
    pub fn builder_at(&self, database: &Path, letters: &Letters) -> Builder {
        builder(database)
            .clock(self.clock.clone())
            .channel(letters.clone())
    }

    /// Opens it.
    pub fn open(&self) -> Promoflow {
        self.builder().open().expect("the database opens")
    }

    /// A connection beside those of the library.
    pub fn sql(&self) -> rusqlite::Connection {
        sql(&self.database())
    }
}

/// A connection of our own; foreign keys are not enforced, so that anything can be damaged.
fn sql(database: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(database).expect("the database opens");
    connection
        .execute_batch("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 60000;")
        .expect("a connection takes its settings");
    connection
}

/// An installation with the block `mischief`. Compiled blocks are kept beside it for the next.
pub(crate) fn builder(database: &Path) -> Builder {
    let mischief = Path::new(env!("MISCHIEF_WASM"));
    let folder = mischief.parent().expect("a file stands in a folder");
    Promoflow::builder(database)
        .blocks(folder)
        .cache(folder.join("compiled"))
        .workers(4)
}

/// So many codes of the main job's type.
fn csv(count: usize) -> String {
    let mut csv = "code,expirationDate,discount,type\n".to_owned();
    for number in 0..count {
        csv.push_str(&format!("C-{number:04},2999-12-31,10,birthday\n"));
    }
    csv
}

/// What suites do with an installation; a fault in what they give ends the test.
pub trait Teach {
    /// Applies messages.
    fn messages_of(&self, yaml: &str);
    /// Applies workflows.
    fn workflows_of(&self, yaml: &str);
    /// Uploads codes, none of which is refused.
    fn codes_of(&self, csv: &str) -> ImportReport;
    /// Every code, by its text.
    fn all_codes(&self) -> Vec<CodeRow>;
    /// The unused codes, by their text.
    fn free(&self) -> Vec<String>;
    /// A run that must be there.
    fn run_of(&self, run: RunId) -> (RunRow, Vec<StepRecord>);
    /// Sends an event about the address, waits until its runs rest, and gives the last of them.
    fn one(&self, running: &Running, kind: &str, address: &str) -> RunId;
    /// Sends an event of the main job: the code it got, or `None` where it ended without.
    fn birthday(&self, running: &Running, address: &str) -> Option<String>;
    /// The code that a run got.
    fn code_of(&self, run: RunId) -> Option<String>;
    /// The audit must hold.
    fn audited(&self);
}

impl Teach for Promoflow {
    fn messages_of(&self, yaml: &str) {
        let no_files = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let file = self
            .apply_messages("messages", yaml.as_bytes(), &no_files)
            .expect("the store takes messages");
        assert!(!file.applied.is_empty(), "{:#?}", file.diagnostics);
    }

    fn workflows_of(&self, yaml: &str) {
        let file = self
            .apply_workflows("workflows", yaml.as_bytes())
            .expect("the store takes workflows");
        assert!(!file.applied.is_empty(), "{:#?}", file.diagnostics);
    }

    fn codes_of(&self, csv: &str) -> ImportReport {
        let report = self
            .import(csv.as_bytes(), &ImportOptions::default(), &mut |_| ())
            .expect("the upload is taken");
        assert_eq!(report.rejected, 0, "{:#?}", report.errors);
        report
    }

    fn all_codes(&self) -> Vec<CodeRow> {
        let mut codes = Vec::new();
        self.codes(&Filter::default(), |code| {
            codes.push(code);
            ControlFlow::Continue(())
        })
        .expect("the codes are listed");
        codes
    }

    fn free(&self) -> Vec<String> {
        let unused = self.all_codes().into_iter().filter(|code| !code.in_use);
        unused.map(|code| code.code).collect()
    }

    fn run_of(&self, run: RunId) -> (RunRow, Vec<StepRecord>) {
        let found = self.run(run).expect("the run is read");
        found.expect("the run is there")
    }

    fn one(&self, running: &Running, kind: &str, address: &str) -> RunId {
        let event = Event::new(kind, address).with_param("EmailAddress", address);
        let receipt = running.send(event).expect("the event is accepted");
        running.rest(&receipt.runs).expect("the runs rest");
        *receipt.runs.last().expect("the event starts a run")
    }

    fn birthday(&self, running: &Running, address: &str) -> Option<String> {
        let run = self.one(running, "birthday", address);
        let (row, _) = self.run_of(run);
        assert_eq!(row.state, RunState::Completed, "{row:?}");
        self.code_of(run)
    }

    fn code_of(&self, run: RunId) -> Option<String> {
        let (_, steps) = self.run_of(run);
        steps.into_iter().rev().find_map(|step| {
            let value = step.data.get("promocode")?;
            Some(value.as_str().expect("a code is text").to_owned())
        })
    }

    fn audited(&self) {
        let audited = self.audit().expect("the audit reads");
        let broken: Vec<_> = audited.iter().filter(|one| !one.holds).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(audited.iter().any(|one| one.checked > 0), "nothing checked");
    }
}
