//! Processor time of this process's threads, by thread name.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Microseconds of processor time by role: `committer`, `workers`, `sender` (the measuring thread)
/// and `others`. Read from Linux's `/proc`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent(BTreeMap<&'static str, f64>);

impl Spent {
    /// Returns the processor time of the live threads so far.
    pub(crate) fn so_far() -> Result<Spent> {
        let mut spent = Spent::default();
        let own = fs::read_link("/proc/thread-self").context("/proc is not readable")?;
        for thread in fs::read_dir("/proc/self/task")? {
            let thread = thread?;
            // A thread may end while it is read.
            let (Ok(name), Ok(times)) = (
                fs::read_to_string(thread.path().join("comm")),
                fs::read_to_string(thread.path().join("schedstat")),
            ) else {
                continue;
            };
            let nanos: f64 = times
                .split_whitespace()
                .next()
                .context("a time")?
                .parse()
                .context("a time is a number")?;
            let does = match name.trim() {
                _ if own.file_name() == Some(&thread.file_name()) => "sender",
                "committer" => "committer",
                worker if worker.starts_with("worker") => "workers",
                _ => "others",
            };
            *spent.0.entry(does).or_default() += nanos / 1e3;
        }
        Ok(spent)
    }

    /// Returns the processor time since `before`, divided by `count`.
    pub(crate) fn since(&self, before: &Spent, count: f64) -> Spent {
        let since = self.0.iter().map(|(does, micros)| {
            let before = before.of(does);
            (*does, (micros - before) / count)
        });
        Spent(since.collect())
    }

    pub(crate) fn of(&self, does: &str) -> f64 {
        self.0.get(does).copied().unwrap_or_default()
    }
}
