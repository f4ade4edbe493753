//! The interface to the template engine: checks that a text is a valid template.

use super::diagnostic::Diagnostics;
use super::node::Node;

/// An error in a template. Lines and columns count from 1 within the template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// A description of the error.
    pub message: String,
    /// A suggested fix, if any.
    pub hint: Option<String>,
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// Validates templates. Any function with the same signature implements it.
pub trait TemplateCheck {
    /// Returns true if the output of the template depends on the run's data, that is, if it
    /// contains references.
    fn depends_on_data(&self, template: &str) -> Result<bool, TemplateError>;
}

impl<F: Fn(&str) -> Result<bool, TemplateError>> TemplateCheck for F {
    fn depends_on_data(&self, template: &str) -> Result<bool, TemplateError> {
        self(template)
    }
}

/// Validates the node's text as a template and returns whether its output depends on the run's
/// data. Returns `None` if the node is not a scalar, or if the template is invalid, which is
/// reported at its position in the file.
pub fn check_template(
    node: &Node,
    templates: &dyn TemplateCheck,
    out: &mut Diagnostics,
) -> Option<bool> {
    let scalar = node.scalar()?;
    match templates.depends_on_data(scalar.text()) {
        Ok(depends) => Some(depends),
        Err(fault) => {
            out.error(
                scalar.locate(fault.line, fault.column),
                fault.message,
                fault.hint,
            );
            None
        }
    }
}
