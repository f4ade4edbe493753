//! An outbound message: one rendered message as a channel gets it.

use promoflow_model::message::{ChannelKind, RenderedMessage};

/// A message to deliver.
#[derive(Clone, Copy, Debug)]
pub struct OutboundMessage<'l> {
    /// The delivery id, the same in every attempt with this alternative.
    pub id: &'l str,
    /// The id of the sending installation; another installation may use the same delivery id.
    pub installation: &'l str,
    /// The kind of channel.
    pub kind: ChannelKind,
    /// The recipient's address on this channel.
    pub address: &'l str,
    /// The one-click unsubscribe URL; `None` if unsubscribing is not configured.
    pub unsubscribe: Option<&'l str>,
    /// The rendered message.
    pub content: &'l RenderedMessage,
}
