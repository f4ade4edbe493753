//! Channels that keep what they are handed.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use promoflow::channel::{Channel, Handover, Letter};
use promoflow::message::ChannelKind;

/// A letter that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The delivery's identity.
    pub id: String,
    /// To whom.
    pub address: String,
    /// The text.
    pub text: String,
}

type Look = Arc<dyn Fn(&Letter<'_>) + Send + Sync>;

/// Takes every letter, unless it was told what to answer.
#[derive(Clone, Default)]
pub struct Letters {
    sent: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<VecDeque<Handover>>>,
    look: Arc<Mutex<Option<Look>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Letters {
    /// What was handed over, refused or not, in order.
    pub fn sent(&self) -> Vec<Sent> {
        lock(&self.sent).clone()
    }

    /// The texts, in order.
    pub fn texts(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.text).collect()
    }

    /// Answers so next time, instead of taking the letter.
    pub fn answer(&self, answer: Handover) {
        lock(&self.answers).push_back(answer);
    }

    /// Has something done at the moment of each delivery.
    pub fn at_delivery(&self, look: impl Fn(&Letter<'_>) + Send + Sync + 'static) {
        *lock(&self.look) = Some(Arc::new(look));
    }
}

impl Channel for Letters {
    fn takes(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let look = lock(&self.look).clone();
        if let Some(look) = look {
            look(letter);
        }
        lock(&self.sent).push(Sent {
            id: letter.id.to_owned(),
            address: letter.address.to_owned(),
            text: text(letter),
        });
        lock(&self.answers)
            .pop_front()
            .unwrap_or(Handover::Delivered)
    }
}

fn text(letter: &Letter<'_>) -> String {
    let text = letter.content.text.as_deref().unwrap_or_default();
    text.trim().to_owned()
}

/// A line a letter in one file, which the channels of several processes append to.
#[derive(Clone, Debug)]
pub struct LetterFile(pub PathBuf);

impl LetterFile {
    /// The letters, in order.
    ///
    /// # Panics
    /// Where the file holds anything else.
    pub fn sent(&self) -> Vec<Sent> {
        let lines = std::fs::read_to_string(&self.0).unwrap_or_default();
        let letter = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            let mut part = || parts.next().expect("a letter is three parts of a line");
            Sent {
                id: part(),
                address: part(),
                text: part(),
            }
        };
        lines.lines().map(letter).collect()
    }
}

impl Channel for LetterFile {
    fn takes(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        let line = format!("{}\t{}\t{}\n", letter.id, letter.address, text(letter));
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        match written {
            Ok(()) => Handover::Delivered,
            Err(error) => Handover::Later {
                error: error.to_string(),
                after: None,
                unclear: true,
            },
        }
    }
}
