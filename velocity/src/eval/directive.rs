//! `#foreach`, macro calls and `#evaluate`.

use std::rc::Rc;
use std::sync::Arc;

use super::{Flow, Renderer, Variable};
use crate::ast::{Call, Expr, Foreach, Macro};
use crate::error::{Error, Pos, Result, excerpt};
use crate::limits::MAX_SOURCE_DEPTH;
use crate::options::ParseOptions;
use crate::parser::{self, Parsed};
use crate::runtime::{Loop, Val};

/// Nesting depth at which an evaluated text starts, because it is parsed during rendering.
const EVALUATED_DEPTH: u32 = MAX_SOURCE_DEPTH / 2;

/// Iterates over a list, range or the values of a map, like a Java iterator.
struct Elements<'c> {
    source: Val<'c>,
    next: usize,
    changes: u64,
    /// After each step, a map's iterator knows whether there is another element.
    more: bool,
}

impl<'c> Elements<'c> {
    fn new(source: Val<'c>, renderer: &Renderer<'c>) -> Option<Elements<'c>> {
        let more = renderer.size(&source)? > 0;
        let changes = changes(&source);
        Some(Elements {
            source,
            next: 0,
            changes,
            more,
        })
    }

    fn has_next(&self, renderer: &Renderer<'c>) -> bool {
        match &self.source {
            Val::Map(_) => self.more,
            source => renderer.size(source).is_some_and(|size| size != self.next),
        }
    }

    fn next(&mut self, renderer: &Renderer<'c>, pos: Pos) -> Result<Val<'c>> {
        if changes(&self.source) != self.changes {
            return Err(Error::new(pos, "the list was changed during #foreach"));
        }
        let value = match &self.source {
            Val::Map(map) => map.at(self.next).map(|entry| entry.1),
            source => renderer.element(source, self.next),
        };
        self.next += 1;
        self.more = renderer
            .size(&self.source)
            .is_some_and(|size| size > self.next);
        Ok(value.unwrap_or(Val::Null))
    }
}

fn changes(source: &Val<'_>) -> u64 {
    match source {
        Val::List(list) => list.changes(),
        Val::Map(map) => map.changes(),
        _ => 0,
    }
}

impl<'c> Renderer<'c> {
    pub(super) fn foreach(&mut self, foreach: &Foreach) -> Result<Flow> {
        let items = self.eval(&foreach.items)?;
        let elements = Elements::new(items, self);
        let Some(mut elements) = elements.filter(|elements| elements.has_next(self)) else {
            return self.block(&foreach.otherwise, foreach.pos);
        };
        let before = self.variable(&foreach.variable);
        let scope: Arc<str> = "foreach".into();
        let scope_before = self.variable(&scope);
        let parent = match &scope_before {
            Val::Loop(parent) => Some(parent.clone()),
            _ => None,
        };
        let state = Rc::new(Loop::new(parent));
        self.set_variable(scope.clone(), Val::Loop(state.clone()));
        self.loops.push(state.clone());
        let mut flow = Flow::Next;
        while elements.has_next(self) {
            self.budget.count_iteration(foreach.pos)?;
            let value = elements.next(self, foreach.pos)?;
            self.set_variable(foreach.variable.clone(), value);
            state.index.set(state.index.get() + 1);
            state.has_next.set(elements.has_next(self));
            match self.block(&foreach.body, foreach.pos)? {
                Flow::Next => {}
                Flow::Break(None) => break,
                Flow::Break(Some(target)) if Rc::ptr_eq(&target, &state) => break,
                other => {
                    flow = other;
                    break;
                }
            }
        }
        self.loops.pop();
        self.restore(foreach.variable.clone(), before);
        self.restore(scope, scope_before);
        Ok(flow)
    }

    /// Restores a variable to its value before a loop.
    fn restore(&mut self, name: Arc<str>, before: Val<'c>) {
        if before.is_null() {
            self.remove_variable(&name);
        } else {
            self.set_variable(name, before);
        }
    }

    /// Returns a macro, and whether it was defined by a value.
    fn find_macro(&self, name: &str) -> Option<(Arc<Macro>, bool)> {
        match self.macros.get(name) {
            Some(found) => Some((found.clone(), false)),
            None => self.more_macros.get(name).cloned(),
        }
    }

    pub(super) fn call_macro(&mut self, call: &Call) -> Result<Flow> {
        let Some((called, from_value)) = self.find_macro(&call.name) else {
            let source = call.source.get(call.range.clone());
            self.write(source.unwrap_or(""), call.pos)?;
            return Ok(Flow::Next);
        };
        if let Some(error) = bare_word(call) {
            return Err(error);
        }
        self.write(&call.before, call.pos)?;
        self.budget.enter_macro(&call.name, call.pos)?;
        let content: Arc<str> = "bodyContent".into();
        let outer = call.body.as_ref().map(|body| {
            let outer = self.variables.get(&content).cloned();
            let defined = self.definition(body);
            let stamp = self.set_variable(content.clone(), defined);
            (outer, stamp)
        });
        let bound = self.bind(&called, &call.arguments)?;
        let flow = if from_value {
            self.value_block(&called.body, call.pos)?
        } else {
            self.block(&called.body, call.pos)?
        };
        if let Some((outer, stamp)) = outer {
            self.unbind(&content, outer, stamp);
        }
        for (name, outer, stamp) in bound {
            self.unbind(&name, outer, stamp);
        }
        self.budget.leave_macro();
        self.write(&call.after, call.pos)?;
        Ok(flow.past_break())
    }

    /// Sets the parameters of a macro, up to the first one without a value.
    #[allow(clippy::type_complexity)]
    fn bind(
        &mut self,
        called: &Macro,
        arguments: &[Expr],
    ) -> Result<Vec<(Arc<str>, Option<Variable<'c>>, u64)>> {
        let mut bound = Vec::with_capacity(called.parameters.len());
        for (index, (name, default)) in called.parameters.iter().enumerate() {
            let Some(value) = arguments.get(index).or(default.as_ref()) else {
                break;
            };
            let outer = self.variables.get(name).cloned();
            let value = self.eval(value)?;
            let stamp = self.set_variable(name.clone(), value);
            bound.push((name.clone(), outer, stamp));
        }
        Ok(bound)
    }

    /// Restores a parameter, unless the macro itself has changed it.
    fn unbind(&mut self, name: &Arc<str>, outer: Option<Variable<'c>>, stamp: u64) {
        if self
            .variables
            .get(name)
            .is_none_or(|now| now.stamp != stamp)
        {
            return;
        }
        match outer {
            Some(outer) => {
                self.variables.insert(name.clone(), outer);
            }
            None => self.remove_variable(name),
        }
    }

    /// Renders a text as a template.
    pub(super) fn evaluate(&mut self, expr: &Expr, pos: Pos) -> Result<Flow> {
        let value = self.eval(expr)?;
        if value.is_null() {
            return Ok(Flow::Next);
        }
        let text = self.text(&value, pos)?;
        // Parsing takes longer than copying.
        self.budget.work(text.len().saturating_mul(64), pos)?;
        self.budget.enter(pos)?;
        let parsed = parse_evaluated(&text, self.parsing, pos)?;
        let from_value = self.from_value > 0 || !matches!(expr, Expr::Text(_));
        for (name, defined) in parsed.macros {
            let defined = (defined, from_value);
            self.more_macros.entry(name).or_insert(defined);
        }
        let flow = if from_value {
            self.value_block(&parsed.block, pos)?
        } else {
            self.block(&parsed.block, pos)?
        };
        self.budget.leave();
        Ok(flow.past_break())
    }
}

/// Returns the error for a macro call with a bare word as argument.
pub(crate) fn bare_word(call: &Call) -> Option<Error> {
    let (name, word) = (excerpt(&call.name), excerpt(call.bare_word.as_deref()?));
    let message = format!(
        "expected a value as argument of #{name}, such as a text in ' or \" quotes, found '{word}'"
    );
    Some(Error::new(call.pos, message))
}

/// Parses the text of an `#evaluate` at `pos`.
pub(crate) fn parse_evaluated(text: &str, options: ParseOptions, pos: Pos) -> Result<Parsed> {
    parser::parse(text, Pos::START, EVALUATED_DEPTH, options).map_err(|error| {
        let Error {
            message,
            line,
            column,
            ..
        } = error;
        let place = format!("line {line}, column {column} of the evaluated text");
        Error::new(pos, format!("in #evaluate: {message} ({place})"))
    })
}
