//! The parsed templates of a message, and their rendering.

use std::cell::RefCell;

use promoflow_velocity::{Escape, Locale, RenderOptions, Template};

use super::mailbox::{looks_like_mailbox, mark_address, quote_name};
use super::tags;
use super::url::{self, UrlPurpose};
use super::{
    ChannelKind, ClaimCode, Parts, RenderError, RenderedMessage, Unset, UnsetValue, Values,
    depends_on_data, preheader, unsubscribe,
};
use promoflow_document::quoted;

/// The parts of a message as parsed templates.
pub(super) struct Templates {
    from: Option<Template>,
    reply_to: Option<Template>,
    subject: Option<Template>,
    preheader: Option<Template>,
    title: Option<Template>,
    text: Option<Template>,
    html: Option<Template>,
    image: Option<Template>,
    link: Option<Template>,
    button: Option<Template>,
    headers: Vec<(String, Template)>,
    /// The locale in which tools format dates and numbers.
    locale: Locale,
    /// True if a template prints the unsubscribe URL.
    unsubscribe: bool,
    /// The output of a reference without a value.
    unset: Unset,
}

impl Templates {
    /// Parses the templates. `message` names the message in errors; `language` is the language of
    /// the parts.
    pub(super) fn new(
        message: &str,
        parts: &Parts,
        headers: &[(String, String)],
        language: Option<&str>,
        unset: Unset,
    ) -> Result<Templates, RenderError> {
        let mut unsubscribe = false;
        let mut parse = |part, source: &str| {
            let template = tags::parse(source)
                .map_err(|fault| RenderError::from_template_error(message, part, fault))?;
            unsubscribe |= tags::unsubscribe_tag(&template).is_some();
            Ok(template)
        };
        let mut mailbox = |part, source: &Option<String>| {
            let Some(source) = source.as_deref() else {
                return Ok(None);
            };
            let template = parse(part, source)?;
            let depends = depends_on_data(&template) || !template.tags().is_empty();
            // Without the mark if `<` is an operator of the template language here.
            let marked = mark_address(source).filter(|_| depends);
            let marked = marked.and_then(|source| tags::parse(&source).ok());
            Ok(Some(marked.unwrap_or(template)))
        };
        let (from, reply_to) = (
            mailbox("from", &parts.from)?,
            mailbox("reply-to", &parts.reply_to)?,
        );
        let mut part = |part, source: &Option<String>| {
            let source = source.as_deref();
            source.map(|source| parse(part, source)).transpose()
        };
        let mut templates = Templates {
            from,
            reply_to,
            subject: part("subject", &parts.subject)?,
            preheader: part("preheader", &parts.preheader)?,
            title: part("title", &parts.title)?,
            text: part("text", &parts.text)?,
            html: part("html", &parts.html)?,
            image: part("image", &parts.image)?,
            link: part("link", &parts.link)?,
            button: part("button", &parts.button)?,
            headers: Vec::new(),
            locale: language.and_then(Locale::of).unwrap_or_default(),
            unsubscribe: false,
            unset,
        };
        for (name, value) in headers {
            let value = parse("headers", value)?;
            templates.headers.push((name.clone(), value));
        }
        templates.unsubscribe = unsubscribe;
        Ok(templates)
    }

    /// Renders all parts.
    pub(super) fn render(
        &self,
        message: &str,
        channel: ChannelKind,
        values: &Values,
        take: &mut ClaimCode<'_>,
    ) -> Result<(RenderedMessage, Vec<UnsetValue>), RenderError> {
        let marker = self.unsubscribe.then(unsubscribe::marker).transpose();
        let marker = marker.map_err(|error| {
            RenderError::at_start(
                message,
                "text",
                format!("the operating system returned no random bytes: {error}"),
            )
        })?;
        let rendering = Rendering {
            message,
            channel,
            values,
            locale: self.locale,
            unsubscribe: marker.as_deref(),
            take: RefCell::new(take),
            on_unset: self.unset,
            unset: RefCell::default(),
        };
        let preheader = rendering.line("preheader", &self.preheader)?;
        let html = rendering.part("html", &self.html, Escape::Html)?;
        let html = match &preheader {
            Some(preheader) => html.map(|html| preheader::insert(html, preheader)),
            None => html,
        };
        let header = |(name, value): &(String, Template)| {
            let value = rendering.print("headers", value, Escape::None)?;
            Ok((name.clone(), one_line(value)))
        };
        let content = RenderedMessage {
            from: rendering.mailbox("from", &self.from)?,
            reply_to: rendering.mailbox("reply-to", &self.reply_to)?,
            subject: rendering.line("subject", &self.subject)?,
            preheader,
            title: rendering.line("title", &self.title)?,
            text: rendering.part("text", &self.text, Escape::None)?,
            html,
            image: rendering.url("image", &self.image, UrlPurpose::Image)?,
            link: rendering.url("link", &self.link, UrlPurpose::Link)?,
            button: rendering.line("button", &self.button)?,
            headers: self.headers.iter().map(header).collect::<Result<_, _>>()?,
            unsubscribe: marker.clone(),
            ..RenderedMessage::default()
        };
        Ok((content, rendering.unset.into_inner()))
    }
}

/// One rendering of a message.
struct Rendering<'r, 't> {
    message: &'r str,
    channel: ChannelKind,
    values: &'r Values,
    locale: Locale,
    /// The placeholder for the unsubscribe URL.
    unsubscribe: Option<&'r str>,
    take: RefCell<&'r mut ClaimCode<'t>>,
    /// The output of a reference without a value, and the references that had none.
    on_unset: Unset,
    unset: RefCell<Vec<UnsetValue>>,
}

impl Rendering<'_, '_> {
    fn print(
        &self,
        part: &'static str,
        template: &Template,
        escape: Escape,
    ) -> Result<String, RenderError> {
        let options = RenderOptions {
            escape,
            locale: self.locale,
            unset: match self.on_unset {
                Unset::Nothing => promoflow_velocity::Unset::Nothing,
                Unset::Print => promoflow_velocity::Unset::Source,
            },
            ..RenderOptions::default()
        };
        let tag = |key: &str, instead: &str| match (self.unsubscribe, tags::code_tag(key, instead))
        {
            (Some(address), _) if key == unsubscribe::KEY => Some(address.to_owned()),
            (_, Some(code)) => (self.take.borrow_mut())(&code),
            (_, None) => self.values.tag(key),
        };
        let rendered = self
            .values
            .render_with(template, &options, &tag)
            .map_err(|error| RenderError::new(self.message, part, error))?;
        let unset = rendered.unset.into_iter();
        let unset = unset.map(|reference| UnsetValue { part, reference });
        self.unset.borrow_mut().extend(unset);
        Ok(rendered.text)
    }

    fn part(
        &self,
        part: &'static str,
        template: &Option<Template>,
        escape: Escape,
    ) -> Result<Option<String>, RenderError> {
        let template = template.as_ref();
        template
            .map(|template| self.print(part, template, escape))
            .transpose()
    }

    fn line(
        &self,
        part: &'static str,
        template: &Option<Template>,
    ) -> Result<Option<String>, RenderError> {
        Ok(self.part(part, template, Escape::None)?.map(one_line))
    }

    /// Renders a mailbox. Outside emails, any name is a valid sender.
    fn mailbox(
        &self,
        part: &'static str,
        template: &Option<Template>,
    ) -> Result<Option<String>, RenderError> {
        if self.channel != ChannelKind::Email {
            return self.line(part, template);
        }
        let printed = self.part(part, template, Escape::None)?;
        let line = |text: &str| one_line(text.to_owned());
        let mailbox = printed.map(|printed| quote_name(&printed, line));
        if let Some(text) = &mailbox
            && !looks_like_mailbox(text)
        {
            let why = format!("{} is not a mailbox", quoted(text));
            return Err(RenderError::at_start(self.message, part, why));
        }
        Ok(mailbox)
    }

    fn url(
        &self,
        part: &'static str,
        template: &Option<Template>,
        purpose: UrlPurpose,
    ) -> Result<Option<String>, RenderError> {
        let Some(address) = self.part(part, template, Escape::None)? else {
            return Ok(None);
        };
        let address = url::encode(&address);
        url::check(&address, purpose).map_err(|expected| {
            let why = format!("{} is not a valid address: {expected}", quoted(&address));
            RenderError::at_start(self.message, part, why)
        })?;
        Ok(Some(address))
    }
}

/// Joins lines: line breaks in a value must not inject a header.
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
