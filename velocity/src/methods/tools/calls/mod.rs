//! Checks calls of tools: calls that fail for all values, because a tool, method or style does not
//! exist, and calls that are probably mistakes.

mod arguments;

use std::collections::HashSet;

use super::catalog::{self, DATE_METHODS, NAMES, UNAVAILABLE_TOOLS};
use crate::ast::{Expr, Node, Reference, Step, StepKind};
use crate::error::{Error, Pos, excerpt};
use crate::locale::Locale;
use crate::parser::Parsed;
use crate::runtime::Tool;
use crate::walk::{self, Visitor};

/// Minimum similarity of a suggested name, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.8;

/// Maximum number of checked calls: each may compare names or try all date formats.
const MAX_CALLS: usize = 2_000;

/// Methods of values, which a value called `date` or `number` may have.
const VALUE_METHODS: &[&str] = &[
    "charAt",
    "compareTo",
    "compareToIgnoreCase",
    "concat",
    "contains",
    "containsKey",
    "containsValue",
    "doubleValue",
    "endsWith",
    "entrySet",
    "equals",
    "equalsIgnoreCase",
    "floatValue",
    "get",
    "getOrDefault",
    "hashCode",
    "indexOf",
    "intValue",
    "isBlank",
    "isEmpty",
    "keySet",
    "lastIndexOf",
    "length",
    "longValue",
    "matches",
    "put",
    "remove",
    "repeat",
    "replace",
    "replaceAll",
    "replaceFirst",
    "size",
    "split",
    "startsWith",
    "strip",
    "subList",
    "substring",
    "toArray",
    "toLowerCase",
    "toString",
    "toUpperCase",
    "trim",
    "values",
];
/// Properties of texts and lists.
const TEXT_PROPERTIES: [&str; 3] = ["empty", "blank", "class"];

/// The findings in a template.
#[derive(Default)]
pub(crate) struct Findings {
    /// Calls that print nothing, whatever the values.
    pub(crate) errors: Vec<Error>,
    /// Calls that are probably mistakes.
    pub(crate) warnings: Vec<Error>,
}

/// Checks a template that uses tools, for a language.
pub(crate) fn find(parsed: &Parsed, locale: Locale) -> Findings {
    let mut own = AssignedVariables::default();
    for defined in parsed.macros.values() {
        let names = defined.parameters.iter().map(|(name, _)| name.to_string());
        own.0.extend(names);
    }
    walk::template(parsed, &mut own);
    let mut search = Search {
        own: own.0,
        locale,
        calls: 0,
        found: Findings::default(),
    };
    walk::template(parsed, &mut search);
    let mut found = search.found;
    let place = |one: &Error| (one.line, one.column);
    found.errors.sort_by_key(place);
    found.warnings.sort_by_key(place);
    found
}

/// Variables that the template itself sets: they override a tool with the same name.
#[derive(Default)]
struct AssignedVariables(HashSet<String>);

impl Visitor for AssignedVariables {
    fn node(&mut self, node: &Node) {
        let name = match node {
            Node::Foreach(foreach) => &foreach.variable,
            Node::Set(set) if set.target.steps.is_empty() => &set.target.name,
            Node::Define { name, .. } => name,
            _ => return,
        };
        self.0.insert(name.to_string());
    }
}

struct Search {
    own: HashSet<String>,
    locale: Locale,
    calls: usize,
    found: Findings,
}

impl Visitor for Search {
    fn reference(&mut self, reference: &Reference) {
        let name = &*reference.name;
        let Some(step) = reference.steps.first() else {
            return;
        };
        if reference.valueless || self.own.contains(name) || self.calls >= MAX_CALLS {
            return;
        }
        self.calls += 1;
        match Tool::named(name) {
            Some(tool) => self.step(Named { tool, name }, step),
            None => self.unknown(name, step),
        }
    }
}

/// A tool and the name by which it is called.
#[derive(Clone, Copy)]
struct Named<'n> {
    tool: Tool,
    name: &'n str,
}

impl Named<'_> {
    /// Returns true if a value is unlikely to have this name.
    fn is_unmistakable(self) -> bool {
        self.name.ends_with("Tool")
    }
}

impl Search {
    fn error(&mut self, pos: Pos, message: String, hint: String) {
        self.found
            .errors
            .push(Error::new(pos, message).with_hint(hint));
    }

    fn warn(&mut self, pos: Pos, message: String, hint: impl Into<String>) {
        self.found
            .warnings
            .push(Error::new(pos, message).with_hint(hint));
    }

    /// Checks a call of a variable that is not a tool.
    fn unknown(&mut self, name: &str, step: &Step) {
        let StepKind::Method(method, _) = &step.kind else {
            return;
        };
        let shown = excerpt(name);
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_suffix("tool").unwrap_or(&lower);
        let elsewhere = UNAVAILABLE_TOOLS.iter().find(|(tool, methods, _)| {
            *tool == name && methods.contains(&&**method) && !VALUE_METHODS.contains(&&**method)
                || *tool == bare && name.ends_with("Tool")
        });
        if let Some((_, _, instead)) = elsewhere {
            let message = format!("${shown} is a tool of Velocity that is not available here");
            let tools = format!("the tools are {}", listed());
            let hint = match *instead {
                "" => tools,
                instead => format!("{tools}; {instead}"),
            };
            return self.error(step.pos, message, hint);
        }
        let is_called_so = ["tool", "tools", "util", "utils"]
            .iter()
            .any(|end| lower.len() > end.len() && lower.ends_with(end));
        // `$Math`, `$DATE`: unless the method is one that a value may have.
        let in_other_case = NAMES.iter().any(|one| one.eq_ignore_ascii_case(name))
            && !VALUE_METHODS.contains(&&**method);
        if !is_called_so && !in_other_case {
            return;
        }
        let near = nearest(name, NAMES.iter().copied())
            .or_else(|| nearest(bare, NAMES.iter().copied()))
            .or_else(|| NAMES.iter().copied().find(|one| catalog_has(one, method)));
        let hint = match near {
            Some(near) => format!("did you mean ${near}? The tools are {}", listed()),
            None => format!(
                "the tools are {}; a value of that name is read as $data.get('{shown}')",
                listed()
            ),
        };
        self.error(step.pos, format!("there is no tool ${shown}"), hint);
    }

    fn step(&mut self, named: Named<'_>, step: &Step) {
        match &step.kind {
            StepKind::Property(property) => self.property(named, property, step.pos),
            StepKind::Method(method, arguments) => {
                self.method(named, method, arguments, step.pos);
            }
            StepKind::Index(_) => {}
        }
    }

    fn property(&mut self, named: Named<'_>, property: &str, pos: Pos) {
        let Named { tool, name } = named;
        if tool == Tool::Date && property == "month" {
            let message = format!("${name}.month counts from 0, as in Java: December is 11");
            return self.warn(pos, message, format!("write ${name}.get('M')"));
        }
        if catalog::has_property(tool, property)
            || !named.is_unmistakable() && TEXT_PROPERTIES.contains(&property)
        {
            return;
        }
        let shown = excerpt(property);
        let message = format!("${name} has no {shown}");
        let candidates = catalog::properties(tool).iter().copied();
        let near = nearest(property, candidates).map(|near| format!("${name}.{near}"));
        let method = || {
            let names = catalog::methods(tool).iter().map(|method| method.name);
            nearest(property, names).map(|near| format!("${name}.{near}(…)"))
        };
        let instead = near
            .or_else(method)
            .map(|near| format!("did you mean {near}?"));
        if named.is_unmistakable() {
            let hint = instead.unwrap_or_else(|| self.can(named));
            return self.error(pos, message, hint);
        }
        // A value of the event may have this name and property.
        let of_value = format!("a value of the event is read as $data.get('{name}').{shown}");
        let hint = match instead {
            Some(instead) => format!("{instead} {of_value}"),
            None => of_value,
        };
        self.warn(pos, message, hint);
    }

    /// Returns the methods of a tool, for a hint.
    fn can(&self, named: Named<'_>) -> String {
        let mut methods = catalog::methods(named.tool)
            .iter()
            .map(|method| method.name);
        let first = methods.next().unwrap_or_default().to_owned();
        let all = methods.fold(first, |all, one| all + ", " + one);
        format!("it has {all}")
    }

    fn method(&mut self, named: Named<'_>, method: &str, arguments: &[Expr], pos: Pos) {
        let Named { tool, name } = named;
        let Some(known) = catalog::find(tool, method) else {
            if !named.is_unmistakable() && VALUE_METHODS.contains(&method) {
                return;
            }
            let shown = excerpt(method);
            let names = catalog::methods(tool).iter().map(|method| method.name);
            let hint = match (alternative_to(tool, method), nearest(method, names)) {
                (Some(instead), _) => instead.to_owned(),
                (None, Some(near)) => match catalog::find(tool, near) {
                    Some(near) => format!(
                        "did you mean ${name}.{}(…)? It takes {}",
                        near.name, near.takes
                    ),
                    None => self.can(named),
                },
                (None, None) => self.can(named),
            };
            return self.error(pos, format!("${name} has no method {shown}"), hint);
        };
        // A value with the name of the tool may be meant.
        if !named.is_unmistakable()
            && method == "get"
            && arguments.first().and_then(constant).is_none()
        {
            return;
        }
        if !(known.min_arguments..=known.max_arguments).contains(&arguments.len()) {
            let message = format!(
                "${name}.{method} prints nothing with {} argument{}",
                arguments.len(),
                if arguments.len() == 1 { "" } else { "s" }
            );
            return self.warn(pos, message, format!("it takes {}", known.takes));
        }
        let arguments: Vec<_> = arguments.iter().map(constant).collect();
        let call = Call {
            name,
            method,
            arguments: &arguments,
            pos,
        };
        match tool {
            Tool::Date => self.date_call(call),
            Tool::Number => self.number_call(call),
            Tool::Math => self.numbers(call, 0),
            Tool::Escape => {}
        }
    }
}

/// A call of an existing method.
#[derive(Clone, Copy)]
struct Call<'t> {
    name: &'t str,
    method: &'t str,
    /// The constant text arguments.
    arguments: &'t [Option<String>],
    pos: Pos,
}

impl<'t> Call<'t> {
    /// Returns a constant argument.
    fn text(self, index: usize) -> Option<&'t str> {
        self.arguments.get(index)?.as_deref()
    }
}

/// Returns the text of a constant expression.
fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Text(text) => Some(text.to_string()),
        // In double quotes `#,##0.00` could contain references, but does not.
        Expr::Template(block, _) => {
            let texts = block.iter().map(|node| match node {
                Node::Text(text) | Node::Raw(text) => Some(&**text),
                _ => None,
            });
            texts.collect()
        }
        _ => None,
    }
}

fn listed() -> String {
    NAMES.map(|name| format!("${name}")).join(", ")
}

fn catalog_has(name: &str, method: &str) -> bool {
    Tool::named(name).is_some_and(|tool| catalog::find(tool, method).is_some())
}

/// Returns the alternative for a method that exists in Velocity's tools but not here.
fn alternative_to(tool: Tool, method: &str) -> Option<&'static str> {
    match (tool, method) {
        (Tool::Date, "getCalendar" | "toCalendar" | "getSystemCalendar") => {
            Some("calculate with $dateTool.addDays($date.date, 3) and similar methods")
        }
        (Tool::Date, "difference" | "whenIs" | "whenWas" | "getValue") => {
            Some("use $dateTool.diff($from, $to, 'DAYS')")
        }
        (Tool::Date, method) if DATE_METHODS.contains(&method) => {
            Some("read the dates first: $date.toDate('dd.MM.yyyy', $text).before($date.date)")
        }
        (Tool::Math, "getAverage" | "average" | "getTotal" | "total") => {
            Some("add up in a loop: #set($sum = $math.add($sum, $item.price))")
        }
        (Tool::Escape, "sql") => Some("messages contain no SQL"),
        _ => None,
    }
}

/// Returns the most similar candidate, if one is similar enough.
fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    if name.len() > 60 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let likeness = |one: &str| strsim::jaro_winkler(&lower, &one.to_ascii_lowercase());
    candidates
        .map(|one| (one, likeness(one)))
        .filter(|(_, likeness)| *likeness >= MIN_SIMILARITY)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(one, _)| one)
}
