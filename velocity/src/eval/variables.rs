//! Variables: set by the template, given by the context, or provided by rendering.

use std::sync::Arc;

use super::{Renderer, Variable};
use crate::number::Number;
use crate::options::Escape;
use crate::runtime::{Tool, Val};

/// The stamp of a variable that was copied from the context.
const OF_CONTEXT: u64 = 0;

impl<'c> Renderer<'c> {
    /// Returns the value of a variable.
    pub(crate) fn variable(&mut self, name: &Arc<str>) -> Val<'c> {
        if let Some(variable) = self.variables.get(name) {
            return variable.value.clone();
        }
        if let Some(value) = self.context.get(name) {
            let value = Val::borrow(value);
            if matches!(value, Val::List(_) | Val::Map(_)) {
                // The template may change it and must see the change later.
                let (value, stamp) = (value.clone(), OF_CONTEXT);
                self.variables
                    .insert(name.clone(), Variable { value, stamp });
            }
            return value;
        }
        self.implied_variable(name)
    }

    /// Returns a variable that rendering provides: loop counters as in Velocity 1.7, and tools.
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

    /// Returns the tool that a variable of the context overrides.
    pub(super) fn hidden_tool(&self, name: &str) -> Option<Tool> {
        let hidden = self.tool(name)?;
        // A variable that the template itself sets is meant to be used.
        let own = self.variables.get(name);
        let own = own.is_some_and(|variable| variable.stamp != OF_CONTEXT);
        (!own && self.context.get(name).is_some()).then_some(hidden)
    }

    /// Sets a variable and returns a stamp that identifies this assignment.
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
