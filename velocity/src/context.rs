//! The variables of a rendering.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limits::Allowance;
use crate::runtime::Tool;
use crate::value::Value;

/// The values that a template may read: top-level variables by name. `$data` is simply one of them.
///
/// Rendering reads a context and never changes it. Building one costs a hash map and the values.
///
/// ```
/// use promoflow_velocity::{Context, Map};
///
/// let mut data = Map::new();
/// data.insert("promocode", "SPRING");
/// let context = Context::new().with("data", data).with("firstName", "Olena");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Context {
    variables: HashMap<String, Value>,
    tools: bool,
    allowance: Option<Arc<Allowance>>,
}

impl Context {
    /// Creates a context without variables.
    pub fn new() -> Context {
        Context::default()
    }

    /// Sets a variable. The name has no `$`.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.variables.insert(name.into(), value.into());
    }

    /// Sets a variable and returns the context.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Context {
        self.set(name, value);
        self
    }

    /// Provides the tools under their usual names: `$esc`, `$math`, `$mathTool`, `$number`,
    /// `$numberTool`, `$date` and `$dateTool`. A variable with the same name overrides the tool
    /// when it is used alone, but the methods of the tool keep working: values may have any name,
    /// and must not break a template that uses the tool.
    ///
    /// Without this, a template has no tools, as in Velocity without its tools library (only
    /// escaped output provides `$esc`, see [`Escape::Html`](crate::Escape::Html)).
    #[must_use]
    pub fn with_tools(mut self) -> Context {
        self.tools = true;
        self
    }

    /// Makes all renderings with this context, and with others that have the same allowance, share
    /// its work. They must run one after another.
    pub fn set_allowance(&mut self, allowance: Arc<Allowance>) {
        self.allowance = Some(allowance);
    }

    pub(crate) fn allowance(&self) -> Option<Arc<Allowance>> {
        self.allowance.clone()
    }

    /// Returns the value of a variable.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    /// Returns the value of a variable for modification.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.variables.get_mut(name)
    }

    pub(crate) fn tool(&self, name: &str) -> Option<Tool> {
        self.tools.then(|| Tool::named(name)).flatten()
    }
}
