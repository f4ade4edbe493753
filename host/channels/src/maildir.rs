//! `maildir`: writes each message to a file in a Maildir, the format of D. J. Bernstein's qmail.
//! The file is written to `tmp`, synced, and then renamed into `new`, so that a partial file is
//! never visible. The message counts as delivered after the folder is synced as well.
//!
//! The file name is derived from the message and is the same in each attempt: an attempt after a
//! crash replaces its own file, and no other message's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::dir_sync::DirSync;
use super::mime::format_email;
use super::{Channel, DeliveryOutcome, Limits, OutboundMessage};
use promoflow_model::failpoint;
use promoflow_model::failpoint::Failpoint;
use promoflow_model::message::ChannelKind;

/// The sender of messages that name none.
const DEFAULT_FROM: &str = "Promoflow <promoflow@localhost>";

/// Writes messages to files.
#[derive(Debug)]
pub struct Maildir {
    folder: PathBuf,
    created: OnceLock<()>,
    sync: DirSync,
}

impl Maildir {
    /// Creates a channel for this folder, which is created with the first message.
    pub fn new(folder: impl Into<PathBuf>) -> Maildir {
        Maildir {
            folder: folder.into(),
            created: OnceLock::new(),
            sync: DirSync::default(),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn create_folders(&self) -> io::Result<()> {
        if self.created.get().is_none() {
            for part in ["tmp", "new", "cur"] {
                private_dir_builder().create(self.folder.join(part))?;
            }
            sync_dir(&self.folder)?;
            if let Some(parent) = self.folder.parent() {
                sync_dir(parent)?;
            }
            // Another thread may have set it first.
            let _already = self.created.set(());
        }
        Ok(())
    }

    /// Writes and syncs the whole file in `tmp`.
    fn prepare(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        self.create_folders()?;
        let temp_file = self.folder.join("tmp").join(name);
        let mut file = File::create(&temp_file)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        failpoint::pass(Failpoint::MessageWritten);
        Ok(temp_file)
    }

    /// Moves a written file to `new`.
    fn publish(&self, name: &str, temp_file: &Path) -> io::Result<()> {
        let new = self.folder.join("new");
        fs::rename(temp_file, new.join(name))?;
        self.sync.wait(|| sync_dir(&new))
    }

    fn failed(&self, error: &io::Error, is_ambiguous: bool) -> DeliveryOutcome {
        DeliveryOutcome::RetryableFailure {
            error: format!("cannot write to {}: {error}", self.folder.display()),
            after: None,
            ambiguous: is_ambiguous,
        }
    }
}

/// Returns the file name of a message. The delivery id alone is not unique in a shared folder or
/// after a database is restored from a backup, so the name also contains a digest of the content.
fn file_name(outbound: &OutboundMessage<'_>) -> String {
    let mut digest = Sha256::new();
    for part in [outbound.kind.name(), outbound.address] {
        digest.update(part);
        digest.update([0]);
    }
    // Serialization cannot fail: the content consists of texts and lists of texts.
    digest.update(serde_json::to_vec(outbound.content).unwrap_or_default());
    let digest = digest.finalize();
    let digest: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!(
        "{}-{}-{digest}.promoflow",
        outbound.installation, outbound.id
    )
}

/// Returns a builder for folders that only their owner can read, because messages contain addresses
/// and promo codes. Existing folders keep their permissions.
fn private_dir_builder() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Syncs a folder, so that new and renamed files in it survive power loss.
fn sync_dir(folder: &Path) -> io::Result<()> {
    // The parent of a relative folder name.
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        // Other systems cannot open folders; their file systems sync them.
        false => Ok(()),
    }
}

impl Channel for Maildir {
    fn supports(&self, _: ChannelKind) -> bool {
        true
    }

    /// Concurrent messages share a sync of the folder, so several cost little more than one.
    fn limits(&self) -> Limits {
        Limits {
            concurrency: 4,
            rate: None,
        }
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        let mail = match format_email(outbound, DEFAULT_FROM) {
            Ok(mail) => mail,
            Err(error) => return DeliveryOutcome::PermanentFailure { error },
        };
        let name = file_name(outbound);
        // The message is not delivered before it appears in `new`.
        let temp_file = match self.prepare(&name, &mail.formatted()) {
            Ok(temp_file) => temp_file,
            Err(error) => return self.failed(&error, false),
        };
        match self.publish(&name, &temp_file) {
            Ok(()) => DeliveryOutcome::Delivered,
            Err(error) => self.failed(&error, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promoflow_model::message::RenderedMessage;

    #[test]
    #[cfg(unix)]
    fn new_folders_are_private_and_existing_ones_keep_their_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let there = tempfile::tempdir().unwrap();
        fs::set_permissions(there.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let created = there.path().join("messages");
        for folder in [&created, there.path()] {
            Maildir::new(folder).create_folders().unwrap();
        }
        let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            [
                mode(&created),
                mode(&created.join("new")),
                mode(there.path())
            ],
            [0o700, 0o700, 0o755]
        );
    }

    #[test]
    fn a_file_is_replaced_only_by_its_own_message() {
        let folder = tempfile::tempdir().unwrap();
        let maildir = Maildir::new(folder.path());
        let write = |installation, address, text: &str| {
            let content = RenderedMessage {
                subject: Some("A present".into()),
                text: Some(text.into()),
                ..RenderedMessage::default()
            };
            let outbound = OutboundMessage {
                unsubscribe: None,
                id: "delivery-1",
                installation,
                kind: ChannelKind::Email,
                address,
                content: &content,
            };
            assert_eq!(maildir.deliver(&outbound), DeliveryOutcome::Delivered);
            fs::read_dir(folder.path().join("new")).unwrap().count()
        };
        assert_eq!(write("a", "ann@example.com", "A-1"), 1);
        assert_eq!(write("a", "ann@example.com", "A-1"), 1, "another attempt");
        assert_eq!(write("b", "ann@example.com", "A-1"), 2, "another shop");
        // As after restoring a database.
        assert_eq!(write("a", "ann@example.com", "A-2"), 3, "another text");
        assert_eq!(write("a", "bob@example.com", "A-1"), 4, "another address");
        assert_eq!(write("a", "ann@example.com", "A-1"), 4, "a late attempt");
    }

    #[test]
    fn a_failure_is_ambiguous_only_from_the_rename_on() {
        let folder = tempfile::tempdir().unwrap();
        let content = RenderedMessage {
            subject: Some("A present".into()),
            text: Some("A-1".into()),
            ..RenderedMessage::default()
        };
        let ambiguous = |maildir: &Maildir| {
            let outbound = OutboundMessage {
                unsubscribe: None,
                id: "delivery-1",
                installation: "a",
                kind: ChannelKind::Email,
                address: "ann@example.com",
                content: &content,
            };
            match maildir.deliver(&outbound) {
                DeliveryOutcome::RetryableFailure { ambiguous, .. } => Some(ambiguous),
                _ => None,
            }
        };
        // First the folder is missing, then `tmp`, then `new`.
        fs::write(folder.path().join("file"), "").unwrap();
        let nowhere = Maildir::new(folder.path().join("file"));
        assert_eq!(ambiguous(&nowhere), Some(false));
        let maildir = Maildir::new(folder.path().join("messages"));
        assert_eq!(ambiguous(&maildir), None);
        fs::rename(maildir.folder.join("tmp"), maildir.folder.join("gone")).unwrap();
        assert_eq!(ambiguous(&maildir), Some(false));
        fs::rename(maildir.folder.join("gone"), maildir.folder.join("tmp")).unwrap();
        fs::remove_dir_all(maildir.folder.join("new")).unwrap();
        assert_eq!(ambiguous(&maildir), Some(true));
    }
}
