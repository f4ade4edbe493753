//! Channels: how a message leaves the host.
//!
//! A [`Channel`] hands one [`Letter`] to one address and says what came of it. [`Maildir`] is the
//! embedded default: files that any mail program opens. [`Smtp`] hands emails to a mail server, [`Http`]
//! letters of every kind to a provider; [`Console`] prints them.

mod complaints;
mod console;
mod http;
mod letter;
mod limits;
mod mail;
mod maildir;
mod shared_sync;
mod smtp;

pub use console::Console;
pub use http::Http;
pub use letter::Letter;
pub use limits::Limits;
pub use limits::Paced;
pub use maildir::Maildir;
pub use smtp::Smtp;
#[doc(hidden)]
pub use smtp::read_replies;

use std::time::Duration;

use promoflow_model::message::ChannelKind;

/// What came of handing over a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The other side took it.
    Delivered,
    /// Not now.
    Later {
        /// Why, for the operator; holds no address and no promo code.
        error: String,
        /// How long the other side asks to be left alone: no letter goes to the channel before.
        after: Option<Duration>,
        /// Whether it may have taken the letter all the same: a connection that broke, an answer
        /// that did not come in time. The letter is tried again and goes no other way.
        unclear: bool,
    },
    /// Never: this letter to this address will not be taken.
    Refused {
        /// Why, for the operator; holds no address and no promo code.
        error: String,
    },
}

/// Hands letters to addresses.
pub trait Channel: Send + Sync {
    /// Whether it takes letters of that kind.
    fn takes(&self, kind: ChannelKind) -> bool;

    /// How much it is asked to do at one time: one letter after another unless it says more.
    fn limits(&self) -> Limits {
        Limits::ONE
    }

    /// Hands over one letter. The same letter may come again after a crash; it has the same
    /// [`id`](Letter::id) then. It must come to an end by itself: only that channel waits for it.
    fn deliver(&self, letter: &Letter<'_>) -> Handover;
}
