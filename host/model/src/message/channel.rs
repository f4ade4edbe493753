//! Channels: how a message reaches an address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use promoflow_document::{did_you_mean, quoted};

/// Channel by which a message reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = Channel))]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// An email address.
    Email,
    /// A phone number, as a text message.
    Sms,
    /// A phone number, over Viber.
    Viber,
    /// The token of an app on a phone.
    MobilePush,
    /// The token of a browser.
    WebPush,
    /// The token of a Telegram chat.
    Telegram,
}

impl ChannelKind {
    /// All channels.
    pub const ALL: [ChannelKind; 6] = [
        ChannelKind::Email,
        ChannelKind::Sms,
        ChannelKind::Viber,
        ChannelKind::MobilePush,
        ChannelKind::WebPush,
        ChannelKind::Telegram,
    ];

    /// Returns the name of the channel in files.
    pub fn name(self) -> &'static str {
        match self {
            ChannelKind::Email => "email",
            ChannelKind::Sms => "sms",
            ChannelKind::Viber => "viber",
            ChannelKind::MobilePush => "mobile-push",
            ChannelKind::WebPush => "web-push",
            ChannelKind::Telegram => "telegram",
        }
    }
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An unknown channel name, for the author who corrects it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown channel {}", quoted(.name))]
pub struct UnknownChannel {
    /// The unknown name.
    pub name: String,
    /// The closest channel name, or the list of all.
    pub hint: String,
}

impl FromStr for ChannelKind {
    type Err = UnknownChannel;

    fn from_str(name: &str) -> Result<ChannelKind, UnknownChannel> {
        ChannelKind::ALL
            .into_iter()
            .find(|channel| channel.name() == name)
            .ok_or_else(|| {
                let names = ChannelKind::ALL.map(ChannelKind::name);
                UnknownChannel {
                    name: name.to_owned(),
                    hint: did_you_mean(name, names)
                        .unwrap_or_else(|| format!("the channels are {}", names.join(", "))),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_displays_and_serializes_by_the_same_name() {
        for channel in ChannelKind::ALL {
            assert_eq!(channel.to_string().parse(), Ok(channel));
            let stored = serde_json::to_value(channel).unwrap();
            assert_eq!(stored, channel.name());
        }
    }

    #[test]
    fn rejects_unknown_channels_with_a_hint() {
        let error = "e-mail".parse::<ChannelKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown channel `e-mail`");
        assert_eq!(error.hint, "did you mean `email`?");
        let error = "pigeon".parse::<ChannelKind>().unwrap_err();
        assert!(
            error.hint.starts_with("the channels are email, sms"),
            "{}",
            error.hint
        );
    }
}
