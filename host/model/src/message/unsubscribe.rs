//! `%UNSUBSCRIBE%`: the unsubscribe URL in the text of a message.
//!
//! The URL contains the delivery's number, which exists only after the commit. So a message is
//! rendered with a *marker* in its place, and the URL replaces the marker when the message is sent.
//! The marker is itself a URL, so that it is valid wherever a URL is, and random, so that text from
//! a value is never mistaken for it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::RenderedMessage;
use super::html_escape::escape_html;

/// The key of the tag in a rendering.
pub(super) const KEY: &str = "unsubscribe";
/// The tag as authors write it, and as previews show it.
pub const TAG: &str = "%UNSUBSCRIBE%";

/// Returns a new marker.
pub(super) fn marker() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let random = u128::from_be_bytes(random);
    // A reserved name that no server has (RFC 2606).
    Ok(format!("https://unsubscribe.invalid/{random:032x}"))
}

/// Percent-encodes a URL for use within another URL.
fn percent_encode(address: &str) -> String {
    const VALUE: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(address, VALUE).to_string()
}

impl RenderedMessage {
    /// Returns the message to send, with the unsubscribe URL inserted.
    #[must_use]
    pub fn with_unsubscribe_url(&self, url: &str) -> RenderedMessage {
        self.clone().replace_marker(url)
    }

    /// Returns the message to show to people. The URL works for everyone who has it and must not be
    /// shown.
    #[must_use]
    pub fn with_unsubscribe_tag(self) -> RenderedMessage {
        self.replace_marker(TAG)
    }

    fn replace_marker(mut self, address: &str) -> RenderedMessage {
        let Some(marker) = self.unsubscribe.take() else {
            return self;
        };
        // Within another URL the marker is percent-encoded.
        let within = percent_encode(&marker);
        let inner = match address == TAG {
            true => address.to_owned(),
            false => percent_encode(address),
        };
        if let Some(html) = &mut self.html {
            *html = html.replace(&within, &inner);
            *html = html.replace(&marker, &escape_html(address));
        }
        let parts = [
            &mut self.from,
            &mut self.subject,
            &mut self.text,
            &mut self.reply_to,
            &mut self.preheader,
            &mut self.title,
            &mut self.image,
            &mut self.link,
            &mut self.button,
        ];
        let headers = self.headers.iter_mut().map(|(_, value)| value);
        for part in parts.into_iter().flatten().chain(headers) {
            *part = part.replace(&within, &inner).replace(&marker, address);
        }
        self
    }
}
