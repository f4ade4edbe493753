//! The mail servers and their logs.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Plan;

/// Servers that share a port: a single one accepts fewer emails than the host sends.
const SERVERS: usize = 2;

/// The log of the emails to one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerLog {
    /// Accepted and acknowledged.
    pub(super) taken: u64,
    /// Accepted, but the connection was cut before the acknowledgement.
    pub(super) ambiguous: u64,
    /// Temporarily rejected, at the recipient or after the data.
    pub(super) later: u64,
    /// Permanently rejected.
    pub(super) refused: u64,
    /// Cut off in the middle of the data.
    pub(super) cut: u64,
    /// The accepted emails: identity and text.
    pub(super) mails: Vec<(String, String)>,
}

/// Running servers. Stopped when dropped.
pub(super) struct Servers {
    children: Vec<Child>,
    ledgers: Vec<PathBuf>,
    port: u16,
}

impl Servers {
    pub(super) fn start(plan: &Plan, folder: &Path) -> Result<Servers> {
        let mut servers = Servers {
            children: Vec::new(),
            ledgers: Vec::new(),
            port: 0,
        };
        for number in 0..SERVERS {
            let ledger = folder.join(format!("server-{number}.tsv"));
            let mut child = Command::new(&plan.python)
                .arg(plan.tools.join("fault_server.py"))
                .arg("--ledger")
                .arg(&ledger)
                .args(["--seed", &plan.seed.to_string()])
                .args(["--faults", &plan.faults.to_string()])
                .args(["--forget", &plan.forgets.to_string()])
                .args(["--port", &servers.port.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| {
                    format!(
                        "{} cannot be started: `cargo xtask outbox` and `cargo xtask test` install it",
                        plan.python.display()
                    )
                })?;
            let mut stdout = BufReader::new(child.stdout.take().context("stdout is a pipe")?);
            servers.children.push(child);
            servers.ledgers.push(ledger);
            let mut port = String::new();
            stdout.read_line(&mut port)?;
            servers.port = port.trim().parse().context("the server prints its port")?;
        }
        Ok(servers)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the log so far, by address.
    pub(super) fn logged(&self) -> Result<HashMap<String, ServerLog>> {
        let mut all: HashMap<String, ServerLog> = HashMap::new();
        for ledger in &self.ledgers {
            for line in fs::read_to_string(ledger)?.lines() {
                let mut words = line.split('\t');
                let (Some(word), Some(address)) = (words.next(), words.next()) else {
                    bail!("unknown line in a server's log: `{line}`");
                };
                let logged = all.entry(address.to_owned()).or_default();
                let count = match word {
                    "taken" => &mut logged.taken,
                    "after" => &mut logged.ambiguous,
                    "busy" | "later" => &mut logged.later,
                    "never" | "unwanted" => &mut logged.refused,
                    "middle" => &mut logged.cut,
                    _ => bail!("unknown line in a server's log: `{line}`"),
                };
                *count += 1;
                if let (Some(identity), Some(text)) = (words.next(), words.next()) {
                    logged.mails.push((identity.to_owned(), text.to_owned()));
                }
            }
        }
        Ok(all)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended already.
            let _gone = child.kill();
            let _ended = child.wait();
        }
    }
}
