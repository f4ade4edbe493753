//! The methods of values: those of Java's classes that are useful in a message.
//!
//! A method that does not exist, or not for the given arguments, has no value. One that would throw
//! an exception in Java is an error. Arguments are converted as in Velocity 2: a number to a text
//! where a text is expected, a text to an integer where one is expected.

mod date;
mod format;
mod hash;
mod list;
mod map;
mod number;
mod numeric_pattern;
mod pattern;
mod pattern_syntax;
mod string;
mod tools;

use crate::error::{Error, Pos, Result, excerpt};
use crate::eval::Renderer;
use crate::number::Number;
use crate::runtime::{Text, Val};

pub(crate) use date::Date;
pub(crate) use pattern::{Patterns, check as check_pattern};
pub(crate) use tools::calls;

/// The result of a call; `None` if there is no such method.
pub(crate) type Answer<'c> = Result<Option<Val<'c>>>;

/// Returns the result of a method without one, which prints nothing rather than its own source.
pub(crate) fn void<'c>() -> Answer<'c> {
    Ok(Some(Val::text("")))
}

impl<'c> Renderer<'c> {
    /// Calls the method `name` of `target`.
    pub(crate) fn call(
        &mut self,
        target: &Val<'c>,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        // Most methods scan their text arguments.
        for text in arguments.iter().filter_map(Val::as_text) {
            self.budget.work(text.len() / 4, pos)?;
        }
        if let Some(answer) = self.common_method(target, name, arguments, pos)? {
            return Ok(Some(answer));
        }
        match target {
            Val::Text(text) | Val::Markup(text) => {
                let text = text.clone();
                self.string_method(&text, name, arguments, pos)
            }
            Val::Map(map) => self.map_method(target, &map.clone(), name, arguments, pos),
            Val::List(_) | Val::Range(..) => self.list_method(target, name, arguments, pos),
            Val::Number(number) => self.number_method(*number, name, arguments, pos),
            Val::Bool(value) => self.boolean_method(*value, name, arguments, pos),
            Val::Char(value) => self.char_method(*value, name, arguments, pos),
            Val::Entry(entry) => Ok(match (name, arguments) {
                ("getKey", []) => Some(entry.0.clone()),
                ("getValue", []) => Some(entry.1.clone()),
                _ => None,
            }),
            Val::Loop(state) => Ok(loop_method(state, name, arguments)),
            Val::Tool(tool) => self.tool_method(*tool, name, arguments, pos),
            Val::Date(date) => self.date_method(*date, name, arguments, pos),
            Val::Null | Val::Block(_) | Val::Nothing => Ok(None),
        }
    }

    /// Calls a method that every Java object has.
    fn common_method(
        &mut self,
        target: &Val<'c>,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        if matches!(target, Val::Loop(_) | Val::Tool(_) | Val::Block(_)) {
            return Ok(None);
        }
        Ok(match (name, arguments) {
            ("getClass", []) => Some(Val::Nothing),
            ("toString", []) => Some(Val::Text(self.text(target, pos)?)),
            ("equals", [other]) => Some(Val::Bool(self.java_equal(target, other, 0, pos)?)),
            ("hashCode", []) => {
                let hash = self.java_hash(target, 0, pos)?;
                Some(Val::Number(Number::Int(hash.into())))
            }
            _ => None,
        })
    }

    /// Converts an argument where Java expects a `String`. Every value converts, except a missing
    /// one.
    pub(crate) fn string_argument(&mut self, value: &Val<'c>, pos: Pos) -> Result<Text<'c>> {
        if value.is_null() {
            return Err(Error::new(pos, "a method needs a text but got no value"));
        }
        self.text(value, pos)
    }

    /// Converts an argument where Java expects an `int`; `None` if it cannot be converted.
    pub(crate) fn int_argument(&mut self, value: &Val<'c>, pos: Pos) -> Result<Option<i64>> {
        match value {
            Val::Number(number) => {
                let whole = number.to_i64();
                match i32::try_from(whole) {
                    Ok(small) => Ok(Some(small.into())),
                    Err(_) => Err(Error::new(
                        pos,
                        format!("{whole} is too large for an index"),
                    )),
                }
            }
            Val::Text(text) | Val::Markup(text) => match text.parse::<i32>() {
                Ok(small) => Ok(Some(small.into())),
                Err(_) => Err(Error::new(
                    pos,
                    format!("expected a whole number, found '{}'", excerpt(text)),
                )),
            },
            _ => Ok(None),
        }
    }
}

fn loop_method<'c>(
    state: &std::rc::Rc<crate::runtime::Loop>,
    name: &str,
    arguments: &[Val<'c>],
) -> Option<Val<'c>> {
    if !arguments.is_empty() {
        return None;
    }
    let index = state.index.get();
    Some(match name {
        "index" | "getIndex" => Val::Number(Number::Int(index)),
        "count" | "getCount" => Val::Number(Number::Int(index + 1)),
        "hasNext" | "getHasNext" => Val::Bool(state.has_next.get()),
        "first" | "isFirst" => Val::Bool(index == 0),
        "last" | "isLast" => Val::Bool(!state.has_next.get()),
        "parent" | "getParent" => state.parent().map_or(Val::Null, Val::Loop),
        "topmost" | "getTopmost" => {
            let mut top = state.clone();
            while let Some(parent) = top.parent() {
                top = parent;
            }
            Val::Loop(top)
        }
        _ => return None,
    })
}
