//! `%UNSUBSCRIBE%`: the address at which whoever gets a letter unsubscribes, in its own text.
//!
//! The address tells the delivery, and that has no number before it is committed. So a message is
//! made with a *marker* in its place, and the address comes in when the letter leaves. The marker is
//! an address itself, so that it may stand wherever one may, and random, so that nothing that a
//! value brings is taken for it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Content;
use super::markup::escaped;

/// The key of the tag in a rendering.
pub(super) const KEY: &str = "unsubscribe";
/// The tag as authors write it, and as it is shown to those who look at messages.
pub const TAG: &str = "%UNSUBSCRIBE%";

/// A new marker.
pub(super) fn marker() -> Result<String, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let random = u128::from_be_bytes(random);
    // A name that no server has (RFC 2606).
    Ok(format!("https://unsubscribe.invalid/{random:032x}"))
}

/// An address as a value within another one.
fn encoded(address: &str) -> String {
    const VALUE: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(address, VALUE).to_string()
}

impl Content {
    /// What leaves: with that address where the contact unsubscribes.
    #[must_use]
    pub fn unsubscribing_at(&self, url: &str) -> Content {
        self.clone().with_address(url)
    }

    /// What people are shown: the address is good for whoever has it, and is not for them.
    #[must_use]
    pub fn shown(self) -> Content {
        self.with_address(TAG)
    }

    fn with_address(mut self, address: &str) -> Content {
        let Some(marker) = self.unsubscribe.take() else {
            return self;
        };
        // Within another address it stands with percent signs.
        let within = encoded(&marker);
        let inner = match address == TAG {
            true => address.to_owned(),
            false => encoded(address),
        };
        if let Some(html) = &mut self.html {
            *html = html.replace(&within, &inner);
            *html = html.replace(&marker, &escaped(address));
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
