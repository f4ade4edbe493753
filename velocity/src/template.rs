//! Parsed templates.

use crate::certain_errors;
use crate::context::Context;
use crate::error::{Error, Pos};
use crate::eval;
use crate::locale::Locale;
use crate::methods::calls;
use crate::options::{ParseOptions, RenderOptions};
use crate::parser::{self, Parsed};
use crate::references::{self, Reference};
use crate::report::Rendered;
use crate::tags::{self, IsTag, MergeTag, TagValues};

/// A parsed template that can be rendered from any thread.
#[derive(Debug)]
pub struct Template {
    parsed: Parsed,
    length: usize,
    tags: Vec<MergeTag>,
}

impl Template {
    /// Parses the source of a template.
    ///
    /// # Errors
    ///
    /// Fails if the source is not a valid template, for instance because of a missing `#end` or
    /// bracket; if it uses `#include` or `#parse`; or if it is longer than
    /// [`MAX_SOURCE_BYTES`](crate::MAX_SOURCE_BYTES) or
    /// [`MAX_SOURCE_TOKENS`](crate::MAX_SOURCE_TOKENS), or nested deeper than
    /// [`MAX_SOURCE_DEPTH`](crate::MAX_SOURCE_DEPTH).
    pub fn parse(source: &str) -> Result<Template, Error> {
        Template::parse_with(source, &ParseOptions::default())
    }

    /// Parses the source of a template with the given options.
    ///
    /// # Errors
    ///
    /// Like [`Template::parse`].
    pub fn parse_with(source: &str, options: &ParseOptions) -> Result<Template, Error> {
        Ok(Template {
            parsed: parser::parse(source, Pos::START, 0, *options)?,
            length: source.len(),
            tags: Vec::new(),
        })
    }

    /// Parses the source of a template with merge tags, such as `%NAME|default%`, in its text.
    ///
    /// `#[[ ]]#` protects text that looks like a tag.
    ///
    /// # Errors
    ///
    /// Like [`Template::parse`].
    pub fn parse_with_tags(
        source: &str,
        options: &ParseOptions,
        is_tag: &IsTag<'_>,
    ) -> Result<Template, Error> {
        let mut template = Template::parse_with(source, options)?;
        template.tags = tags::compile(&mut template.parsed, source, is_tag);
        Ok(template)
    }

    /// Renders with the default [`RenderOptions`]: without escaping, and with the default limits.
    ///
    /// # Errors
    ///
    /// Fails if a method gets an invalid argument, such as an index outside of a list, if an
    /// evaluated text is not a valid template, or if a limit is exceeded.
    pub fn render(&self, context: &Context) -> Result<String, Error> {
        self.render_with(context, &RenderOptions::default())
    }

    /// Renders with the given options.
    ///
    /// # Errors
    ///
    /// Like [`Template::render`].
    pub fn render_with(&self, context: &Context, options: &RenderOptions) -> Result<String, Error> {
        self.render_with_tags(context, options, &|_, _| None)
    }

    /// Renders with the given options and values of merge tags. A tag whose value is missing or
    /// blank prints its default.
    ///
    /// # Errors
    ///
    /// Like [`Template::render`].
    pub fn render_with_tags(
        &self,
        context: &Context,
        options: &RenderOptions,
        tags: &TagValues<'_>,
    ) -> Result<String, Error> {
        let rendered = self.render_reporting(context, options, tags)?;
        Ok(rendered.text)
    }

    /// Like [`render_with_tags`](Template::render_with_tags), and also returns the references that
    /// had no value when they were printed.
    ///
    /// # Errors
    ///
    /// Like [`Template::render`].
    pub fn render_reporting(
        &self,
        context: &Context,
        options: &RenderOptions,
        tags: &TagValues<'_>,
    ) -> Result<Rendered, Error> {
        eval::render(&self.parsed, self.length, context, options, tags)
    }

    /// Returns the merge tags of the template, in source order.
    pub fn tags(&self) -> &[MergeTag] {
        &self.tags
    }

    /// Returns the errors that occur when their place is rendered, whatever the values: an
    /// `#evaluate` of an invalid template, an invalid regular expression, or a macro call with a
    /// bare word as argument.
    ///
    /// Velocity and [`Template::parse`] accept such a template, because the place may never be
    /// reached. It is a mistake of the author, so a host should report it before rendering.
    pub fn certain_errors(&self) -> Vec<Error> {
        certain_errors::certain_errors(&self.parsed)
    }

    /// Returns the calls of tools that print nothing, whatever the values, because the tool, method
    /// or pattern does not exist. For templates that use [tools](crate::Context::with_tools).
    pub fn tool_errors(&self) -> Vec<Error> {
        calls::find(&self.parsed, Locale::default()).errors
    }

    /// Returns the calls of tools that are probably mistakes in a message of this language: too few
    /// arguments, a pattern with minutes instead of months, an amount without an explicit currency.
    pub fn tool_warnings(&self, locale: Locale) -> Vec<Error> {
        calls::find(&self.parsed, locale).warnings
    }

    /// Returns the values that the template reads and does not set itself, in source order: each
    /// key of `$data` that is a constant, and each top-level variable.
    ///
    /// Variables that rendering provides, such as `$foreach`, are left out, and so are the
    /// references of evaluated texts.
    pub fn references(&self) -> Vec<Reference> {
        references::references(&self.parsed)
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Template>();
};
