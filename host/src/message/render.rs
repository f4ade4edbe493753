//! Rendering: a message's templates with a run's values.

use promoflow_velocity::Error;
use thiserror::Error as ThisError;

use super::templates::Templates;
use super::{ChannelKind, Content, Message, Values};

/// A message whose templates are parsed.
pub struct Prepared {
    id: String,
    channel: ChannelKind,
    templates: Templates,
}

/// A template of a message that cannot be parsed or rendered.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{part} of message `{message}`, line {line}, column {column}: {why}")]
pub struct RenderError {
    /// The message's id.
    pub message: String,
    /// `subject`, `text`, `html`, … as the message's file calls it.
    pub part: &'static str,
    /// The line within the part, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub why: String,
}

impl RenderError {
    pub(super) fn new(message: &str, part: &'static str, error: Error) -> RenderError {
        RenderError {
            message: message.to_owned(),
            part,
            line: error.line,
            column: error.column,
            why: error.message,
        }
    }

    pub(super) fn at_start(message: &str, part: &'static str, why: String) -> RenderError {
        RenderError {
            message: message.to_owned(),
            part,
            line: 1,
            column: 1,
            why,
        }
    }
}

impl Prepared {
    /// Parses a message's templates.
    pub fn new(message: Message) -> Result<Prepared, RenderError> {
        Ok(Prepared {
            templates: Templates::new(&message.id, &message.parts, &message.headers)?,
            id: message.id,
            channel: message.channel,
        })
    }

    /// How it reaches an address.
    pub fn channel(&self) -> ChannelKind {
        self.channel
    }

    /// What a contact gets. Values are escaped where they come into HTML.
    pub fn render(&self, values: &Values) -> Result<Content, RenderError> {
        self.templates.render(&self.id, self.channel, values)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::message::Parts;

    fn rendered(data: Json) -> Result<Content, RenderError> {
        let message = Message {
            id: "m".into(),
            channel: ChannelKind::Email,
            parts: Parts {
                from: Some("$shop <shop@example.com>".into()),
                subject: Some("Hi $name".into()),
                html: Some("<body><p>$name</p></body>".into()),
                reply_to: Some("$answers".into()),
                preheader: Some("For $name".into()),
                ..Parts::default()
            },
            headers: vec![("X-Campaign".into(), "$name".into())],
        };
        let Json::Object(data) = data else {
            unreachable!("an object")
        };
        Prepared::new(message)
            .unwrap()
            .render(&Values::new(&data, "ann"))
    }

    #[test]
    fn what_values_bring_makes_no_header_and_no_tag() {
        let name = "Ann\r\nBcc: eve@example.com <b>";
        let data = json!({ "shop": "Shop", "name": name, "answers": "help@example.com" });
        let content = rendered(data).unwrap();
        let one_line = "Ann Bcc: eve@example.com <b>";
        assert_eq!(content.from.unwrap(), "Shop <shop@example.com>");
        assert_eq!(content.subject.unwrap(), format!("Hi {one_line}"));
        assert_eq!(
            content.headers,
            [("X-Campaign".to_owned(), one_line.to_owned())]
        );
        let html = content.html.unwrap();
        assert!(html.starts_with("<body><div"), "{html}");
        assert!(
            html.contains(">For Ann Bcc: eve@example.com &lt;b&gt;</div><p>Ann"),
            "{html}"
        );
    }

    fn button(data: Json) -> Result<Content, RenderError> {
        let message = Message {
            id: "m".into(),
            channel: ChannelKind::Viber,
            parts: Parts {
                text: Some("Hi".into()),
                image: Some("https://example.com/$picture".into()),
                link: Some("$shop/?q=$name".into()),
                button: Some("For $name".into()),
                ..Parts::default()
            },
            headers: Vec::new(),
        };
        let Json::Object(data) = data else {
            unreachable!("an object")
        };
        Prepared::new(message)
            .unwrap()
            .render(&Values::new(&data, "ann"))
    }

    #[test]
    fn a_link_stays_one_whatever_values_bring() {
        let data = json!({ "shop": "https://example.com", "name": "Ann\n B", "picture": "a.png" });
        let content = button(data).unwrap();
        assert_eq!(content.link.unwrap(), "https://example.com/?q=Ann%0A%20B");
        assert_eq!(content.image.unwrap(), "https://example.com/a.png");
        assert_eq!(content.button.unwrap(), "For Ann  B");
        let data = json!({ "shop": "javascript:alert(1)//", "name": "x", "picture": "a.png" });
        let error = button(data).unwrap_err();
        assert_eq!(error.part, "link");
        assert!(error.why.contains("is no address"), "{error}");
    }

    #[test]
    fn a_mailbox_that_values_spoil_is_told_and_not_sent() {
        let data = json!({ "shop": "Shop", "name": "Ann", "answers": "a@b, c@d" });
        let error = rendered(data).unwrap_err();
        assert_eq!(error.part, "reply-to");
        assert!(error.why.contains("not a mailbox"), "{error}");
    }
}
