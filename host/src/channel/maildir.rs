//! `maildir`: each letter becomes a file in a Maildir, the format of D. J. Bernstein's qmail: it
//! is written in `tmp`, made durable, and then renamed into `new`, so that nobody sees half a
//! letter. It is delivered once the folder is durable as well.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::mail::mail;
use super::shared_sync::SharedSync;
use super::{Channel, Handover, Letter, Limits};
use crate::failpoint::{self, Failpoint};
use crate::message::ChannelKind;

/// Whom letters are from that name no sender.
const DEFAULT_FROM: &str = "Promoflow <promoflow@localhost>";

/// Letters as files.
#[derive(Debug)]
pub struct Maildir {
    folder: PathBuf,
    made: OnceLock<()>,
    sync: SharedSync,
}

impl Maildir {
    /// Letters go into this folder, which is made with the first of them.
    pub fn new(folder: impl Into<PathBuf>) -> Maildir {
        Maildir {
            folder: folder.into(),
            made: OnceLock::new(),
            sync: SharedSync::default(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn make(&self) -> io::Result<()> {
        if self.made.get().is_none() {
            for part in ["tmp", "new", "cur"] {
                fs::create_dir_all(self.folder.join(part))?;
            }
            make_durable(&self.folder)?;
            if let Some(parent) = self.folder.parent() {
                make_durable(parent)?;
            }
            // Another thread may have been faster.
            let _already = self.made.set(());
        }
        Ok(())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make()?;
        let unfinished = self.folder.join("tmp").join(name);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        failpoint::pass(Failpoint::LetterWritten);
        let new = self.folder.join("new");
        fs::rename(&unfinished, new.join(name))?;
        self.sync.wait(|| make_durable(&new))
    }
}

/// What was made or renamed in a folder outlives a loss of power after this.
fn make_durable(folder: &Path) -> io::Result<()> {
    // The parent of a folder that is named alone.
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        // Elsewhere folders cannot be opened, and the file system sees to it.
        false => Ok(()),
    }
}

impl Channel for Maildir {
    fn takes(&self, _: ChannelKind) -> bool {
        true
    }

    /// Letters that are made durable together cost the disk little more than one.
    fn limits(&self) -> Limits {
        Limits {
            concurrency: 4,
            rate: None,
        }
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let mail = match mail(letter, DEFAULT_FROM) {
            Ok(mail) => mail,
            Err(error) => return Handover::Refused { error },
        };
        match self.write(&format!("{}.promoflow", letter.id), &mail.formatted()) {
            Ok(()) => Handover::Delivered,
            Err(error) => Handover::Later {
                error: format!("cannot write to {}: {error}", self.folder.display()),
                after: None,
                // It may stand in the folder, which could not be made durable.
                unclear: true,
            },
        }
    }
}
