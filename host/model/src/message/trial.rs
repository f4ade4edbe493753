//! A trial of messages that are applied: what fails already where a run has no values, such as a macro
//! that calls itself, would else be found by the first run.

use promoflow_velocity::{Error, Limits, MAX_WORK, RenderOptions, Template};
use serde_json::Map;

use super::definition::Message;
use super::reads::Read;
use super::{Values, tags};

/// Templates that one trial renders, and those of them for which it takes more than a moment: a file
/// may hold thousands, and each may work for a second.
const MOST: u32 = 200;
const MOST_LONG: u32 = 5;
/// Work that is done in a moment.
const SHORT: u64 = MAX_WORK / 64;

/// The trial of a file of messages.
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
    /// Where a message fails without values, and why, once for each part that does.
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
        // What takes long is no mistake: that is known once it is given its time.
        self.left_long = self.left_long.checked_sub(1)?;
        render(MAX_WORK)
    }
}
