//! What the time goes into: the processor time of this process's threads, by their names.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

/// Microseconds of processor time by what a thread does: `committer`, `workers`, `sender` (the
/// thread that measures) and `others`. As Linux tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spent(BTreeMap<&'static str, f64>);

impl Spent {
    /// What the threads that live have spent so far.
    pub(crate) fn so_far() -> Result<Spent> {
        let mut spent = Spent::default();
        let own = fs::read_link("/proc/thread-self").context("no /proc to ask")?;
        for thread in fs::read_dir("/proc/self/task")? {
            let thread = thread?;
            // A thread may end while it is asked.
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

    /// What was spent since then, for each of so many.
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
