//! Messages.

use std::collections::BTreeMap;

use promoflow_model::message::{self, Parts, RenderedMessage};
use serde::Serialize;

use crate::ErrorDetail;

/// A prepared message.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Message {
    /// Id of the message.
    pub message: String,
    /// Channel.
    #[cfg_attr(feature = "schema", schema(example = "email"))]
    pub channel: String,
    /// The parts.
    #[serde(flatten)]
    pub parts: MessageParts,
    /// Language of these parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Parts in other languages, by BCP 47 tag.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, MessageParts>,
    /// `print`: a reference without a value prints its source; if absent, it prints nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unset: Option<&'static str>,
    /// Version, counted from 1; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// True if it differs from the previous version; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// Warnings, with line and column; only after applying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warnings: Option<Vec<ErrorDetail>>,
}

/// Parts of a message: templates or rendered texts.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct MessageParts {
    /// Sender.
    pub from: Option<String>,
    /// Subject of an email.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML of an email.
    pub html: Option<String>,
    /// Reply-To address of an email.
    pub reply_to: Option<String>,
    /// Preheader, which mail programs show next to the subject.
    pub preheader: Option<String>,
    /// Title of a push message.
    pub title: Option<String>,
    /// URL of an image.
    pub image: Option<String>,
    /// URL opened by a tap.
    pub link: Option<String>,
    /// Label of the button.
    pub button: Option<String>,
    /// Additional headers of an email, as names and values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl From<Parts> for MessageParts {
    fn from(parts: Parts) -> MessageParts {
        MessageParts {
            from: parts.from,
            subject: parts.subject,
            text: parts.text,
            html: parts.html,
            reply_to: parts.reply_to,
            preheader: parts.preheader,
            title: parts.title,
            image: parts.image,
            link: parts.link,
            button: parts.button,
            headers: Vec::new(),
        }
    }
}

impl From<RenderedMessage> for MessageParts {
    fn from(content: RenderedMessage) -> MessageParts {
        MessageParts {
            from: content.from,
            subject: content.subject,
            text: content.text,
            html: content.html,
            reply_to: content.reply_to,
            preheader: content.preheader,
            title: content.title,
            image: content.image,
            link: content.link,
            button: content.button,
            headers: content.headers,
        }
    }
}

impl From<message::Message> for Message {
    fn from(message: message::Message) -> Message {
        Message {
            message: message.id,
            channel: message.channel.to_string(),
            parts: MessageParts {
                headers: message.headers,
                ..message.parts.into()
            },
            language: message.language,
            languages: message
                .languages
                .into_iter()
                .map(|variant| (variant.language, variant.parts.into()))
                .collect(),
            unset: (!message.unset.is_default()).then(|| message.unset.name()),
            version: None,
            changed: None,
            warnings: None,
        }
    }
}

/// A rendered message.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Rendered {
    /// Id of the message.
    pub message: String,
    /// Channel.
    pub channel: String,
    /// The parts.
    #[serde(flatten)]
    pub parts: MessageParts,
    /// Chosen language, if the message specifies one.
    pub language: Option<String>,
}
