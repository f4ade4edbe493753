//! The seam to the template engine: whether a text is a sound template.

use super::diagnostic::Diagnostics;
use super::node::Node;

/// What is wrong with a template. Lines and columns count from 1 within the template's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// What is wrong.
    pub message: String,
    /// What to do about it, if there is something to say.
    pub hint: Option<String>,
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

/// Judges templates. A function of the same shape will do.
pub trait TemplateCheck {
    /// Whether what the template prints depends on the run's data, that is, whether it holds
    /// references.
    fn depends_on_data(&self, template: &str) -> Result<bool, TemplateFault>;
}

impl<F: Fn(&str) -> Result<bool, TemplateFault>> TemplateCheck for F {
    fn depends_on_data(&self, template: &str) -> Result<bool, TemplateFault> {
        self(template)
    }
}

/// Checks the template that a node's text is, and says whether it depends on the run's data.
/// `None`: it is not sound, which is noted at its place in the file, or the node is no scalar.
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
