//! Calls of tools that an author most likely did not mean so.

use promoflow_velocity::Locale;

use super::definition::Message;
use super::reads::Read;
use super::tags;

/// An odd call of a tool in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolWarning {
    /// Where it stands.
    pub at: Read,
    /// What is odd.
    pub why: String,
    /// What to write in its place.
    pub hint: String,
}

impl Message {
    /// Its odd calls of tools, in any language, in the order of the file.
    pub fn tool_warnings(&self) -> Vec<ToolWarning> {
        let mut warnings = Vec::new();
        self.each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            let own = language.or(self.language.as_deref());
            let locale = own.and_then(Locale::of).unwrap_or_default();
            for odd in template.tool_warnings(locale) {
                let at = Read {
                    name: part.to_owned(),
                    tag: false,
                    part,
                    language: language.map(str::to_owned),
                    line: odd.line,
                    column: odd.column,
                };
                warnings.push(ToolWarning {
                    at,
                    why: odd.message,
                    hint: odd.hint.unwrap_or_default(),
                });
            }
        });
        warnings
    }
}
