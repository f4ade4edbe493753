//! The messages that left: the Maildir beside the database, read as a mail program does.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// One letter, as often as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) address: String,
    pub(crate) code: String,
    /// How often it was found.
    pub(crate) times: u32,
}

/// All letters so far, by the delivery's number.
pub(crate) struct Mailbox {
    folder: PathBuf,
    pub(crate) letters: BTreeMap<i64, Letter>,
    /// Letters that came again and were not the same.
    pub(crate) offences: Vec<String>,
}

impl Mailbox {
    pub(crate) fn new(folder: PathBuf) -> Mailbox {
        Mailbox {
            folder,
            letters: BTreeMap::new(),
            offences: Vec::new(),
        }
    }

    /// Takes what is new, and moves it to what is read: a letter that is written again is new
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
            // The installation, `delivery`, its number, and what the letter says.
            let delivery = (name
                .split('-')
                .skip_while(|part| *part != "delivery")
                .nth(1))
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("{name} is the name of no letter"))?;
            let letter = parse(&fs::read_to_string(&read)?)
                .with_context(|| format!("{name} is no letter"))?;
            self.take(delivery, letter);
        }
        Ok(())
    }

    fn take(&mut self, delivery: i64, letter: Letter) {
        let known = self.letters.entry(delivery).or_insert(Letter {
            times: 0,
            ..letter.clone()
        });
        known.times += 1;
        if (&known.address, &known.code) != (&letter.address, &letter.code) {
            let offence = format!("delivery {delivery} left as {known:?}, and as {letter:?}");
            self.offences.push(offence);
        }
    }

    /// Letters that were written more than once.
    pub(crate) fn repeated(&self) -> usize {
        self.letters.values().filter(|one| one.times > 1).count()
    }
}

fn parse(mail: &str) -> Option<Letter> {
    let (head, body) = mail.split_once("\r\n\r\n")?;
    let address = head.lines().find_map(|line| line.strip_prefix("To: "))?;
    Some(Letter {
        address: address.trim().to_owned(),
        code: body.trim().to_owned(),
        times: 1,
    })
}
