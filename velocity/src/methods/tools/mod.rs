//! Tools that a context may provide, modelled on the Velocity tools library and Yespo's manual.
//!
//! [`catalog`] lists their methods, [`calls`] finds invalid calls.

pub(crate) mod calls;
mod catalog;
mod date;
mod escape;
mod math;
mod number;

use super::{Answer, Result};
use crate::error::Pos;
use crate::eval::Renderer;
use crate::number::Number;
use crate::runtime::{Tool, Val};

impl<'c> Renderer<'c> {
    /// Calls a method of a tool. An existing method prints nothing if a required value is missing,
    /// and never its own source; an unknown one has no value.
    pub(super) fn tool_method(
        &mut self,
        tool: Tool,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let Some(method) = catalog::find(tool, name) else {
            return Ok(None);
        };
        let missing = |value: &Val<'c>| matches!(value, Val::Null | Val::Nothing);
        let answer = if !(method.min_arguments..=method.max_arguments).contains(&arguments.len())
            || arguments.iter().any(missing)
        {
            None
        } else {
            match tool {
                Tool::Escape => self.escape_tool(name, arguments, pos)?,
                Tool::Math => self.math_tool(name, arguments, pos)?,
                Tool::Number => self.number_tool(name, arguments, pos)?,
                Tool::Date => self.date_tool(name, arguments, pos)?,
            }
        };
        Ok(Some(answer.unwrap_or(Val::Nothing)))
    }

    /// Returns a property of a tool.
    pub(crate) fn tool_property(&mut self, tool: Tool, name: &str, pos: Pos) -> Result<Val<'c>> {
        if tool == Tool::Date {
            return self.date_property(name, pos);
        }
        // Symbols that would need escaping in a template.
        let symbol = match (tool, name) {
            (Tool::Escape, "d" | "dollar") => "$",
            (Tool::Escape, "h" | "hash") => "#",
            (Tool::Escape, "q" | "quote") => "\"",
            (Tool::Escape, "s" | "singleQuote") => "'",
            (Tool::Escape, "b" | "backslash") => "\\",
            (Tool::Escape, "e" | "exclamation") => "!",
            (Tool::Escape, "n" | "newline") => "\n",
            (Tool::Math, "pi") => return Ok(Val::Number(Number::Double(std::f64::consts::PI))),
            _ => return Ok(Val::Null),
        };
        Ok(Val::text(symbol))
    }

    /// Returns true if a tool has this method; it then takes precedence over a value with the
    /// tool's name.
    pub(crate) fn is_tool_method(tool: Tool, name: &str) -> bool {
        catalog::find(tool, name).is_some()
    }
}
