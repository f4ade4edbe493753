//! The messages that left: the Maildir next to the database, read like a mail program reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// One message and the number of times it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MailMessage {
    pub(crate) address: String,
    pub(crate) code: String,
    /// Number of copies found.
    pub(crate) times: u32,
}

/// All messages so far, by delivery id.
pub(crate) struct Mailbox {
    folder: PathBuf,
    pub(crate) messages: BTreeMap<i64, MailMessage>,
    /// Violations: repeated messages that differ.
    pub(crate) violations: Vec<String>,
}

impl Mailbox {
    pub(crate) fn new(folder: PathBuf) -> Mailbox {
        Mailbox {
            folder,
            messages: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Reads new messages and moves them to `cur`, so that a repeated message shows up as new
    /// again.
    pub(crate) fn collect(&mut self) -> Result<()> {
        let Ok(new) = fs::read_dir(self.folder.join("new")) else {
            return Ok(());
        };
        for entry in new {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let read = self.folder.join("cur").join(&*name);
            fs::rename(&path, &read)?;
            // The name holds the installation, `delivery`, the delivery id, and the content's
            // digest.
            let delivery = (name
                .split('-')
                .skip_while(|part| *part != "delivery")
                .nth(1))
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("{name}: not the file name of a message"))?;
            let message = parse(&fs::read_to_string(&read)?)
                .with_context(|| format!("{name}: not a message"))?;
            self.take(delivery, message);
        }
        Ok(())
    }

    fn take(&mut self, delivery: i64, message: MailMessage) {
        let known = self.messages.entry(delivery).or_insert(MailMessage {
            times: 0,
            ..message.clone()
        });
        known.times += 1;
        if (&known.address, &known.code) != (&message.address, &message.code) {
            let violation = format!("delivery {delivery} left as {known:?}, and as {message:?}");
            self.violations.push(violation);
        }
    }

    /// Returns the number of messages that were written more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.messages.values().filter(|one| one.times > 1).count()
    }
}

fn parse(mail: &str) -> Option<MailMessage> {
    let (head, body) = mail.split_once("\r\n\r\n")?;
    let address = head.lines().find_map(|line| line.strip_prefix("To: "))?;
    Some(MailMessage {
        address: address.trim().to_owned(),
        code: body.trim().to_owned(),
        times: 1,
    })
}
