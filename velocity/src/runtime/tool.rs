//! Tools that a context may provide.

/// A tool; its methods are in `methods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Escapes texts.
    Escape,
    /// Calculates.
    Math,
    /// Formats numbers.
    Number,
    /// Formats dates.
    Date,
}

impl Tool {
    /// Returns the tool with this name.
    pub(crate) fn named(name: &str) -> Option<Tool> {
        Some(match name {
            "esc" => Tool::Escape,
            "math" | "mathTool" => Tool::Math,
            "number" | "numberTool" => Tool::Number,
            "date" | "dateTool" => Tool::Date,
            _ => return None,
        })
    }
}
