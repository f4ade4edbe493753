//! Values while rendering.
//!
//! Java's lists and maps are shared: a change through one variable is visible through another. So
//! each one is a reference-counted object. Values of the context are borrowed until a template
//! accesses their elements.

mod list;
mod map;
pub(crate) mod text;
mod tool;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) use list::{List, ListKind};
pub(crate) use map::{Key, MapObject};
pub(crate) use text::Text;
pub(crate) use tool::Tool;

use crate::ast::Block;
use crate::limits::MAX_DEPTH;
use crate::methods::Date;
use crate::number::Number;
use crate::value::Value;

/// A value while rendering; `'c` is the lifetime of the context that it may borrow from.
#[derive(Debug, Clone)]
pub(crate) enum Val<'c> {
    Null,
    Bool(bool),
    Number(Number),
    /// Java's `Character`, which `charAt` returns.
    Char(char),
    Text(Text<'c>),
    /// A text that is printed without escaping.
    Markup(Text<'c>),
    List(Rc<List<'c>>),
    /// `[from..to]`, whose elements are created on demand.
    Range(i32, i32),
    Map(Rc<MapObject<'c>>),
    /// A key and its value in a map.
    Entry(Rc<(Val<'c>, Val<'c>)>),
    /// A block named by `#define` or by a macro call with a body; rendered when it is printed.
    Block(Definition),
    /// `$foreach`.
    Loop(Rc<Loop>),
    Tool(Tool),
    /// A date that a tool has parsed.
    Date(Date),
    /// The result of reflection: it and everything that follows prints nothing.
    Nothing,
}

/// A named block.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) block: Arc<Block>,
    /// The block comes from a value: see
    /// [`Renderer::value_block`](crate::eval::Renderer::value_block).
    pub(crate) from_value: bool,
}

/// The state of a loop, exposed as `$foreach`.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) index: Cell<i64>,
    pub(crate) has_next: Cell<bool>,
    parent: Option<Rc<Loop>>,
    /// Number of loops around this one.
    depth: u32,
}

impl Loop {
    /// Creates a loop inside `parent`. `$foreach` can be set to a loop that has ended, so without a
    /// limit each loop could be nested in the previous one for ever.
    pub(crate) fn new(parent: Option<Rc<Loop>>) -> Loop {
        let parent = parent.filter(|parent| parent.depth < MAX_DEPTH);
        Loop {
            index: Cell::new(-1),
            has_next: Cell::new(false),
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            parent,
        }
    }

    /// Returns the enclosing loop.
    pub(crate) fn parent(&self) -> Option<Rc<Loop>> {
        self.parent.clone()
    }
}

impl<'c> Val<'c> {
    /// Borrows a value of the context; its elements are converted on demand.
    pub(crate) fn borrow(value: &'c Value) -> Val<'c> {
        match value {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            Value::Int(value) => Val::Number(Number::Int(*value)),
            Value::Big(value) => Val::Number(Number::Big(*value)),
            Value::Double(value) => Val::Number(Number::Double(*value)),
            Value::Str(value) => Val::Text(Text::Borrowed(value)),
            Value::List(items) => Val::List(Rc::new(List::borrow(items))),
            Value::Map(map) => Val::Map(Rc::new(MapObject::borrow(map))),
        }
    }

    pub(crate) fn int(value: usize) -> Val<'c> {
        Val::Number(Number::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    pub(crate) fn text(value: impl Into<Arc<str>>) -> Val<'c> {
        Val::Text(Text::Shared(value.into()))
    }

    pub(crate) fn list(items: Vec<Val<'c>>) -> Val<'c> {
        Val::List(Rc::new(List::new(items, ListKind::List)))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Val::Null)
    }

    /// Returns the text if this is one, without conversion.
    pub(crate) fn as_text(&self) -> Option<&Text<'c>> {
        match self {
            Val::Text(text) | Val::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the nesting depth of lists and maps when the value was created.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Val::List(list) => list.depth(),
            Val::Map(map) => map.depth(),
            Val::Entry(entry) => 1 + entry.1.depth(),
            _ => 0,
        }
    }
}

/// Returns true for lists and maps.
fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}
