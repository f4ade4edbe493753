//! Renders a parsed template.

mod compare;
pub(crate) use directive::{bare_word, parse_evaluated};
pub(crate) use expression::ELEMENT_WORK;
pub(crate) use print::{MAX_VALUE_DEPTH, VISIT_WORK, push_html, too_deep};

mod directive;
mod expression;
mod print;
mod reference;
mod variables;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::ast::{Block, Macro, Macros, Node, Output};
use crate::context::Context;
use crate::error::{Pos, Result, excerpt};
use crate::limits::{Budget, NODE_WORK};
use crate::links;
use crate::locale::Locale;
use crate::methods::Patterns;
use crate::options::{Escape, ParseOptions, RenderOptions, Unset};
use crate::parser::Parsed;
use crate::report::{Rendered, UnsetReference};
use crate::runtime::{Definition, List, Loop, MapObject, Val};
use crate::tags::{Tag, TagValues};

/// Maximum number of references without a value that a rendering reports.
const MAX_UNSET: usize = 50;

/// The control flow after a node.
#[derive(Debug, Clone)]
pub(crate) enum Flow {
    Next,
    /// `#break`: ends the innermost loop, macro or evaluation, or the given loop.
    Break(Option<Rc<Loop>>),
    /// `#stop`: ends the rendering.
    Stop,
}

impl Flow {
    /// Returns the control flow after something that a plain `#break` ends.
    fn past_break(self) -> Flow {
        match self {
            Flow::Break(None) => Flow::Next,
            flow => flow,
        }
    }
}

/// A variable and the stamp of its assignment.
#[derive(Debug, Clone)]
struct Variable<'c> {
    value: Val<'c>,
    /// 0 for a variable of the context.
    stamp: u64,
}

/// The state of a rendering.
pub(crate) struct Renderer<'c> {
    context: &'c Context,
    tags: &'c TagValues<'c>,
    variables: HashMap<Arc<str>, Variable<'c>>,
    stamp: u64,
    macros: &'c Macros,
    /// The options for parsing evaluated texts.
    parsing: ParseOptions,
    /// Macros defined by evaluated texts, and whether those were values.
    more_macros: HashMap<Arc<str>, (Arc<Macro>, bool)>,
    pub(crate) budget: Budget,
    pub(crate) patterns: Patterns,
    out: String,
    escape: Escape,
    /// The language in which tools print.
    pub(crate) locale: Locale,
    /// The current time, once it has been used.
    now: Option<DateTime<Tz>>,
    contact_zone: Option<Tz>,
    unset_option: Unset,
    /// The references that had no value when they were printed.
    unset: Vec<UnsetReference>,
    /// Above 0 inside a block that comes from a value.
    from_value: u32,
    /// Above 0 inside a text that becomes a value.
    nested: u32,
    loops: Vec<Rc<Loop>>,
    /// Lists and maps that contain others. They are emptied at the end: cycles would never be
    /// freed, and a long chain would be freed by deep recursion.
    lists: Vec<Rc<List<'c>>>,
    maps: Vec<Rc<MapObject<'c>>>,
}

/// Renders `template` with `context`.
pub(crate) fn render<'c>(
    template: &'c Parsed,
    source_length: usize,
    context: &'c Context,
    options: &RenderOptions,
    tags: &'c TagValues<'c>,
) -> Result<Rendered> {
    let mut renderer = Renderer {
        context,
        tags,
        variables: HashMap::new(),
        stamp: 0,
        macros: &template.macros,
        parsing: template.options,
        more_macros: HashMap::new(),
        from_value: 0,
        budget: Budget::new(options.limits, context.allowance()),
        patterns: Patterns::default(),
        // Values make a message longer, directives make it shorter.
        out: String::with_capacity(source_length + source_length / 8),
        escape: options.escape,
        locale: options.locale,
        now: options.now,
        contact_zone: options.contact_zone,
        unset_option: options.unset,
        unset: Vec::new(),
        nested: 0,
        loops: Vec::new(),
        lists: Vec::new(),
        maps: Vec::new(),
    };
    let result = renderer.block(&template.block, Pos::START);
    renderer.free();
    result.map(|_| Rendered {
        text: renderer.out,
        unset: renderer.unset,
    })
}

impl<'c> Renderer<'c> {
    fn free(&mut self) {
        self.variables.clear();
        for list in &self.lists {
            list.change(Vec::clear);
        }
        for map in &self.maps {
            map.clear();
        }
    }

    /// Returns the current time in the installation's zone; it is constant during a rendering.
    pub(crate) fn now(&mut self) -> DateTime<Tz> {
        *self
            .now
            .get_or_insert_with(|| Utc::now().with_timezone(&Tz::UTC))
    }

    /// Returns the time zone of the contact.
    pub(crate) fn contact_zone(&mut self) -> Tz {
        self.contact_zone.unwrap_or_else(|| self.now().timezone())
    }

    /// Records a list that contains other values.
    pub(crate) fn register_list(&mut self, list: &Rc<List<'c>>) {
        if !list.register() {
            self.lists.push(list.clone());
        }
    }

    /// Records a map that contains other values.
    pub(crate) fn register_map(&mut self, map: &Rc<MapObject<'c>>) {
        if !map.register() {
            self.maps.push(map.clone());
        }
    }

    /// Renders a block; `pos` is its position for nesting errors.
    pub(crate) fn block(&mut self, block: &Block, pos: Pos) -> Result<Flow> {
        self.budget.enter(pos)?;
        for node in block {
            match self.node(node, pos)? {
                Flow::Next => {}
                flow => {
                    self.budget.leave();
                    return Ok(flow);
                }
            }
        }
        self.budget.leave();
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &Node, pos: Pos) -> Result<Flow> {
        self.budget.work(NODE_WORK, pos)?;
        match node {
            Node::Text(text) | Node::Raw(text) => {
                self.write(text, pos)?;
                Ok(Flow::Next)
            }
            Node::Tag(tag) => {
                self.tag(tag)?;
                Ok(Flow::Next)
            }
            Node::Output(output) => self.output(output),
            Node::If(branches) => {
                for (condition, body) in &branches.branches {
                    if self.truth(condition)? {
                        return self.block(body, branches.pos);
                    }
                }
                self.block(&branches.otherwise, branches.pos)
            }
            Node::Foreach(foreach) => self.foreach(foreach),
            Node::Set(set) => {
                let value = self.eval(&set.value)?;
                self.assign(&set.target, value)?;
                Ok(Flow::Next)
            }
            Node::Define { name, body } => {
                let defined = self.definition(body);
                self.set_variable(name.clone(), defined);
                Ok(Flow::Next)
            }
            Node::Evaluate(expr, pos) => self.evaluate(expr, *pos),
            Node::Call(call) => self.call_macro(call),
            Node::Break(None) => Ok(Flow::Break(None)),
            Node::Break(Some(scope)) => Ok(match self.eval(scope)? {
                Val::Loop(scope) => Flow::Break(Some(scope)),
                _ => Flow::Break(None),
            }),
            Node::Stop => Ok(Flow::Stop),
        }
    }

    /// Records a reference without a value, and returns true if it prints nothing.
    fn report_unset(&mut self, source: &str, pos: Pos) -> bool {
        let loud = !source.is_empty() && !source.starts_with("$!");
        if loud && self.unset.len() < MAX_UNSET {
            self.unset.push(UnsetReference {
                source: excerpt(source).into_owned(),
                line: pos.line,
                column: pos.column,
            });
        }
        self.unset_option == Unset::Nothing
    }

    /// Prints a merge tag: its value, or its default.
    fn tag(&mut self, tag: &Tag) -> Result<()> {
        let value = (self.tags)(&tag.key, &tag.instead);
        let value = value.filter(|value| !value.trim().is_empty());
        self.budget.work(links::WORK, tag.pos)?;
        let html = self.escape == Escape::Html && self.nested == 0;
        let place = links::place(&self.out, html);
        match (value, place) {
            (Some(value), Some(place)) if !tag.is(&value) => {
                self.print(&Val::text(links::encode_value(&value, place)), tag.pos)
            }
            (Some(value), _) => self.print(&Val::Text(value.into()), tag.pos),
            (None, Some(_)) => self.write(&links::encode_default(&tag.instead), tag.pos),
            (None, None) => self.write(&tag.instead, tag.pos),
        }
    }

    /// Appends text of the template.
    fn write(&mut self, text: &str, pos: Pos) -> Result<()> {
        self.budget.output(self.out.len() + text.len(), pos)?;
        if self.nested > 0 {
            self.budget.work(text.len(), pos)?;
        }
        self.out.push_str(text);
        Ok(())
    }

    /// Prints a reference.
    fn output(&mut self, output: &Output) -> Result<Flow> {
        let pos = output.reference.pos;
        let value = self.reference(&output.reference)?;
        if output.escaped {
            self.write(&output.slashes, pos)?;
            if value.is_null() && self.unset_option == Unset::Source {
                self.write("\\", pos)?;
            }
            self.write(&output.source, pos)?;
            return Ok(Flow::Next);
        }
        self.write(&output.slashes, pos)?;
        match value {
            Val::Null
                if !output.reference.valueless
                    && self.report_unset(&output.source, pos)
                    && !output.reads_as_text =>
            {
                self.write(&output.before, pos)?;
            }
            Val::Null => {
                self.write(&output.slashes, pos)?;
                self.write(&output.before, pos)?;
                self.write(&output.source, pos)?;
            }
            Val::Block(Definition { block, from_value }) => {
                self.write(&output.before, pos)?;
                let flow = if from_value {
                    self.value_block(&block, pos)?
                } else {
                    self.block(&block, pos)?
                };
                return Ok(flow.past_break());
            }
            value => {
                self.write(&output.before, pos)?;
                self.print(&value, pos)?;
            }
        }
        Ok(Flow::Next)
    }

    /// Renders a block that comes from a value: an evaluated text that is not a literal. Its output
    /// is a value too, so all of it is escaped.
    pub(crate) fn value_block(&mut self, block: &Block, pos: Pos) -> Result<Flow> {
        self.from_value += 1;
        let flow = if self.escape == Escape::None || self.nested > 0 {
            self.block(block, pos)?
        } else {
            let (text, flow) = self.nested(block, pos)?;
            self.print(&Val::text(text), pos)?;
            flow
        };
        self.from_value -= 1;
        Ok(flow)
    }

    /// Returns the value of a block named by `#define` or a macro call with a body.
    fn definition(&self, block: &Arc<Block>) -> Val<'c> {
        Val::Block(Definition {
            block: block.clone(),
            from_value: self.from_value > 0,
        })
    }

    /// Renders a block into a separate text.
    pub(crate) fn nested(&mut self, block: &Block, pos: Pos) -> Result<(String, Flow)> {
        let outer = std::mem::take(&mut self.out);
        self.nested += 1;
        let flow = self.block(block, pos);
        self.nested -= 1;
        let inner = std::mem::replace(&mut self.out, outer);
        Ok((inner, flow?))
    }
}
