//! Renders applied messages without values, to find errors that would otherwise fail the first run,
//! such as a macro that calls itself.

use promoflow_velocity::{Error, Limits, MAX_WORK, RenderOptions, Template};
use serde_json::Map;

use super::definition::Message;
use super::reads::Read;
use super::{Values, tags};

/// Maximum number of templates that are rendered, and of those that take long. A file may contain
/// thousands, and each may work for up to a second.
const MOST: u32 = 200;
const MOST_LONG: u32 = 5;
/// Amount of work that counts as fast.
const SHORT: u64 = MAX_WORK / 64;

/// Renders the messages of a file without values.
pub struct Trial {
    values: Values,
    left: u32,
    left_long: u32,
}

impl Default for Trial {
    fn default() -> Trial {
        Trial {
            values: Values::new(&Map::new(), ""),
            left: MOST,
            left_long: MOST_LONG,
        }
    }
}

impl Trial {
    /// Returns the position and the reason of each part that fails without values.
    pub fn failures(&mut self, message: &Message) -> Vec<(Read, String)> {
        let mut failures = Vec::new();
        message.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            if let Some(error) = self.failure(&template) {
                let at = Read {
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
        self.left = self.left.checked_sub(1)?;
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
        render(SHORT)?;
        // A template that takes long may still be valid: rendering with the full limit decides.
        self.left_long = self.left_long.checked_sub(1)?;
        render(MAX_WORK)
    }
}
