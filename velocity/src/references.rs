//! Finds the values that a template needs.

use std::collections::{HashMap, HashSet};

use crate::ast::{Expr, Node, Output, Reference as AstReference, StepKind};
use crate::error::Pos;
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
    /// The use of the value.
    pub usage: Usage,
    /// The source as written in the template if it is printed, such as `${order.total}`; otherwise
    /// `$` and the name.
    pub source: String,
    /// The line of the reference, from 1.
    pub line: u32,
    /// The character in the line at which the reference starts, from 1.
    pub column: u32,
}

/// A use of a value in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Usage {
    /// It is printed, directly or through a method call, and the template has no default for it.
    Printed,
    /// Like [`Printed`](Usage::Printed), but the dollar sign looks like part of the text: `10$off`,
    /// `A$AP`.
    Text,
    /// It is printed if it has a value (`$!name`), or has a default (`${name|'friend'}`).
    Optional,
    /// An `#if` tests it.
    Tested,
    /// Any other use: a list of `#foreach`, the value of a `#set`, an argument.
    Read,
}

/// Variables that rendering provides, and `$null`, which authors write for a missing value.
const PROVIDED: [&str; 6] = [
    "foreach",
    "velocityCount",
    "velocityHasNext",
    "bodyContent",
    "null",
    "esc",
];

/// Returns all references of a template, in source order.
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
        ..
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
    /// Number of conditions around the current node.
    conditions: u32,
    /// The usage and source of printed references, and of references inside them, by position.
    printed: HashMap<Pos, (Usage, Box<str>)>,
}

impl Walk {
    fn printed(&mut self, output: &Output) {
        let usage = match output.is_loud() {
            true if output.reads_as_text => Usage::Text,
            true => Usage::Printed,
            false => Usage::Optional,
        };
        let source = match usage {
            Usage::Printed | Usage::Text => output.source.clone(),
            _ => "".into(),
        };
        self.printed.insert(output.reference.pos, (usage, source));
        let mut within = Within(Vec::new());
        walk::steps(&output.reference, &mut within);
        for pos in within.0 {
            self.printed.entry(pos).or_insert((usage, "".into()));
        }
    }
}

/// Collects the references inside the steps of another one.
struct Within(Vec<Pos>);

impl Visitor for Within {
    fn reference(&mut self, reference: &AstReference) {
        self.0.push(reference.pos);
    }
}

/// Returns the key that a reference to `$data` names.
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
            Node::Output(output) if !output.escaped => self.printed(output),
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

    fn condition(&mut self, begins: bool) {
        self.conditions = match begins {
            true => self.conditions.saturating_add(1),
            false => self.conditions.saturating_sub(1),
        };
    }

    fn reference(&mut self, reference: &AstReference) {
        if !reference.valueless {
            let (usage, source) = match self.printed.get(&reference.pos) {
                _ if self.conditions > 0 => (Usage::Tested, None),
                _ if reference.alternate.is_some() => (Usage::Optional, None),
                Some((usage, source)) => (*usage, Some(source).filter(|one| !one.is_empty())),
                None => (Usage::Read, None),
            };
            let key = key(reference);
            let source = match source {
                Some(source) => source.to_string(),
                None => format!("${}", key.as_deref().unwrap_or(&reference.name)),
            };
            self.read.push(Reference {
                variable: reference.name.to_string(),
                key,
                usage,
                source,
                line: reference.pos.line,
                column: reference.pos.column,
            });
        }
    }
}
