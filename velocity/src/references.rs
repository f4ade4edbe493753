//! Which values a template needs.

use std::collections::HashSet;

use crate::ast::{Block, Call, Expr, Node, Reference as AstReference, StepKind};
use crate::parser::Parsed;

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
    walk.block(&parsed.block);
    for defined in parsed.macros.values() {
        for (name, default) in &defined.parameters {
            walk.set.insert(name.to_string());
            if let Some(default) = default {
                walk.expr(default);
            }
        }
        walk.block(&defined.body);
    }
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

impl Walk {
    fn block(&mut self, block: &Block) {
        for node in block {
            self.node(node);
        }
    }

    fn node(&mut self, node: &Node) {
        match node {
            Node::Text(_) | Node::Raw(_) | Node::Tag(_) | Node::Stop | Node::Break(None) => {}
            // An escaped reference is text; whether there is a value does not matter.
            Node::Output(output) if output.escaped => {}
            Node::Output(output) => self.reference(&output.reference),
            Node::If(branches) => {
                for (condition, body) in &branches.branches {
                    self.expr(condition);
                    self.block(body);
                }
                self.block(&branches.otherwise);
            }
            Node::Foreach(foreach) => {
                self.set.insert(foreach.variable.to_string());
                self.expr(&foreach.items);
                self.block(&foreach.body);
                self.block(&foreach.otherwise);
            }
            Node::Set(set) => {
                self.expr(&set.value);
                if set.target.steps.is_empty() {
                    self.set.insert(set.target.name.to_string());
                } else {
                    self.steps(&set.target);
                    self.set_keys.extend(key(&set.target));
                }
            }
            Node::Define { name, body } => {
                self.set.insert(name.to_string());
                self.block(body);
            }
            Node::Evaluate(expr, _) => self.expr(expr),
            Node::Break(Some(expr)) => self.expr(expr),
            Node::Call(call) => self.call(call),
        }
    }

    fn call(&mut self, call: &Call) {
        for argument in &call.arguments {
            self.expr(argument);
        }
        if let Some(body) = &call.body {
            self.block(body);
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
        self.steps(reference);
        if let Some(alternate) = &reference.alternate {
            self.expr(alternate);
        }
    }

    fn steps(&mut self, reference: &AstReference) {
        for step in &reference.steps {
            match &step.kind {
                StepKind::Property(_) => {}
                StepKind::Method(_, arguments) => {
                    for argument in arguments {
                        self.expr(argument);
                    }
                }
                StepKind::Index(index) => self.expr(index),
            }
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Text(_) | Expr::Number(_) | Expr::Bool(_) => {}
            Expr::Template(block, _) => self.block(block),
            Expr::List(items, _) => items.iter().for_each(|item| self.expr(item)),
            Expr::Map(entries, _) => {
                for (key, value) in entries {
                    self.expr(key);
                    self.expr(value);
                }
            }
            Expr::Range(ends, _) => {
                self.expr(&ends.0);
                self.expr(&ends.1);
            }
            Expr::Reference(reference) => self.reference(reference),
            Expr::Not(inner) | Expr::Negate(inner) => self.expr(inner),
            Expr::Chain(chain) => {
                self.expr(&chain.first);
                for link in &chain.rest {
                    self.expr(&link.operand);
                }
            }
        }
    }
}
