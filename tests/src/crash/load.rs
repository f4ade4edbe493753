//! The load: files of events and files of codes. A file whose process was killed is sent again.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::process::Job;
use super::random::Random;

/// Events per file.
const EVENTS: usize = 60;
/// Codes per file.
const CODES: usize = 400;
/// Codes per file for waiting runs: fewer than there are waiting runs, so that their pool runs out.
const CODES_FOR_WAITING: usize = 8;
/// Number of contacts that keep their code.
const KEEPERS: usize = 12;
/// Longest time in milliseconds that a run waits for the time in its event.
pub(crate) const MAX_WAIT_MILLIS: u64 = 2_500;

/// Workflows next to the main job: runs that wait for a refill, send their code and wait for a
/// time, so that they can be cancelled after the code may have left; and runs that wait for a time
/// with the code that their contact shares.
pub(crate) const WORKFLOWS: &str = "
workflow: patient
start: { event: patient }
steps:
  - id: code
    block: get-promocode
    with: { type: patient, discount: 10, days: 0, when-empty: wait }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
  - id: sleep
    block: mischief
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
---
workflow: keeper
start: { event: keeper }
steps:
  - id: code
    block: get-promocode
    with: { type: keeper, discount: 10, days: 0, when-empty: wait, reuse: { contact: 300d } }
  - id: sleep
    block: mischief
    with: { do: wait, until: $!data.get('until') }
    ports: { other: end }
  - { id: mail, block: send-message, with: { channel: email, message: mail } }
";

/// Creates jobs and keeps those that must be repeated.
pub(crate) struct Load {
    folder: PathBuf,
    made: usize,
    repeats: Vec<Job>,
    /// Number of events in files, and of those that wait for a code.
    pub(crate) events: usize,
    patient: usize,
}

impl Load {
    pub(crate) fn new(folder: PathBuf) -> Load {
        Load {
            folder,
            made: 0,
            repeats: Vec::new(),
            events: 0,
            patient: 0,
        }
    }

    /// Queues a job whose completion is unknown.
    pub(crate) fn requeue(&mut self, job: Job) {
        if !matches!(job, Job::Work | Job::Cancel { .. }) {
            self.repeats.push(job);
        }
    }

    /// Takes the jobs that must be repeated.
    pub(crate) fn take_repeats(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.repeats)
    }

    /// Returns a file of events: half of the time one that was sent before without finishing.
    pub(crate) fn send(&mut self, random: &mut Random) -> Result<Job> {
        let known = self
            .repeats
            .iter()
            .position(|job| matches!(job, Job::Send { .. }));
        let waits = !random.once_in(3);
        if let Some(known) = known.filter(|_| random.once_in(2))
            && let Job::Send { file, .. } = self.repeats.swap_remove(known)
        {
            return Ok(Job::Send { file, waits });
        }
        self.made += 1;
        let mut text = String::new();
        let soon = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        for number in 0..EVENTS {
            // The comparison derives what an event starts from the first letter of its id.
            let (kind, letter) = match number % 6 {
                0 => ("patient", 'p'),
                1 => ("keeper", 'k'),
                _ => ("birthday", 'e'),
            };
            let id = format!("{letter}{}-{number}", self.made);
            let name = match kind {
                "keeper" => format!("c{}", random.below(KEEPERS as u64)),
                _ => id.clone(),
            };
            self.patient += usize::from(kind == "patient");
            let until = soon + random.below(MAX_WAIT_MILLIS);
            writeln!(
                text,
                r#"{{"id":"{id}","eventTypeKey":"{kind}","keyValue":"{name}","params":{{"EmailAddress":"{name}@example.com","until":"{until}"}}}}"#
            )?;
        }
        self.events += EVENTS;
        let file = self.folder.join(format!("events-{}.jsonl", self.made));
        std::fs::write(&file, text)?;
        Ok(Job::Send { file, waits })
    }

    /// Returns a file of codes: half of the time one that was uploaded before without finishing.
    pub(crate) fn import(&mut self, random: &mut Random) -> Result<Job> {
        let known = self
            .repeats
            .iter()
            .position(|job| matches!(job, Job::Import { .. }));
        if let Some(known) = known.filter(|_| random.once_in(2)) {
            return Ok(self.repeats.swap_remove(known));
        }
        self.import_of(CODES, CODES_FOR_WAITING)
    }

    /// Returns a file with a code for every run that may wait for one.
    pub(crate) fn refill(&mut self) -> Result<Job> {
        self.import_of(0, self.patient)
    }

    /// Returns a new file with `count` codes of the main job and `awaited` codes for waiting runs.
    pub(crate) fn import_of(&mut self, count: usize, awaited: usize) -> Result<Job> {
        self.made += 1;
        let upload = self.made;
        let mut codes = Vec::new();
        let mut text = "code,expirationDate,discount,type\n".to_owned();
        for (kind, count) in [
            ("birthday", count),
            ("patient", awaited),
            ("keeper", KEEPERS),
        ] {
            for number in 0..count {
                let code = format!("U{upload}-{kind}-{number}");
                writeln!(text, "{code},2999-12-31,10,{kind}")?;
                codes.push(code);
            }
        }
        let file = self.folder.join(format!("codes-{upload}.csv"));
        std::fs::write(&file, text)?;
        Ok(Job::Import { file, codes })
    }
}
