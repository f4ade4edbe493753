//! Channels that record their messages.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use promoflow::channel::{Channel, DeliveryOutcome, OutboundMessage};
use promoflow::message::ChannelKind;

/// A recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// Delivery identity.
    pub id: String,
    /// Address.
    pub address: String,
    /// Text.
    pub text: String,
}

type DeliveryHook = Arc<dyn Fn(&OutboundMessage<'_>) + Send + Sync>;

/// A channel that accepts every message unless an answer is queued.
#[derive(Clone, Default)]
pub struct RecordingChannel {
    sent: Arc<Mutex<Vec<SentMessage>>>,
    answers: Arc<Mutex<VecDeque<DeliveryOutcome>>>,
    look: Arc<Mutex<Option<DeliveryHook>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecordingChannel {
    /// Returns all messages in order, including rejected ones.
    pub fn sent(&self) -> Vec<SentMessage> {
        lock(&self.sent).clone()
    }

    /// Returns the texts in order.
    pub fn texts(&self) -> Vec<String> {
        self.sent().into_iter().map(|sent| sent.text).collect()
    }

    /// Queues an answer for the next message, which is then not accepted.
    pub fn queue_outcome(&self, answer: DeliveryOutcome) {
        lock(&self.answers).push_back(answer);
    }

    /// Sets a hook that runs during each delivery.
    pub fn on_delivery(&self, look: impl Fn(&OutboundMessage<'_>) + Send + Sync + 'static) {
        *lock(&self.look) = Some(Arc::new(look));
    }
}

impl Channel for RecordingChannel {
    fn supports(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, message: &OutboundMessage<'_>) -> DeliveryOutcome {
        let look = lock(&self.look).clone();
        if let Some(look) = look {
            look(message);
        }
        lock(&self.sent).push(SentMessage {
            id: message.id.to_owned(),
            address: message.address.to_owned(),
            text: text(message),
        });
        lock(&self.answers)
            .pop_front()
            .unwrap_or(DeliveryOutcome::Delivered)
    }
}

fn text(message: &OutboundMessage<'_>) -> String {
    let text = message.content.text.as_deref().unwrap_or_default();
    text.trim().to_owned()
}

/// A channel that appends one line per message to a file, shared by several processes.
#[derive(Clone, Debug)]
pub struct FileChannel(pub PathBuf);

impl FileChannel {
    /// Returns the messages in order.
    ///
    /// # Panics
    /// If the file contains anything else.
    pub fn sent(&self) -> Vec<SentMessage> {
        let lines = std::fs::read_to_string(&self.0).unwrap_or_default();
        let message = |line: &str| {
            let mut parts = line.splitn(3, '\t').map(str::to_owned);
            let mut part = || parts.next().expect("a line has three fields");
            SentMessage {
                id: part(),
                address: part(),
                text: part(),
            }
        };
        lines.lines().map(message).collect()
    }
}

impl Channel for FileChannel {
    fn supports(&self, _: ChannelKind) -> bool {
        true
    }

    fn deliver(&self, message: &OutboundMessage<'_>) -> DeliveryOutcome {
        let line = format!("{}\t{}\t{}\n", message.id, message.address, text(message));
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        match written {
            Ok(()) => DeliveryOutcome::Delivered,
            Err(error) => DeliveryOutcome::RetryableFailure {
                error: error.to_string(),
                after: None,
                ambiguous: true,
            },
        }
    }
}
