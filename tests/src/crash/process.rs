//! The processes of the load: each does one job, and what it tells goes into the ledger.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::ledger::Ledger;

/// What a process is started for.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// Sends the events of a file.
    Send { file: PathBuf, waits: bool },
    /// Uploads the codes of a file.
    Import { file: PathBuf, codes: Vec<String> },
    /// Cancels a run.
    Cancel { run: i64 },
    /// Executes until it is killed.
    Work,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, its job done.
    Done,
    /// By itself, with an error.
    Failed,
    /// By SIGKILL.
    Killed,
}

/// A process that runs. Killed when dropped.
pub(crate) struct Process {
    pub(crate) job: Job,
    child: Child,
    reader: Option<JoinHandle<Result<()>>>,
}

/// The program, and the database that all work on.
pub(crate) struct Shop {
    pub(crate) program: PathBuf,
    pub(crate) database: PathBuf,
    /// Where all write their diagnostics.
    pub(crate) errors: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
}

impl Shop {
    /// The program with its database.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--db").arg(&self.database).arg("--json");
        // For the block that waits until a time.
        let blocks = Path::new(env!("MISCHIEF_WASM")).parent();
        command.arg("--blocks").args(blocks);
        command.env_remove("PROMOFLOW_FAILPOINT");
        command
    }

    /// Runs a command to its good end.
    pub(crate) fn succeed(&self, args: &[&str]) -> Result<String> {
        let output = self.command().args(args).output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stdout);
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("{args:?} ended with {}: {told}{error}", output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts a process for a job, to die at a failpoint where one is named.
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
                self.ledger.asked(*run);
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
            .context("the program cannot be started")?;
        let told = child.stdout.take().context("its output is a pipe")?;
        let (ledger, of_reader) = (Arc::clone(&self.ledger), job.clone());
        let reader = thread::spawn(move || {
            let mut told = BufReader::new(told);
            let mut line = String::new();
            // What a kill cut off in the middle of a line was not acknowledged.
            while told.read_line(&mut line)? > 0 && line.ends_with('\n') {
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
    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>> {
        match self.child.try_wait()? {
            None => Ok(None),
            Some(status) => self.reap(status).map(Some),
        }
    }

    /// Ends it by SIGKILL; it may have been faster.
    pub(crate) fn kill(mut self) -> Result<Ended> {
        self.child.kill()?;
        let status = self.child.wait()?;
        self.reap(status)
    }

    /// Waits for its end; `None` where it does not come in time.
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
            reader.join().ok().context("a reader panicked")??;
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
        // It may have ended long ago.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
