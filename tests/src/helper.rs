//! Helper processes: the library in a separate process, to run next to others and to be killed.
//!
//! The arguments are the command; the output is read line by line as it arrives.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use promoflow::store::RunId;

use crate::TestApp;

/// A running helper. Killed when dropped.
pub struct Helper {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// An acknowledgement of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Event id.
    pub event: String,
    /// True if the event was known.
    pub duplicate: bool,
    /// Runs of the event.
    pub runs: Vec<RunId>,
}

impl Helper {
    /// Starts the program with a command for an installation.
    ///
    /// # Panics
    /// If the program cannot be started. The other methods panic if it behaves differently than
    /// expected.
    pub fn start(program: &str, app: &TestApp, command: &[&str]) -> Helper {
        let mut child = Command::new(program)
            .arg(app.address())
            .arg(app.helper_messages().0)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cannot start the helper");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        Helper {
            child,
            stdout: BufReader::new(stdout),
        }
    }

    /// Returns the next line; `None` after the last.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).expect("stdout is text");
        // A line cut off by a kill does not count.
        (read > 0 && line.ends_with('\n')).then(|| line.trim_end().to_owned())
    }

    /// Waits for a line.
    pub fn expect(&mut self, wanted: &str) {
        let line = self.line();
        assert_eq!(line.as_deref(), Some(wanted));
    }

    /// Returns the next acknowledgement; `None` if there are no more.
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

    /// Returns all remaining acknowledgements.
    pub fn acks(&mut self) -> Vec<Ack> {
        std::iter::from_fn(|| self.ack()).collect()
    }

    /// Kills the process with SIGKILL and returns the acknowledgements it had still printed.
    pub fn kill(&mut self) -> Vec<Ack> {
        self.child.kill().expect("cannot kill the helper");
        self.child.wait().expect("it ends");
        self.acks()
    }

    /// Sends five events of the main job with ids of a prefix from a helper, kills it after `acks`
    /// acknowledgements, and returns all that it printed.
    pub fn killed(program: &str, app: &TestApp, prefix: &str, acks: usize) -> Vec<Ack> {
        let mut helper = Helper::start(program, app, &["send-as", "birthday", prefix, "5"]);
        let mut acknowledged: Vec<_> = (0..acks).filter_map(|_| helper.ack()).collect();
        acknowledged.extend(helper.kill());
        acknowledged
    }

    /// Closes the process's input and waits for a successful exit.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the helper failed: {status}");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
