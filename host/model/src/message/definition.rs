//! A message as it is stored and sent. The names of the fields are a stored format.

use serde::{Deserialize, Serialize};

use super::channel::ChannelKind;

/// One version of a prepared message. Its texts are templates, which are evaluated from the
/// data of the run that sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What steps call it by.
    pub id: String,
    /// How it reaches an address.
    pub channel: ChannelKind,
    /// What it says.
    #[serde(flatten)]
    pub parts: Parts,
    /// Further headers, name and value; of emails alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The language of these parts, a BCP 47 tag; `None`: the author does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What it says in other languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Variant>,
    /// What a reference without a value prints.
    #[serde(default, skip_serializing_if = "Unset::is_default")]
    pub unset: Unset,
}

/// What a reference without a value prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unset {
    /// Nothing.
    #[default]
    Nothing,
    /// Its source, as Velocity does.
    Print,
}

impl Unset {
    /// Both, as authors write them.
    pub const NAMES: [(&'static str, Unset); 2] =
        [("nothing", Unset::Nothing), ("print", Unset::Print)];

    /// Whether it is what holds where the author says nothing.
    pub fn is_default(&self) -> bool {
        *self == Unset::default()
    }

    /// As authors write it.
    pub fn name(self) -> &'static str {
        match self {
            Unset::Nothing => "nothing",
            Unset::Print => "print",
        }
    }
}

/// A message in another language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// A BCP 47 tag.
    pub language: String,
    /// What it says: all that is words, and of the rest what differs.
    #[serde(flatten)]
    pub parts: Parts,
}

impl Message {
    /// All that it says in that variant: what is no words is that of the message itself, where
    /// the variant has none of its own.
    pub fn said(&self, variant: &Variant) -> Parts {
        let own = &variant.parts;
        let of = |own: &Option<String>, all: &Option<String>| own.clone().or_else(|| all.clone());
        Parts {
            from: of(&own.from, &self.parts.from),
            reply_to: of(&own.reply_to, &self.parts.reply_to),
            image: of(&own.image, &self.parts.image),
            link: of(&own.link, &self.parts.link),
            ..own.clone()
        }
    }
}

/// What a message says, each a template. Which of them a message has depends on its channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// Whom it comes from: for email a mailbox, `Shop <shop@example.com>`; elsewhere a sender's
    /// name. `None`: as the channel is set up.
    pub from: Option<String>,
    /// The subject; of emails alone, which all have one.
    pub subject: Option<String>,
    /// The plain text; an email has this, HTML or both, every other message has this.
    pub text: Option<String>,
    /// The HTML; of emails alone.
    pub html: Option<String>,
    /// Where answers go, a mailbox; of emails alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What mail programs show beside the subject; of emails with HTML alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preheader: Option<String>,
    /// The line above the text; of pushes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The address of a picture; of pushes, Viber and Telegram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Where a tap on the push, or on the button, leads; of pushes, Viber and Telegram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// What stands on the button below the text; of Viber and Telegram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
}
