//! Prepared messages as they are stored. The field names are a stored format.

use serde::{Deserialize, Serialize};

use super::channel::ChannelKind;

/// One version of a prepared message. Its texts are templates, evaluated with the data of the run
/// that sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The id that steps refer to.
    pub id: String,
    /// The channel that delivers the message.
    pub channel: ChannelKind,
    /// The message's parts.
    #[serde(flatten)]
    pub parts: Parts,
    /// Additional headers as pairs of name and value (email only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The language of the parts, a BCP 47 tag. `None` if the author does not state it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The message in other languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Translation>,
    /// The output of a reference without a value.
    #[serde(default, skip_serializing_if = "Unset::is_default")]
    pub unset: Unset,
}

/// The output of a reference without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unset {
    /// Prints nothing.
    #[default]
    Nothing,
    /// Prints the source of the reference, as Velocity does.
    Print,
}

impl Unset {
    /// Both variants by their names in files.
    pub const NAMES: [(&'static str, Unset); 2] =
        [("nothing", Unset::Nothing), ("print", Unset::Print)];

    /// Returns true if this is the default.
    pub fn is_default(&self) -> bool {
        *self == Unset::default()
    }

    /// Returns the name in files.
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
pub struct Translation {
    /// The language, a BCP 47 tag.
    pub language: String,
    /// The translated parts, and other parts that differ.
    #[serde(flatten)]
    pub parts: Parts,
}

impl Message {
    /// Returns all parts in the variant's language. Parts without words fall back to those of the
    /// message itself.
    pub fn translated(&self, translation: &Translation) -> Parts {
        let own = &translation.parts;
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

/// The parts of a message, each a template. The channel determines which parts a message has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// The sender: a mailbox in emails (`Shop <shop@example.com>`), otherwise a sender's name.
    /// Defaults to the channel's setting.
    pub from: Option<String>,
    /// The subject. Required in emails; no other message has one.
    pub subject: Option<String>,
    /// The plain text. Required except in emails that have HTML.
    pub text: Option<String>,
    /// The HTML (email only).
    pub html: Option<String>,
    /// The mailbox that receives replies (email only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The preview text that mail programs show next to the subject (email with HTML only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preheader: Option<String>,
    /// The title above the text (push only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The URL of an image (push, Viber and Telegram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The URL that a tap on the push or the button opens (push, Viber and Telegram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The label of the button below the text (Viber and Telegram).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
}
