//! Variables: those that a template sets, those of its context, and those that rendering provides.

use std::sync::Arc;

use super::{Renderer, Variable};
use crate::number::Number;
use crate::options::Escape;
use crate::runtime::{Tool, Val};

/// The stamp of what was taken over from the context and set by nobody.
const OF_CONTEXT: u64 = 0;

impl<'c> Renderer<'c> {
    /// The value of a variable.
    pub(crate) fn variable(&mut self, name: &Arc<str>) -> Val<'c> {
        if let Some(variable) = self.variables.get(name) {
            return variable.value.clone();
        }
        if let Some(value) = self.context.get(name) {
            let value = Val::borrow(value);
            if matches!(value, Val::List(_) | Val::Map(_)) {
                // The template may change it and must see the change the next time.
                let (value, stamp) = (value.clone(), OF_CONTEXT);
                self.variables
                    .insert(name.clone(), Variable { value, stamp });
            }
            return value;
        }
        self.implied_variable(name)
    }

    /// Variables that nobody sets: counters of loops as in Velocity 1.7, and tools.
    fn implied_variable(&self, name: &str) -> Val<'c> {
        match (name, self.loops.last()) {
            ("velocityCount", Some(innermost)) => {
                Val::Number(Number::Int(innermost.index.get() + 1))
            }
            ("velocityHasNext", Some(innermost)) => Val::Bool(innermost.has_next.get()),
            _ => self.tool(name).map_or(Val::Null, Val::Tool),
        }
    }

    fn tool(&self, name: &str) -> Option<Tool> {
        match name {
            "esc" if self.escape != Escape::None => Some(Tool::Escape),
            _ => self.context.tool(name),
        }
    }

    /// The tool of that name where a variable of the context stands in its place.
    pub(super) fn hidden_tool(&self, name: &str) -> Option<Tool> {
        let hidden = self.tool(name)?;
        // What the template itself sets under the name was set to be used.
        let own = self.variables.get(name);
        let own = own.is_some_and(|variable| variable.stamp != OF_CONTEXT);
        (!own && self.context.get(name).is_some()).then_some(hidden)
    }

    /// Sets a variable and returns a stamp that tells this setting from any other.
    pub(crate) fn set_variable(&mut self, name: Arc<str>, value: Val<'c>) -> u64 {
        self.stamp += 1;
        let stamp = self.stamp;
        self.variables.insert(name, Variable { value, stamp });
        stamp
    }

    pub(super) fn remove_variable(&mut self, name: &Arc<str>) {
        self.variables.remove(name);
    }
}
