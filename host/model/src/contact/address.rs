//! Kinds of addresses. Channels that use the same address share a kind.

use crate::message::{ChannelKind, check_address};

/// A kind of address of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// An email address.
    Email,
    /// A phone number, for SMS and Viber.
    Phone,
    /// The token of a mobile app.
    MobilePush,
    /// The token of a browser.
    WebPush,
    /// The token of a Telegram chat.
    Telegram,
}

impl AddressKind {
    /// All kinds, in the order in which the parameters of an event are checked.
    pub const ALL: [AddressKind; 5] = [
        AddressKind::Email,
        AddressKind::Phone,
        AddressKind::MobilePush,
        AddressKind::WebPush,
        AddressKind::Telegram,
    ];

    /// The kinds that are tokens, each used by one channel.
    pub const TOKENS: [AddressKind; 3] = [
        AddressKind::MobilePush,
        AddressKind::WebPush,
        AddressKind::Telegram,
    ];

    /// Returns the kind that a channel uses.
    pub fn of(channel: ChannelKind) -> AddressKind {
        match channel {
            ChannelKind::Email => AddressKind::Email,
            ChannelKind::Sms | ChannelKind::Viber => AddressKind::Phone,
            ChannelKind::MobilePush => AddressKind::MobilePush,
            ChannelKind::WebPush => AddressKind::WebPush,
            ChannelKind::Telegram => AddressKind::Telegram,
        }
    }

    /// Returns the name used in the database and in listings.
    pub fn name(self) -> &'static str {
        match self {
            AddressKind::Email => "email",
            AddressKind::Phone => "phone",
            AddressKind::MobilePush => "mobile-push",
            AddressKind::WebPush => "web-push",
            AddressKind::Telegram => "telegram",
        }
    }

    /// Returns the kind with this name.
    pub fn named(name: &str) -> Option<AddressKind> {
        AddressKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// Normalises an address for its channels. The error says what is expected.
    pub fn check(self, text: &str) -> Result<String, String> {
        let channel = match self {
            AddressKind::Email => ChannelKind::Email,
            AddressKind::Phone => ChannelKind::Sms,
            AddressKind::MobilePush => ChannelKind::MobilePush,
            AddressKind::WebPush => ChannelKind::WebPush,
            AddressKind::Telegram => ChannelKind::Telegram,
        };
        check_address(channel, text)
    }

    /// Returns the key by which addresses are compared: email addresses ignore case, phone numbers
    /// ignore the plus sign.
    pub fn key(self, address: &str) -> String {
        match self {
            AddressKind::Email => address.to_lowercase(),
            AddressKind::Phone => address.trim_start_matches('+').to_owned(),
            _ => address.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_share_a_key() {
        let key = |kind: AddressKind, text: &str| kind.key(&kind.check(text).unwrap());
        assert_eq!(
            key(AddressKind::Email, "Ann@Example.com"),
            key(AddressKind::Email, "ann@example.com")
        );
        assert_eq!(
            key(AddressKind::Phone, "+38 (050) 123-45-67"),
            key(AddressKind::Phone, "380501234567")
        );
        assert_ne!(
            key(AddressKind::WebPush, "Token"),
            key(AddressKind::WebPush, "token")
        );
    }

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in AddressKind::ALL {
            assert_eq!(AddressKind::named(kind.name()), Some(kind));
        }
    }
}
