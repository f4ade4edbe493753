//! Renders applied messages without values, to find errors that would otherwise fail the first run,
//! such as a macro that calls itself.

use promoflow_velocity::{Error, Limits, MAX_WORK, RenderOptions, Template};
use serde_json::Map;

use super::definition::Message;
use super::references::ValueReference;
use super::{Values, tags};

/// Maximum number of templates that are rendered, and of those that take long. A file may contain
/// thousands, and each may work for up to a second.
const MAX_TEMPLATES: u32 = 200;
const MAX_SLOW_TEMPLATES: u32 = 5;
/// Amount of work that counts as fast.
const FAST_WORK: u64 = MAX_WORK / 64;

/// Renders the messages of a file without values.
pub struct SmokeRender {
    values: Values,
    templates_left: u32,
    slow_templates_left: u32,
}

impl Default for SmokeRender {
    fn default() -> SmokeRender {
        SmokeRender {
            values: Values::new(&Map::new(), ""),
            templates_left: MAX_TEMPLATES,
            slow_templates_left: MAX_SLOW_TEMPLATES,
        }
    }
}

impl SmokeRender {
    /// Returns the position and the reason of each part that fails without values.
    pub fn failures(&mut self, message: &Message) -> Vec<(ValueReference, String)> {
        let mut failures = Vec::new();
        message.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            if let Some(error) = self.failure(&template) {
                let at = ValueReference {
                    name: part.to_owned(),
                    tag: false,
                    part,
                    language: language.map(str::to_owned),
                    line: error.line,
                    column: error.column,
                };
                failures.push((at, error.message));
            }
        });
        failures
    }

    fn failure(&mut self, template: &Template) -> Option<Error> {
        self.templates_left = self.templates_left.checked_sub(1)?;
        let render = |work| {
            let limits = Limits {
                work,
                ..Limits::default()
            };
            let options = RenderOptions {
                limits,
                ..RenderOptions::default()
            };
            let tags = |_: &str, _: &str| None;
            let rendered = self.values.render_with(template, &options, &tags);
            rendered.err()
        };
        render(FAST_WORK)?;
        // A template that takes long may still be valid: rendering with the full limit decides.
        self.slow_templates_left = self.slow_templates_left.checked_sub(1)?;
        render(MAX_WORK)
    }
}
