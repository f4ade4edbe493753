//! Parsed templates.

use crate::context::Context;
use crate::error::{Error, Pos};
use crate::eval;
use crate::faults;
use crate::locale::Locale;
use crate::methods::calls;
use crate::options::{ParseOptions, RenderOptions};
use crate::parser::{self, Parsed};
use crate::references::{self, Reference};
use crate::report::Rendered;
use crate::tags::{self, IsTag, MergeTag, TagValues};

/// A template, parsed and ready to be rendered from any thread.
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
    /// If the source is no template, for instance for a missing `#end` or bracket; if it calls
    /// `#include` or `#parse`; or if it is longer than [`MAX_SOURCE_BYTES`](crate::MAX_SOURCE_BYTES)
    /// or [`MAX_SOURCE_TOKENS`](crate::MAX_SOURCE_TOKENS), or nested deeper than
    /// [`MAX_SOURCE_DEPTH`](crate::MAX_SOURCE_DEPTH).
    pub fn parse(source: &str) -> Result<Template, Error> {
        Template::parse_with(source, &ParseOptions::default())
    }

    /// Parses the source of a template with the given options.
    ///
    /// # Errors
    ///
    /// Those of [`Template::parse`].
    pub fn parse_with(source: &str, options: &ParseOptions) -> Result<Template, Error> {
        Ok(Template {
            parsed: parser::parse(source, Pos::START, 0, *options)?,
            length: source.len(),
            tags: Vec::new(),
        })
    }

    /// Parses the source of a template with merge tags, such as `%NAME|instead%`, in its text.
    ///
    /// `#[[ ]]#` keeps what looks like a tag as it is.
    ///
    /// # Errors
    ///
    /// Those of [`Template::parse`].
    pub fn parse_with_tags(
        source: &str,
        options: &ParseOptions,
        is_tag: &IsTag<'_>,
    ) -> Result<Template, Error> {
        let mut template = Template::parse_with(source, options)?;
        template.tags = tags::compile(&mut template.parsed, source, is_tag);
        Ok(template)
    }

    /// Renders with the default [`RenderOptions`]: values as they are, and the default caps.
    ///
    /// # Errors
    ///
    /// If a method gets what it cannot take, such as an index outside of a list, if an evaluated
    /// text is no template, or if a cap is reached.
    pub fn render(&self, context: &Context) -> Result<String, Error> {
        self.render_with(context, &RenderOptions::default())
    }

    /// Renders with the given options.
    ///
    /// # Errors
    ///
    /// Those of [`Template::render`].
    pub fn render_with(&self, context: &Context, options: &RenderOptions) -> Result<String, Error> {
        self.render_with_tags(context, options, &|_, _| None)
    }

    /// Renders with the given options and values of merge tags. A tag whose value is missing or
    /// blank prints what the template says instead.
    ///
    /// # Errors
    ///
    /// Those of [`Template::render`].
    pub fn render_with_tags(
        &self,
        context: &Context,
        options: &RenderOptions,
        tags: &TagValues<'_>,
    ) -> Result<String, Error> {
        let rendered = self.render_reporting(context, options, tags)?;
        Ok(rendered.text)
    }

    /// The same, with the references that had no value when they were printed.
    ///
    /// # Errors
    ///
    /// Those of [`Template::render`].
    pub fn render_reporting(
        &self,
        context: &Context,
        options: &RenderOptions,
        tags: &TagValues<'_>,
    ) -> Result<Rendered, Error> {
        eval::render(&self.parsed, self.length, context, options, tags)
    }

    /// The merge tags of the template, in the order of the source.
    pub fn tags(&self) -> &[MergeTag] {
        &self.tags
    }

    /// What fails wherever it is rendered, whatever the values: an `#evaluate` of a text that is no
    /// template, a regular expression that is none, the call of a macro with a word for a value.
    ///
    /// Velocity and [`Template::parse`] take such a template, as the place may never be come to.
    /// Who writes one has made a mistake, so that a host may tell them before it is rendered.
    pub fn faults(&self) -> Vec<Error> {
        faults::faults(&self.parsed)
    }

    /// Calls of tools that print nothing, whatever the values: of a tool or method that is none, with
    /// a pattern that is none. For templates to which [tools](crate::Context::with_tools) are offered.
    pub fn tool_faults(&self) -> Vec<Error> {
        calls::find(&self.parsed, Locale::default()).faults
    }

    /// Calls of tools that most likely are not meant so, in a message of that language: with too few
    /// arguments, with a pattern that prints minutes in the place of months, with a currency that
    /// nobody has named.
    pub fn tool_warnings(&self, locale: Locale) -> Vec<Error> {
        calls::find(&self.parsed, locale).warnings
    }

    /// The values that the template reads and does not set itself, in the order of the source:
    /// each key of `$data` that it names as a constant, and each top-level variable.
    ///
    /// Variables that rendering provides, such as `$foreach`, are left out, and so is what an
    /// evaluated text reads.
    pub fn references(&self) -> Vec<Reference> {
        references::references(&self.parsed)
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Template>();
};
