//! Helper processes: the library in a process of its own, to run beside others and to be killed.
//!
//! The orders are the arguments; what it tells, a line each, is read here as it comes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use promoflow::store::RunId;

/// A helper that runs. Killed when dropped.
pub struct Helper {
    child: Child,
    told: BufReader<ChildStdout>,
}

/// An acknowledgement of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The event's id.
    pub event: String,
    /// Whether it was known.
    pub duplicate: bool,
    /// Its runs.
    pub runs: Vec<RunId>,
}

impl Helper {
    /// Starts the program with these orders for a database.
    ///
    /// # Panics
    /// Where it cannot be started; the others where it does not do as it was told.
    pub fn start(program: &str, database: &Path, orders: &[&str]) -> Helper {
        let mut child = Command::new(program)
            .arg(database)
            .args(orders)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let told = child.stdout.take().expect("its output is a pipe");
        Helper {
            child,
            told: BufReader::new(told),
        }
    }

    /// The next line that it tells; `None` after the last.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.told.read_line(&mut line).expect("its output is text");
        // What a kill cut off in the middle of a line was not told.
        (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }

    /// Waits for a line.
    pub fn expect(&mut self, wanted: &str) {
        let line = self.line();
        assert_eq!(line.as_deref(), Some(wanted));
    }

    /// The next acknowledgement; `None` when there are no more.
    pub fn ack(&mut self) -> Option<Ack> {
        let line = self.line()?;
        let mut words = line.split(' ');
        if words.next() != Some("accepted") {
            return None;
        }
        let event = words.next().expect("an event's id").to_owned();
        let duplicate = words.next() == Some("again");
        let run = |word: &str| word.parse().expect("a run's number");
        Some(Ack {
            event,
            duplicate,
            runs: words.map(run).collect(),
        })
    }

    /// All acknowledgements until the last.
    pub fn acks(&mut self) -> Vec<Ack> {
        std::iter::from_fn(|| self.ack()).collect()
    }

    /// Ends it by SIGKILL, and gives the acknowledgements that it had still told.
    pub fn kill(&mut self) -> Vec<Ack> {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        self.acks()
    }

    /// Has the program send five events of the main job, under ids with a prefix, and kills it after
    /// so many acknowledgements; gives all that it had told.
    pub fn killed(program: &str, database: &Path, prefix: &str, acks: usize) -> Vec<Ack> {
        let mut helper = Helper::start(program, database, &["send-as", "birthday", prefix, "5"]);
        let mut acknowledged: Vec<_> = (0..acks).filter_map(|_| helper.ack()).collect();
        acknowledged.extend(helper.kill());
        acknowledged
    }

    /// Tells it to end by closing its input, and waits until it has, well.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the helper failed: {status}");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
