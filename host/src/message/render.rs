//! Rendering: a message's templates with a run's values.

use std::sync::LazyLock;

use promoflow_velocity::{Context, Error, Escape, Map, RenderOptions, Template, Value};
use serde_json::{Map as JsonMap, Value as Json};
use thiserror::Error as ThisError;

use super::mailbox::looks_like_mailbox;
use super::{ChannelKind, Content, Message, preheader};
use crate::document::{TemplateFault, shown};

/// The name under which the event's key stands in templates.
const KEY: &str = "key";
/// The name under which all values stand in templates.
const DATA: &str = "data";

/// A message whose templates are parsed.
pub struct Prepared {
    message: Message,
    from: Option<Template>,
    reply_to: Option<Template>,
    subject: Option<Template>,
    preheader: Option<Template>,
    headers: Vec<(String, Template)>,
    text: Option<Template>,
    html: Option<Template>,
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
    fn new(message: &Message, part: &'static str, error: Error) -> RenderError {
        RenderError {
            message: message.id.clone(),
            part,
            line: error.line,
            column: error.column,
            why: error.message,
        }
    }

    fn at_start(message: &Message, part: &'static str, why: String) -> RenderError {
        RenderError {
            message: message.id.clone(),
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
        let parse = |part, source: &Option<String>| {
            source
                .as_deref()
                .map(|source| {
                    Template::parse(source).map_err(|error| RenderError::new(&message, part, error))
                })
                .transpose()
        };
        let subject = parse("subject", &message.subject)?;
        let text = parse("text", &message.text)?;
        let html = parse("html", &message.html)?;
        let from = parse("from", &message.from)?;
        let reply_to = parse("reply-to", &message.reply_to)?;
        let preheader = parse("preheader", &message.preheader)?;
        let header = |(name, value): &(String, String)| {
            Template::parse(value)
                .map(|value| (name.clone(), value))
                .map_err(|error| RenderError::new(&message, "headers", error))
        };
        let headers = message
            .headers
            .iter()
            .map(header)
            .collect::<Result<_, _>>()?;
        Ok(Prepared {
            message,
            from,
            reply_to,
            preheader,
            headers,
            subject,
            text,
            html,
        })
    }

    /// How it reaches an address.
    pub fn channel(&self) -> ChannelKind {
        self.message.channel
    }

    /// What a contact gets. Values are escaped where they come into HTML.
    pub fn render(&self, values: &Values) -> Result<Content, RenderError> {
        let render = |part, template: &Option<Template>, escape| {
            template
                .as_ref()
                .map(|template| {
                    let options = RenderOptions {
                        escape,
                        ..RenderOptions::default()
                    };
                    template
                        .render_with(&values.0, &options)
                        .map_err(|error| RenderError::new(&self.message, part, error))
                })
                .transpose()
        };
        let mailbox = |part, template: &Option<Template>| {
            let mailbox = render(part, template, Escape::None)?.map(one_line);
            match mailbox {
                Some(text)
                    if self.channel() == ChannelKind::Email && !looks_like_mailbox(&text) =>
                {
                    let why = format!("{} is not a mailbox", shown(&text));
                    Err(RenderError::at_start(&self.message, part, why))
                }
                other => Ok(other),
            }
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let value = value
                .render(&values.0)
                .map_err(|error| RenderError::new(&self.message, "headers", error))?;
            headers.push((name.clone(), one_line(value)));
        }
        let preheader = render("preheader", &self.preheader, Escape::None)?.map(one_line);
        let html = render("html", &self.html, Escape::Html)?;
        let html = match &preheader {
            Some(preheader) => html.map(|html| preheader::put(html, preheader)),
            None => html,
        };
        Ok(Content {
            from: mailbox("from", &self.from)?,
            reply_to: mailbox("reply-to", &self.reply_to)?,
            preheader,
            headers,
            subject: render("subject", &self.subject, Escape::None)?.map(one_line),
            text: render("text", &self.text, Escape::None)?,
            html,
            ..Content::default()
        })
    }
}

/// A subject is one line; what a value brings of line breaks must not become a header.
fn one_line(subject: String) -> String {
    if subject.contains(char::is_control) {
        subject
            .split(char::is_control)
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    } else {
        subject
    }
}

/// A run's values as templates read them: all in `$data`, each whose name allows it as a
/// variable, and the event's key as `$key`.
pub struct Values(Context);

impl Values {
    /// The values of a run about that key.
    pub fn new(data: &JsonMap<String, Json>, key: &str) -> Values {
        let mut context = Context::new().with_tools();
        let mut map = Map::new();
        for (name, value) in data {
            let value = Value::from(value.clone());
            if is_variable(name) {
                context.set(name.clone(), value.clone());
            }
            map.insert(name.clone(), value);
        }
        context.set(KEY, key);
        context.set(DATA, map);
        Values(context)
    }

    /// What a template prints with them.
    pub fn render(&self, template: &Template) -> Result<String, Error> {
        template.render(&self.0)
    }
}

/// Whether a value's name can be written behind a `$`.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether what a template prints depends on a run's values.
pub fn depends_on_data(template: &Template) -> bool {
    !template.references().is_empty()
}

/// What a template prints that does not depend on any value.
pub fn render_constant(template: &Template) -> Result<String, Error> {
    static NOTHING: LazyLock<Context> = LazyLock::new(Context::new);
    template.render(&NOTHING)
}

/// Judges a template for the reader of files.
pub fn check_template(source: &str) -> Result<bool, TemplateFault> {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    match Template::parse(source) {
        Ok(template) => Ok(depends_on_data(&template)),
        Err(error) => Err(TemplateFault {
            line: place(error.line),
            column: place(error.column),
            message: error.message,
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use serde_json::json;

    use super::*;

    fn rendered(data: Json) -> Result<Content, RenderError> {
        let message = Message {
            id: "m".into(),
            channel: ChannelKind::Email,
            from: Some("$shop <shop@example.com>".into()),
            subject: Some("Hi $name".into()),
            text: None,
            html: Some("<body><p>$name</p></body>".into()),
            reply_to: Some("$answers".into()),
            preheader: Some("For $name".into()),
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

    #[test]
    fn a_mailbox_that_values_spoil_is_told_and_not_sent() {
        let data = json!({ "shop": "Shop", "name": "Ann", "answers": "a@b, c@d" });
        let error = rendered(data).unwrap_err();
        assert_eq!(error.part, "reply-to");
        assert!(error.why.contains("not a mailbox"), "{error}");
    }
}
