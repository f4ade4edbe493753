//! The load's processes: each does one job, and its output goes into the ledger.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::ledger::Ledger;
use crate::MISCHIEF;

/// The job of a process.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Sends the events of a file.
    Send { file: PathBuf, waits: bool },
    /// Uploads the codes of a file.
    Import { file: PathBuf, codes: Vec<String> },
    /// Cancels a run.
    Cancel { run: i64 },
    /// Executes runs until it is killed.
    Work,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Exited with its job done.
    Done,
    /// Exited with an error.
    Failed,
    /// Killed by SIGKILL.
    Killed,
}

/// A running process. Killed when dropped.
pub(crate) struct Process {
    pub(crate) job: Job,
    child: Child,
    reader: Option<JoinHandle<Result<()>>>,
}

/// The program and the database that all processes share.
pub(crate) struct Installation {
    pub(crate) program: PathBuf,
    pub(crate) database: PathBuf,
    /// File that collects the diagnostics of all processes.
    pub(crate) errors: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
}

impl Installation {
    /// Returns the program's command with the database set.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--db").arg(&self.database).arg("--json");
        // For the block that waits for a time.
        let blocks = Path::new(MISCHIEF).parent();
        command.arg("--blocks").args(blocks);
        command.env_remove("PROMOFLOW_FAILPOINT");
        command
    }

    /// Runs a command that must succeed.
    pub(crate) fn succeed(&self, args: &[&str]) -> Result<String> {
        let output = self.command().args(args).output()?;
        if !output.status.success() {
            let stdout = String::from_utf8_lossy(&output.stdout);
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{args:?} ended with {}: {stdout}{error}", output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Returns how many workers have reported so far that they have started.
    pub(crate) fn started_workers(&self) -> Result<usize> {
        let errors = match fs::read_to_string(&self.errors) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            errors => errors?,
        };
        Ok(errors.matches("press Ctrl-C to stop").count())
    }

    /// Starts a process for a job. With `failpoint` it dies there.
    pub(crate) fn start(&self, job: Job, failpoint: Option<&str>) -> Result<Process> {
        let mut command = self.command();
        match &job {
            Job::Send { file, waits } => {
                command.args(["event", "send", "--file"]).arg(file);
                if !waits {
                    command.arg("--no-wait");
                }
            }
            Job::Import { file, .. } => {
                command.args(["codes", "import"]).arg(file);
            }
            Job::Cancel { run } => {
                self.ledger.cancel_requested(*run);
                command.args(["run", "cancel", &run.to_string()]);
            }
            Job::Work => {
                command.arg("work");
            }
        }
        if let Some(failpoint) = failpoint {
            command.env("PROMOFLOW_FAILPOINT", failpoint);
        }
        let errors = File::options()
            .create(true)
            .append(true)
            .open(&self.errors)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .context("cannot start the program")?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let (ledger, of_reader) = (Arc::clone(&self.ledger), job.clone());
        let reader = thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            // A line cut off by a kill was not acknowledged.
            while stdout.read_line(&mut line)? > 0 && line.ends_with('\n') {
                match &of_reader {
                    Job::Send { .. } => ledger.event(&line)?,
                    Job::Import { file, codes } => {
                        ledger.upload(&file.to_string_lossy(), codes, &line)?;
                    }
                    Job::Cancel { .. } | Job::Work => {}
                }
                line.clear();
            }
            Ok(())
        });
        Ok(Process {
            job,
            child,
            reader: Some(reader),
        })
    }
}

impl Process {
    /// Returns how the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>> {
        match self.child.try_wait()? {
            None => Ok(None),
            Some(status) => self.reap(status).map(Some),
        }
    }

    /// Kills the process; it may have finished before.
    pub(crate) fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.reap(status)
    }

    /// Waits for the end; `None` after the time limit.
    pub(crate) fn wait(&mut self, time: Duration) -> Result<Option<Ended>> {
        let until = Instant::now() + time;
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(Some(ended));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn reap(&mut self, status: ExitStatus) -> Result<Ended> {
        if let Some(reader) = self.reader.take() {
            reader.join().ok().context("a reader thread panicked")??;
        }
        Ok(match status.signal() {
            Some(9) => Ended::Killed,
            _ if status.success() => Ended::Done,
            _ => Ended::Failed,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
