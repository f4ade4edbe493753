//! The load: files of events and of codes. A file whose process was killed is sent again.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;

use super::process::Job;
use super::random::Random;

/// Events in a file.
const EVENTS: usize = 60;
/// Codes in a file.
const CODES: usize = 400;

/// Makes jobs, and keeps those that are to be done again.
pub(crate) struct Load {
    folder: PathBuf,
    made: usize,
    again: Vec<Job>,
    /// Events that were written into files.
    pub(crate) events: usize,
}

impl Load {
    pub(crate) fn new(folder: PathBuf) -> Load {
        Load {
            folder,
            made: 0,
            again: Vec::new(),
            events: 0,
        }
    }

    /// The job is not known to be done.
    pub(crate) fn again(&mut self, job: Job) {
        if !matches!(job, Job::Work) {
            self.again.push(job);
        }
    }

    /// What is left to be done again.
    pub(crate) fn left(&mut self) -> Vec<Job> {
        std::mem::take(&mut self.again)
    }

    /// A file of events: half the time one that was sent before and not to its end.
    pub(crate) fn send(&mut self, random: &mut Random) -> Result<Job> {
        let known = self
            .again
            .iter()
            .position(|job| matches!(job, Job::Send { .. }));
        let waits = !random.once_in(3);
        if let Some(known) = known.filter(|_| random.once_in(2))
            && let Job::Send { file, .. } = self.again.swap_remove(known)
        {
            return Ok(Job::Send { file, waits });
        }
        self.made += 1;
        let mut text = String::new();
        for number in 0..EVENTS {
            let id = format!("e{}-{number}", self.made);
            writeln!(
                text,
                r#"{{"id":"{id}","eventTypeKey":"birthday","keyValue":"{id}","params":{{"EmailAddress":"{id}@example.com"}}}}"#
            )?;
        }
        self.events += EVENTS;
        let file = self.folder.join(format!("events-{}.jsonl", self.made));
        std::fs::write(&file, text)?;
        Ok(Job::Send { file, waits })
    }

    /// A file of codes: half the time one that was uploaded before and not to its end.
    pub(crate) fn import(&mut self, random: &mut Random) -> Result<Job> {
        let known = self
            .again
            .iter()
            .position(|job| matches!(job, Job::Import { .. }));
        if let Some(known) = known.filter(|_| random.once_in(2)) {
            return Ok(self.again.swap_remove(known));
        }
        self.import_of(CODES)
    }

    /// A new file of so many codes.
    pub(crate) fn import_of(&mut self, count: usize) -> Result<Job> {
        self.made += 1;
        let upload = self.made;
        let codes: Vec<String> = (0..count)
            .map(|number| format!("U{upload}-{number}"))
            .collect();
        let mut text = "code,expirationDate,discount,type\n".to_owned();
        for code in &codes {
            writeln!(text, "{code},2999-12-31,10,birthday")?;
        }
        let file = self.folder.join(format!("codes-{upload}.csv"));
        std::fs::write(&file, text)?;
        Ok(Job::Import { file, codes })
    }
}
