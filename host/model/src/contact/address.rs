//! The kinds of addresses. Channels that reach the same address share a kind.

use crate::message::{ChannelKind, check_address};

/// What a contact is reached by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// An email address.
    Email,
    /// A phone number: SMS and Viber.
    Phone,
    /// The token of an app on a phone.
    MobilePush,
    /// The token of a browser.
    WebPush,
    /// The token of a Telegram chat.
    Telegram,
}

impl AddressKind {
    /// All of them, in the order in which events are asked for them.
    pub const ALL: [AddressKind; 5] = [
        AddressKind::Email,
        AddressKind::Phone,
        AddressKind::MobilePush,
        AddressKind::WebPush,
        AddressKind::Telegram,
    ];

    /// Those that are tokens, each of one channel.
    pub const TOKENS: [AddressKind; 3] = [
        AddressKind::MobilePush,
        AddressKind::WebPush,
        AddressKind::Telegram,
    ];

    /// The kind that a channel needs.
    pub fn of(channel: ChannelKind) -> AddressKind {
        match channel {
            ChannelKind::Email => AddressKind::Email,
            ChannelKind::Sms | ChannelKind::Viber => AddressKind::Phone,
            ChannelKind::MobilePush => AddressKind::MobilePush,
            ChannelKind::WebPush => AddressKind::WebPush,
            ChannelKind::Telegram => AddressKind::Telegram,
        }
    }

    /// As it is stored, and as listings name it.
    pub fn name(self) -> &'static str {
        match self {
            AddressKind::Email => "email",
            AddressKind::Phone => "phone",
            AddressKind::MobilePush => "mobile-push",
            AddressKind::WebPush => "web-push",
            AddressKind::Telegram => "telegram",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<AddressKind> {
        AddressKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    }

    /// The address as channels take it, or what is expected instead.
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

    /// The text by which two spellings of an address are recognised as one: people write email
    /// addresses in any case, and phone numbers with and without the plus.
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
    fn spellings_of_one_address_have_one_key() {
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
    fn every_kind_is_read_by_its_name() {
        for kind in AddressKind::ALL {
            assert_eq!(AddressKind::named(kind.name()), Some(kind));
        }
    }
}
