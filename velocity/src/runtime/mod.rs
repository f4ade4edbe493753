//! Values while rendering.
//!
//! Java's lists and maps are shared: a change through one variable shows in another. So each is
//! one counted object. What comes from the context is borrowed until a template reaches into it.

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

/// A value while rendering; `'c` is the context it may borrow from.
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
    /// `[from..to]`, whose elements exist only when asked for.
    Range(i32, i32),
    Map(Rc<MapObject<'c>>),
    /// A key and its value in a map.
    Entry(Rc<(Val<'c>, Val<'c>)>),
    /// What `#define` or the call of a macro with a body names; rendered where it is printed.
    Block(Definition),
    /// `$foreach`.
    Loop(Rc<Loop>),
    Tool(Tool),
    /// A date that a tool has read.
    Date(Date),
    /// What reflection would yield; prints nothing, and so does all that follows.
    Nothing,
}

/// A block with a name.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) block: Arc<Block>,
    /// It was made of a value: see [`Renderer::value_block`](crate::eval::Renderer::value_block).
    pub(crate) of_value: bool,
}

/// The state of a loop, which `$foreach` shows.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) index: Cell<i64>,
    pub(crate) has_next: Cell<bool>,
    parent: Option<Rc<Loop>>,
    /// Loops around this one.
    depth: u32,
}

impl Loop {
    /// A loop within `parent`. `$foreach` can be set to a loop that has ended, so without a bound
    /// each loop might be put into the one before, for ever.
    pub(crate) fn new(parent: Option<Rc<Loop>>) -> Loop {
        let parent = parent.filter(|parent| parent.depth < MAX_DEPTH);
        Loop {
            index: Cell::new(-1),
            has_next: Cell::new(false),
            depth: parent.as_ref().map_or(0, |parent| parent.depth + 1),
            parent,
        }
    }

    /// The loop around this one.
    pub(crate) fn parent(&self) -> Option<Rc<Loop>> {
        self.parent.clone()
    }
}

impl<'c> Val<'c> {
    /// A value of the context; its elements follow when they are asked for.
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

    /// The text that this is, without converting anything.
    pub(crate) fn as_text(&self) -> Option<&Text<'c>> {
        match self {
            Val::Text(text) | Val::Markup(text) => Some(text),
            _ => None,
        }
    }

    /// Levels of lists and maps in this value when it was made.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Val::List(list) => list.depth(),
            Val::Map(map) => map.depth(),
            Val::Entry(entry) => 1 + entry.1.depth(),
            _ => 0,
        }
    }
}

/// Whether a value of the context is a list or map.
fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}
