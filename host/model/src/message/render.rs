//! Rendering of a message's templates with a run's values.

use promoflow_velocity::{Error, UnsetReference};
use thiserror::Error as ThisError;

use super::templates::Templates;
use super::{ChannelKind, CodeTag, Message, Parts, RenderedMessage, Values, language};
use promoflow_document::TemplateError;

/// Claims the promo code of a merge tag, each time that the tag is printed. On `None` no code is
/// available and the tag's default is printed. Tags in a branch that is not executed claim nothing.
pub type ClaimCode<'t> = dyn FnMut(&CodeTag) -> Option<String> + 't;

/// A message with parsed templates.
pub struct PreparedMessage {
    id: String,
    channel: ChannelKind,
    language: Option<String>,
    templates: Templates,
    /// The templates in other languages.
    languages: Vec<(String, Templates)>,
}

/// A message in the chosen language.
#[derive(Clone, Copy)]
pub struct LocalizedMessage<'m> {
    message: &'m PreparedMessage,
    language: Option<&'m str>,
    templates: &'m Templates,
}

/// An error in a message's template, found by parsing or rendering.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("{part} of message `{message}`, line {line}, column {column}: {why}")]
pub struct RenderError {
    /// The message's id.
    pub message: String,
    /// The part, as named in the message's file: `subject`, `text`, `html`, …
    pub part: &'static str,
    /// The line within the part, counted from 1.
    pub line: u32,
    /// The character within the line, counted from 1.
    pub column: u32,
    /// A description of the error.
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

    /// Creates an error from a parser error.
    pub(super) fn from_template_error(
        message: &str,
        part: &'static str,
        fault: TemplateError,
    ) -> RenderError {
        let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        RenderError {
            message: message.to_owned(),
            part,
            line: place(fault.line),
            column: place(fault.column),
            why: fault.message,
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

impl PreparedMessage {
    /// Parses a message's templates.
    pub fn new(message: Message) -> Result<PreparedMessage, RenderError> {
        let templates = |parts: &Parts, language: Option<&str>| {
            Templates::new(
                &message.id,
                parts,
                &message.headers,
                language,
                message.unset,
            )
        };
        let mut languages = Vec::with_capacity(message.languages.len());
        for translation in &message.languages {
            let parts = message.translated(translation);
            let language = translation.language.clone();
            languages.push((language, templates(&parts, Some(&translation.language))?));
        }
        Ok(PreparedMessage {
            templates: templates(&message.parts, message.language.as_deref())?,
            languages,
            id: message.id,
            channel: message.channel,
            language: message.language,
        })
    }

    /// Returns the channel that delivers the message.
    pub fn channel(&self) -> ChannelKind {
        self.channel
    }

    /// Selects the language that best matches the preferred ones, or the message's own.
    pub fn choose(&self, preferred: &[String]) -> LocalizedMessage<'_> {
        let base = [self.language.as_deref()];
        let others = self.languages.iter().map(|(tag, _)| Some(tag.as_str()));
        let number = language::choose_language(base.into_iter().chain(others), preferred);
        let other = number.and_then(|number| self.languages.get(number.checked_sub(1)?));
        let (language, templates) = match other {
            Some((language, templates)) => (Some(language.as_str()), templates),
            None => (self.language.as_deref(), &self.templates),
        };
        LocalizedMessage {
            message: self,
            language,
            templates,
        }
    }

    /// Renders the message in the language that the values prefer.
    pub fn render(
        &self,
        values: &Values,
        take: &mut ClaimCode<'_>,
    ) -> Result<RenderedMessage, RenderError> {
        self.choose(&values.languages()).render(values, take)
    }

    /// Renders the message in the given language, or the one that the values prefer, without
    /// claiming codes. Tags of codes and the unsubscribe tag are printed as written.
    pub fn preview(
        &self,
        values: Values,
        language: Option<&str>,
    ) -> Result<RenderedMessage, RenderError> {
        let chosen = match language {
            Some(language) => self.choose(&[language.to_owned()]),
            None => self.choose(&values.languages()),
        };
        let made = chosen.render(&values, &mut |tag| Some(format!("%{tag}%")))?;
        Ok(made.with_unsubscribe_tag())
    }
}

impl LocalizedMessage<'_> {
    /// Renders the message. Values are escaped in HTML.
    pub fn render(
        &self,
        values: &Values,
        take: &mut ClaimCode<'_>,
    ) -> Result<RenderedMessage, RenderError> {
        Ok(self.render_reporting(values, take)?.0)
    }

    /// Same as [`render`](Self::render), with the printed references that had no value.
    pub fn render_reporting(
        &self,
        values: &Values,
        take: &mut ClaimCode<'_>,
    ) -> Result<(RenderedMessage, Vec<UnsetValue>), RenderError> {
        let PreparedMessage { id, channel, .. } = self.message;
        let (content, unset) = self.templates.render(id, *channel, values, take)?;
        let content = RenderedMessage {
            language: self.language.map(str::to_owned),
            ..content
        };
        Ok((content, unset))
    }
}

/// A printed reference that had no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsetValue {
    /// The part, as named in the message's file: `subject`, `text`, `html`, …
    pub part: &'static str,
    /// The reference, with its position within the part.
    pub reference: UnsetReference,
}

#[cfg(test)]
mod tests;
