//! Prepared messages, staged as deliveries.

use crate::{Channel, Request, SendError, host::messages as host};

pub use crate::bindings::promoflow::workflow::messages::{Delivery, Recipient, Target};

/// Stages one delivery. Nothing leaves the host before the segment is committed.
///
/// # Errors
/// Returns why nothing was staged. Blocks that do not handle the error pass it on with `?`.
pub fn send(request: &Request) -> Result<Delivery, SendError> {
    host::send(request)
}

impl Request {
    /// Creates a request for one address in one channel, to be sent as soon as possible.
    #[must_use]
    pub fn new(channel: Channel, address: &str, message: &str) -> Self {
        Self {
            targets: vec![Target {
                channel,
                recipient: Recipient::Address(address.into()),
                message: message.into(),
            }],
            not_before: None,
            not_after: None,
            hours: None,
            language: None,
        }
    }
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 6] = [
        Self::Email,
        Self::Sms,
        Self::Viber,
        Self::MobilePush,
        Self::WebPush,
        Self::Telegram,
    ];

    /// Returns the channel with that name in workflows.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Returns the name in workflows: `mobile-push`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Viber => "viber",
            Self::MobilePush => "mobile-push",
            Self::WebPush => "web-push",
            Self::Telegram => "telegram",
        }
    }
}
