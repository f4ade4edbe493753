//! How much a channel is asked to do at one time.

use std::sync::Arc;

use promoflow_config::Rate;

use super::{Channel, Handover, Letter};
use promoflow_model::message::ChannelKind;

/// How much a channel is asked to do at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Letters that are handed over at one time; at least one.
    pub concurrency: usize,
    /// How many begin in a time; `None`: as many as there are.
    pub rate: Option<Rate>,
}

impl Limits {
    /// One letter at a time, as fast as it goes.
    pub const ONE: Limits = Limits {
        concurrency: 1,
        rate: None,
    };
}

/// A channel that is held to a rate.
pub struct Paced {
    /// The channel.
    pub channel: Arc<dyn Channel>,
    /// Its rate.
    pub rate: Rate,
}

impl Channel for Paced {
    fn takes(&self, kind: ChannelKind) -> bool {
        self.channel.takes(kind)
    }

    fn limits(&self) -> Limits {
        Limits {
            rate: Some(self.rate),
            ..self.channel.limits()
        }
    }

    fn deliver(&self, letter: &Letter<'_>) -> Handover {
        self.channel.deliver(letter)
    }
}
