//! A run's values as templates read them.

use std::sync::LazyLock;

use promoflow_velocity::{Context, Error, Map, RenderOptions, Template, Value};
use serde_json::{Map as JsonMap, Value as Json};

use crate::document::TemplateFault;

/// The name under which the event's key stands in templates.
const KEY: &str = "key";
/// The name under which all values stand in templates.
const DATA: &str = "data";

/// A run's values as templates read them: all in `$data`, each whose name allows it as a
/// variable, and the event's key as `$key`.
pub struct Values(Context);

impl Values {
    /// The values of a run about that key.
    pub fn new(data: &JsonMap<String, Json>, key: &str) -> Values {
        let mut context = Context::new().with_tools();
        let mut map = Map::new();
        for (name, value) in data {
            let value = Value::from(value.clone());
            if is_variable(name) {
                context.set(name.clone(), value.clone());
            }
            map.insert(name.clone(), value);
        }
        context.set(KEY, key);
        context.set(DATA, map);
        Values(context)
    }

    /// What a template prints with them.
    pub fn render(&self, template: &Template) -> Result<String, Error> {
        template.render(&self.0)
    }

    /// The same with options.
    pub(super) fn render_with(
        &self,
        template: &Template,
        options: &RenderOptions,
    ) -> Result<String, Error> {
        template.render_with(&self.0, options)
    }
}

/// Whether a value's name can be written behind a `$`.
fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether what a template prints depends on a run's values.
pub fn depends_on_data(template: &Template) -> bool {
    !template.references().is_empty()
}

/// What a template prints that does not depend on any value.
pub fn render_constant(template: &Template) -> Result<String, Error> {
    static NOTHING: LazyLock<Context> = LazyLock::new(Context::new);
    template.render(&NOTHING)
}

/// Judges a template for the reader of files.
pub fn check_template(source: &str) -> Result<bool, TemplateFault> {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    match Template::parse(source) {
        Ok(template) => Ok(depends_on_data(&template)),
        Err(error) => Err(TemplateFault {
            line: place(error.line),
            column: place(error.column),
            message: error.message,
        }),
    }
}
