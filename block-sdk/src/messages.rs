//! Prepared messages, staged as deliveries.

use crate::{Channel, Request, SendError, host::messages as host};

pub use crate::bindings::promoflow::workflow::messages::{Delivery, Recipient, Target};

/// Stages one delivery. Nothing leaves the host before the segment is committed.
///
/// # Errors
/// Says why nothing was staged. A block that has no way of its own to go on writes `?`.
pub fn send(request: &Request) -> Result<Delivery, SendError> {
    host::send(request)
}

impl Request {
    /// A message to one address in one channel, as soon as may be.
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
    /// Every channel.
    pub const ALL: [Self; 6] = [
        Self::Email,
        Self::Sms,
        Self::Viber,
        Self::MobilePush,
        Self::WebPush,
        Self::Telegram,
    ];

    /// The channel that authors write so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// As authors write it: `mobile-push`.
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
