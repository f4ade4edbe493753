//! The ways in which a message reaches an address.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use promoflow_document::{did_you_mean, shown};

/// How a message reaches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// To an email address.
    Email,
    /// To a phone number, as a text message.
    Sms,
    /// To a phone number, over Viber.
    Viber,
    /// To the token of an app on a phone.
    MobilePush,
    /// To the token of a browser.
    WebPush,
    /// To the token of a Telegram chat.
    Telegram,
}

impl ChannelKind {
    /// All of them.
    pub const ALL: [ChannelKind; 6] = [
        ChannelKind::Email,
        ChannelKind::Sms,
        ChannelKind::Viber,
        ChannelKind::MobilePush,
        ChannelKind::WebPush,
        ChannelKind::Telegram,
    ];

    /// As authors write it.
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

/// A name that no channel has. For the author, who picks another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown channel {}", shown(.name))]
pub struct UnknownChannel {
    /// The name.
    pub name: String,
    /// The channel that was meant, or all that there are.
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
    fn a_channel_is_written_stored_and_read_by_one_name() {
        for channel in ChannelKind::ALL {
            assert_eq!(channel.to_string().parse(), Ok(channel));
            let stored = serde_json::to_value(channel).unwrap();
            assert_eq!(stored, channel.name());
        }
    }

    #[test]
    fn an_unknown_channel_is_refused_with_a_hint() {
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
