//! Channels: how a message leaves the host.
//!
//! A [`Channel`] delivers one [`OutboundMessage`] to one address and returns the outcome.
//!
//! | channel | feature | delivers |
//! | --- | --- | --- |
//! | [`Console`] | – | messages of every kind, by printing them |
//! | `Maildir` | `smtp` | messages of every kind, as files that any mail program opens |
//! | `Smtp` | `smtp` | email, through a mail server |
//! | `Http` | `http` | messages of any kind, through a provider's API |
//!
//! ```
//! use promoflow_channels::{Channel, Console, Limits};
//! use promoflow_model::message::ChannelKind;
//!
//! assert!(Console.supports(ChannelKind::Email));
//! assert_eq!(Console.limits(), Limits::ONE);
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]

mod console;
#[cfg(feature = "smtp")]
mod dir_sync;
#[cfg(any(feature = "http", feature = "smtp"))]
mod error;
#[cfg(feature = "http")]
mod http;
mod limits;
#[cfg(any(feature = "http", feature = "smtp"))]
mod log_throttle;
#[cfg(feature = "smtp")]
mod maildir;
#[cfg(feature = "smtp")]
mod mime;
mod outbound;
#[cfg(feature = "smtp")]
mod smtp;

pub use console::Console;
#[cfg(any(feature = "http", feature = "smtp"))]
pub use error::ChannelError;
#[cfg(feature = "http")]
pub use http::Http;
pub use limits::{Limits, RateLimited};
#[cfg(feature = "smtp")]
pub use maildir::Maildir;
pub use outbound::OutboundMessage;
#[cfg(feature = "smtp")]
pub use smtp::Smtp;
#[cfg(feature = "smtp")]
#[doc(hidden)]
pub use smtp::read_replies;

use std::time::Duration;

use promoflow_model::message::ChannelKind;

/// The outcome of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The provider accepted the message.
    Delivered,
    /// A temporary failure: the delivery is retried.
    RetryableFailure {
        /// The error for the operator; contains no address and no promo code.
        error: String,
        /// The delay that the provider requested (`Retry-After`). It applies to the whole channel.
        after: Option<Duration>,
        /// True if the provider may have accepted the message, for example after a lost connection
        /// or a time-out. The delivery is then retried with the same alternative only.
        ambiguous: bool,
    },
    /// A permanent failure: the provider will never accept this message for this address.
    PermanentFailure {
        /// The error for the operator; contains no address and no promo code.
        error: String,
    },
}

/// Delivers messages to addresses.
pub trait Channel: Send + Sync {
    /// Returns true if the channel supports this kind.
    fn supports(&self, kind: ChannelKind) -> bool;

    /// Returns the concurrency and rate limits. The default is one delivery at a time.
    fn limits(&self) -> Limits {
        Limits::ONE
    }

    /// Delivers one message. After a crash the same message may be delivered again with the same
    /// [`id`](OutboundMessage::id). The call may block, but must return eventually; only this channel waits
    /// for it.
    fn deliver(&self, outbound: &OutboundMessage<'_>) -> DeliveryOutcome;
}

/// Sends the notifications of alerts to a webhook.
pub trait Notifier: Send + Sync {
    /// Sends an alert event, as JSON. The id is the same in every attempt.
    fn send_event(&self, id: &str, event: &str) -> DeliveryOutcome;
}
