//! Traverses all parts of a template, whether or not they are ever rendered.

use crate::ast::{Block, Expr, Node, Reference, Step, StepKind};
use crate::parser::Parsed;

/// Visits the parts of a template, each one before its children.
pub(crate) trait Visitor {
    /// Visits a node.
    fn node(&mut self, _node: &Node) {}

    /// Visits a reference whose value is read; the target of a `#set` is not.
    fn reference(&mut self, _reference: &Reference) {}

    /// Called at the start and at the end of the condition of an `#if`.
    fn condition(&mut self, _begins: bool) {}

    /// Visits a step of a reference, including the target of a `#set`.
    fn step(&mut self, _step: &Step) {}
}

/// Visits a whole template, its macros last.
pub(crate) fn template(parsed: &Parsed, visitor: &mut dyn Visitor) {
    block(&parsed.block, visitor);
    for defined in parsed.macros.values() {
        let defaults = defined.parameters.iter();
        for default in defaults.filter_map(|(_, default)| default.as_ref()) {
            expr(default, visitor);
        }
        block(&defined.body, visitor);
    }
}

fn block(block: &Block, visitor: &mut dyn Visitor) {
    for one in block {
        node(one, visitor);
    }
}

fn node(node: &Node, visitor: &mut dyn Visitor) {
    visitor.node(node);
    match node {
        Node::Text(_) | Node::Raw(_) | Node::Tag(_) | Node::Stop | Node::Break(None) => {}
        // An escaped reference is text, whether or not it has a value.
        Node::Output(output) if output.escaped => {}
        Node::Output(output) => reference(&output.reference, visitor),
        Node::If(branches) => {
            for (condition, body) in &branches.branches {
                visitor.condition(true);
                expr(condition, visitor);
                visitor.condition(false);
                block(body, visitor);
            }
            block(&branches.otherwise, visitor);
        }
        Node::Foreach(foreach) => {
            expr(&foreach.items, visitor);
            block(&foreach.body, visitor);
            block(&foreach.otherwise, visitor);
        }
        Node::Set(set) => {
            expr(&set.value, visitor);
            steps(&set.target, visitor);
        }
        Node::Define { body, .. } => block(body, visitor),
        Node::Evaluate(value, _) => expr(value, visitor),
        Node::Break(Some(scope)) => expr(scope, visitor),
        Node::Call(call) => {
            for argument in &call.arguments {
                expr(argument, visitor);
            }
            if let Some(body) = &call.body {
                block(body, visitor);
            }
        }
    }
}

fn reference(reference: &Reference, visitor: &mut dyn Visitor) {
    visitor.reference(reference);
    steps(reference, visitor);
    if let Some(alternate) = &reference.alternate {
        expr(alternate, visitor);
    }
}

/// Visits the steps of a reference and their children.
pub(crate) fn steps(reference: &Reference, visitor: &mut dyn Visitor) {
    for step in &reference.steps {
        visitor.step(step);
        match &step.kind {
            StepKind::Property(_) => {}
            StepKind::Method(_, arguments) => {
                for argument in arguments {
                    expr(argument, visitor);
                }
            }
            StepKind::Index(index) => expr(index, visitor),
        }
    }
}

fn expr(value: &Expr, visitor: &mut dyn Visitor) {
    match value {
        Expr::Text(_) | Expr::Number(_) | Expr::Bool(_) => {}
        Expr::Template(text, _) => block(text, visitor),
        Expr::List(items, _) => items.iter().for_each(|item| expr(item, visitor)),
        Expr::Map(entries, _) => {
            for (key, value) in entries {
                expr(key, visitor);
                expr(value, visitor);
            }
        }
        Expr::Range(ends, _) => {
            expr(&ends.0, visitor);
            expr(&ends.1, visitor);
        }
        Expr::Reference(one) => reference(one, visitor),
        Expr::Not(inner) | Expr::Negate(inner) => expr(inner, visitor),
        Expr::Chain(chain) => {
            expr(&chain.first, visitor);
            for link in &chain.rest {
                expr(&link.operand, visitor);
            }
        }
    }
}
