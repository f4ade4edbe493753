//! Errors that occur as soon as their place is rendered, whatever the values.
//!
//! Velocity accepts such a template and fails when it reaches the place, so parsing accepts it too.

use crate::ast::{Expr, Macros, Node, Step, StepKind};
use crate::error::{Error, Pos};
use crate::eval::{bare_word, parse_evaluated};
use crate::limits::{Budget, Limits};
use crate::methods::check_pattern;
use crate::options::ParseOptions;
use crate::parser::Parsed;
use crate::walk::{self, Visitor};

/// Maximum work for these checks: a source can have thousands of patterns, and compiling each one
/// takes up to some milliseconds.
const WORK: u64 = 500_000;

/// Returns the errors of a template in source order, as far as the work limit allows.
pub(crate) fn certain_errors(parsed: &Parsed) -> Vec<Error> {
    let limits = Limits {
        work: WORK,
        ..Limits::default()
    };
    let mut search = Search {
        macros: &parsed.macros,
        options: parsed.options,
        budget: Budget::new(limits, None),
        found: Vec::new(),
    };
    walk::template(parsed, &mut search);
    let mut found = search.found;
    found.sort_by_key(|fault| (fault.line, fault.column));
    found
}

struct Search<'t> {
    macros: &'t Macros,
    options: ParseOptions,
    budget: Budget,
    found: Vec<Error>,
}

impl Search<'_> {
    fn affords(&mut self, units: usize) -> bool {
        self.budget.work(units, Pos::START).is_ok()
    }
}

impl Visitor for Search<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Call(call) if self.macros.contains_key(&call.name) => {
                self.found.extend(bare_word(call));
            }
            Node::Evaluate(value, pos) => {
                if let Expr::Text(text) = &**value
                    && self.affords(text.len().saturating_mul(64))
                    && let Err(error) = parse_evaluated(text, self.options, *pos)
                {
                    self.found.push(error);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, step: &Step) {
        let StepKind::Method(name, arguments) = &step.kind else {
            return;
        };
        let pattern = match (&**name, arguments.as_slice()) {
            ("matches", [Expr::Text(pattern)])
            | ("split", [Expr::Text(pattern)] | [Expr::Text(pattern), _])
            | ("replaceAll" | "replaceFirst", [Expr::Text(pattern), _]) => pattern,
            _ => return,
        };
        if let Some(why) = check_pattern(pattern, &mut self.budget) {
            self.found.push(Error::new(step.pos, why));
        }
    }
}
