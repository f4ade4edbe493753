//! Channels that record their messages.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use promoflow::channel::{Channel, Handover, Letter};
use promoflow::message::ChannelKind;

/// A recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Delivery identity.
    pub id: String,
    /// Address.
    pub address: String,
    /// Text.
    pub text: String,
}

type Look = Arc<dyn Fn(&Letter<'_>) + Send + Sync>;

/// A channel that accepts every message unless an answer is queued.
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
    /// Returns all messages in order, including rejected ones.
    pub fn sent(&self) -> Vec<Sent> {
        lock(&self.sent).clone()
    }

    /// Returns the texts in order.
    pub fn texts(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.text).collect()
    }

    /// Queues an answer for the next message, which is then not accepted.
    pub fn answer(&self, answer: Handover) {
        lock(&self.answers).push_back(answer);
    }

    /// Sets a hook that runs during each delivery.
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

/// A channel that appends one line per message to a file, shared by several processes.
#[derive(Clone, Debug)]
pub struct LetterFile(pub PathBuf);

impl LetterFile {
    /// Returns the messages in order.
    ///
    /// # Panics
    /// If the file contains anything else.
    pub fn sent(&self) -> Vec<Sent> {
        let lines = std::fs::read_to_string(&self.0).unwrap_or_default();
        let letter = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            let mut part = || parts.next().expect("a line has three fields");
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
