//! Which values a template needs.

use std::collections::HashSet;

use crate::ast::{Expr, Node, Reference as AstReference, StepKind};
use crate::parser::Parsed;
use crate::walk::{self, Visitor};

/// A value that a template reads and does not set itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reference {
    /// The top-level variable, without `$`.
    pub variable: String,
    /// The key, if the variable is `data` and the template names the key as a constant.
    pub key: Option<String>,
    /// The line of the reference, from 1.
    pub line: u32,
    /// The character in the line at which the reference starts, from 1.
    pub column: u32,
}

/// Variables that rendering itself provides, and `$null`, which authors write for no value.
const PROVIDED: [&str; 6] = [
    "foreach",
    "velocityCount",
    "velocityHasNext",
    "bodyContent",
    "null",
    "esc",
];

/// All references of a template in the order of the source.
pub(crate) fn references(parsed: &Parsed) -> Vec<Reference> {
    let mut walk = Walk::default();
    for defined in parsed.macros.values() {
        let names = defined.parameters.iter().map(|(name, _)| name.to_string());
        walk.set.extend(names);
    }
    walk::template(parsed, &mut walk);
    let Walk {
        mut read,
        set,
        set_keys,
    } = walk;
    read.retain(|reference| {
        let own = match &reference.key {
            Some(key) => set_keys.contains(key),
            None => false,
        };
        !own && !set.contains(&reference.variable)
            && !PROVIDED.contains(&reference.variable.as_str())
    });
    read.sort_by_key(|reference| (reference.line, reference.column));
    read
}

#[derive(Default)]
struct Walk {
    read: Vec<Reference>,
    set: HashSet<String>,
    set_keys: HashSet<String>,
}

/// The key that a reference to `$data` names.
fn key(reference: &AstReference) -> Option<String> {
    if &*reference.name != "data" {
        return None;
    }
    match &reference.steps.first()?.kind {
        StepKind::Property(name) => Some(name.to_string()),
        StepKind::Index(Expr::Text(key)) => Some(key.to_string()),
        StepKind::Method(name, arguments) => match (&**name, arguments.first()) {
            ("get" | "getOrDefault" | "containsKey", Some(Expr::Text(key))) => {
                Some(key.to_string())
            }
            _ => None,
        },
        StepKind::Index(_) => None,
    }
}

impl Visitor for Walk {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Foreach(foreach) => {
                self.set.insert(foreach.variable.to_string());
            }
            Node::Set(set) if set.target.steps.is_empty() => {
                self.set.insert(set.target.name.to_string());
            }
            Node::Set(set) => self.set_keys.extend(key(&set.target)),
            Node::Define { name, .. } => {
                self.set.insert(name.to_string());
            }
            _ => {}
        }
    }

    fn reference(&mut self, reference: &AstReference) {
        if !reference.valueless {
            self.read.push(Reference {
                variable: reference.name.to_string(),
                key: key(reference),
                line: reference.pos.line,
                column: reference.pos.column,
            });
        }
    }
}
