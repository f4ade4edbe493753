//! `maildir`: each letter becomes a file in a Maildir, the format of D. J. Bernstein's qmail: it
//! is written in `tmp`, made durable, and then renamed into `new`, so that nobody sees half a
//! letter. It is delivered once the folder is durable as well.
//!
//! A file has the name of its letter, the same in each attempt: what is written again after a crash
//! takes its own place, and no other letter's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::mail::mail;
use super::shared_sync::SharedSync;
use super::{Channel, Handover, Letter, Limits};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::message::ChannelKind;

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
                private().create(self.folder.join(part))?;
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

    /// Writes the whole file where nobody looks, and makes it durable.
    fn prepare(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        self.make()?;
        let unfinished = self.folder.join("tmp").join(name);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        failpoint::pass(Failpoint::LetterWritten);
        Ok(unfinished)
    }

    /// Has a file appear that was prepared.
    fn publish(&self, name: &str, unfinished: &Path) -> io::Result<()> {
        let new = self.folder.join("new");
        fs::rename(unfinished, new.join(name))?;
        self.sync.wait(|| make_durable(&new))
    }

    fn failed(&self, error: &io::Error, is_ambiguous: bool) -> Handover {
        Handover::Later {
            error: format!("cannot write to {}: {error}", self.folder.display()),
            after: None,
            unclear: is_ambiguous,
        }
    }
}

/// The name of a letter's file. Installations that share a folder count their deliveries each from
/// one, and so does a database again that was restored from a backup: what the letter says tells
/// them apart.
fn name(letter: &Letter<'_>) -> String {
    let mut digest = Sha256::new();
    for part in [letter.kind.name(), letter.address] {
        digest.update(part);
        digest.update([0]);
    }
    // Texts and lists of them: there is nothing that could not be written.
    digest.update(serde_json::to_vec(letter.content).unwrap_or_default());
    let digest = digest.finalize();
    let digest: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{digest}.promoflow", letter.installation, letter.id)
}

/// To make folders that nobody but their owner looks into: letters hold addresses and promo codes.
/// Folders that are there keep the rights that they have.
fn private() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
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
        let name = name(letter);
        // Until it appears in `new` nobody has got it.
        let unfinished = match self.prepare(&name, &mail.formatted()) {
            Ok(unfinished) => unfinished,
            Err(error) => return self.failed(&error, false),
        };
        match self.publish(&name, &unfinished) {
            Ok(()) => Handover::Delivered,
            Err(error) => self.failed(&error, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::message::Content;

    #[test]
    #[cfg(unix)]
    fn a_folder_that_is_made_is_for_its_owner_alone_and_one_that_is_there_stays_as_it_is() {
        use std::os::unix::fs::PermissionsExt;
        let there = tempfile::tempdir().unwrap();
        fs::set_permissions(there.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let made = there.path().join("letters");
        for folder in [&made, there.path()] {
            Maildir::new(folder).make().unwrap();
        }
        let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [mode(&made), mode(&made.join("new")), mode(there.path())],
            [0o700, 0o700, 0o755]
        );
    }

    #[test]
    fn a_file_is_replaced_by_its_own_letter_alone() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = Maildir::new(folder.path());
        let write = |installation, address, text: &str| {
            let content = Content {
                subject: Some("A present".into()),
                text: Some(text.into()),
                ..Content::default()
            };
            let letter = Letter {
                unsubscribe: None,
                id: "delivery-1",
                installation,
                kind: ChannelKind::Email,
                address,
                content: &content,
            };
            assert_eq!(maildir.deliver(&letter), Handover::Delivered);
            fs::read_dir(folder.path().join("new")).unwrap().count()
        };
        assert_eq!(write("a", "ann@example.com", "A-1"), 1);
        assert_eq!(write("a", "ann@example.com", "A-1"), 1, "another attempt");
        assert_eq!(write("b", "ann@example.com", "A-1"), 2, "another shop");
        // As of a database that was restored.
        assert_eq!(write("a", "ann@example.com", "A-2"), 3, "another text");
        assert_eq!(write("a", "bob@example.com", "A-1"), 4, "another address");
        assert_eq!(write("a", "ann@example.com", "A-1"), 4, "a late attempt");
    }

    #[test]
    fn a_letter_may_have_arrived_only_once_its_file_was_to_appear() {
        let folder = tempfile::tempdir().unwrap();
        let content = Content {
            subject: Some("A present".into()),
            text: Some("A-1".into()),
            ..Content::default()
        };
        let unclear = |maildir: &Maildir| {
            let letter = Letter {
                unsubscribe: None,
                id: "delivery-1",
                installation: "a",
                kind: ChannelKind::Email,
                address: "ann@example.com",
                content: &content,
            };
            match maildir.deliver(&letter) {
                Handover::Later { unclear, .. } => Some(unclear),
                _ => None,
            }
        };
        // No folder, then no file in it, then no place for the finished one.
        fs::write(folder.path().join("file"), "").unwrap();
        let nowhere = Maildir::new(folder.path().join("file"));
        assert_eq!(unclear(&nowhere), Some(false));
        let maildir = Maildir::new(folder.path().join("letters"));
        assert_eq!(unclear(&maildir), None);
        fs::rename(maildir.folder.join("tmp"), maildir.folder.join("gone")).unwrap();
        assert_eq!(unclear(&maildir), Some(false));
        fs::rename(maildir.folder.join("gone"), maildir.folder.join("tmp")).unwrap();
        fs::remove_dir_all(maildir.folder.join("new")).unwrap();
        assert_eq!(unclear(&maildir), Some(true));
    }
}
