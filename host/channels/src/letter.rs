//! A letter: one delivery, as a channel gets it.

use promoflow_model::message::{ChannelKind, Content};

/// What is to be handed over.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'l> {
    /// The identity of the delivery, the same in every attempt by this way.
    pub id: &'l str,
    /// The installation that sends it: deliveries of another one may have the same identity.
    pub installation: &'l str,
    /// How.
    pub kind: ChannelKind,
    /// To whom.
    pub address: &'l str,
    /// Where whoever gets it unsubscribes with one request, where that is configured.
    pub unsubscribe: Option<&'l str>,
    /// What.
    pub content: &'l Content,
}
