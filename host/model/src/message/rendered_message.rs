//! Rendered messages.

use serde::{Deserialize, Serialize};

/// A message with all references evaluated. Stored as JSON with each delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderedMessage {
    /// The sender: a mailbox in emails, otherwise a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The subject (email only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The mailbox that receives replies (email only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The preview text that mail programs show next to the subject. The HTML already contains it,
    /// hidden.
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
    /// The label of the button (Viber and Telegram); always together with `link`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub button: Option<String>,
    /// Additional headers of an email as pairs of name and value, each on one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The language that was chosen, a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The placeholder in the other parts for the unsubscribe URL, which replaces it when the
    /// message is sent. `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<String>,
    /// True if the message would read the same had no step of its run set a value. Such a message
    /// cannot contain a promo code, however a template may spell it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub codeless: bool,
}
