//! Rendering: a message's templates with a run's values.

use std::sync::LazyLock;

use promoflow_velocity::{Context, Error, Escape, Map, RenderOptions, Template, Value};
use serde_json::{Map as JsonMap, Value as Json};
use thiserror::Error as ThisError;

use super::{ChannelKind, Content, Message};
use crate::document::TemplateFault;

/// The name under which the event's key stands in templates.
const KEY: &str = "key";
/// The name under which all values stand in templates.
const DATA: &str = "data";

/// A message whose templates are parsed.
pub struct Prepared {
    message: Message,
    subject: Option<Template>,
    text: Option<Template>,
    html: Option<Template>,
}

/// A template of a message that cannot be parsed or rendered.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{part} of message `{message}`, line {line}, column {column}: {why}")]
pub struct RenderError {
    /// The message's id.
    pub message: String,
    /// `subject`, `text` or `html`.
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
        Ok(Prepared {
            message,
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
        Ok(Content {
            from: self.message.from.clone(),
            subject: render("subject", &self.subject, Escape::None)?.map(one_line),
            text: render("text", &self.text, Escape::None)?,
            html: render("html", &self.html, Escape::Html)?,
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
