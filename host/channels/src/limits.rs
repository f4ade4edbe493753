//! Concurrency and rate limits of channels.

use std::sync::Arc;

use promoflow_config::Rate;
use promoflow_model::message::ChannelKind;

use super::{Channel, DeliveryOutcome, OutboundMessage};

/// Concurrency and rate limits of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of simultaneous deliveries; at least one.
    pub concurrency: usize,
    /// Maximum rate of deliveries; `None` if unlimited.
    pub rate: Option<Rate>,
}

impl Limits {
    /// One delivery at a time, without a rate limit.
    pub const ONE: Limits = Limits {
        concurrency: 1,
        rate: None,
    };
}

/// A channel with a rate limit.
pub struct RateLimited {
    /// The channel.
    pub channel: Arc<dyn Channel>,
    /// Its maximum rate.
    pub rate: Rate,
}

impl Channel for RateLimited {
    fn supports(&self, kind: ChannelKind) -> bool {
        self.channel.supports(kind)
    }

    fn limits(&self) -> Limits {
        Limits {
            rate: Some(self.rate),
            ..self.channel.limits()
        }
    }

    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome {
        self.channel.deliver(outbound)
    }
}
