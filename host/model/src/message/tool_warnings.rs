//! Warnings about tool calls that are most likely mistakes.

use promoflow_velocity::Locale;

use super::definition::Message;
use super::references::ValueReference;
use super::tags;

/// A suspicious tool call in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolWarning {
    /// The position of the call.
    pub at: ValueReference,
    /// A description of the problem.
    pub why: String,
    /// A suggested replacement.
    pub hint: String,
}

impl Message {
    /// Returns the suspicious tool calls in any language, in file order.
    pub fn tool_warnings(&self) -> Vec<ToolWarning> {
        let mut warnings = Vec::new();
        self.for_each_template(&mut |part, language, source| {
            let Ok(template) = tags::parse(source) else {
                return;
            };
            let own = language.or(self.language.as_deref());
            let locale = own.and_then(Locale::of).unwrap_or_default();
            for warning in template.tool_warnings(locale) {
                let at = ValueReference {
                    name: part.to_owned(),
                    tag: false,
                    part,
                    language: language.map(str::to_owned),
                    line: warning.line,
                    column: warning.column,
                };
                warnings.push(ToolWarning {
                    at,
                    why: warning.message,
                    hint: warning.hint.unwrap_or_default(),
                });
            }
        });
        warnings
    }
}
