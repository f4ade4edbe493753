//! Evaluates references and assigns to them.

use std::sync::Arc;

use super::Renderer;
use super::expression::ELEMENT_WORK;
use crate::ast::{Reference, Step, StepKind};
use crate::error::{Error, Pos, Result};
use crate::limits::NODE_WORK;
use crate::number::Number;
use crate::runtime::{Key, ListKind, Tool, Val};

impl<'c> Renderer<'c> {
    /// Returns the value of a reference.
    pub(crate) fn reference(&mut self, reference: &Reference) -> Result<Val<'c>> {
        if reference.valueless {
            return Ok(Val::Null);
        }
        self.budget.work(NODE_WORK, reference.pos)?;
        let mut value = self.variable(&reference.name);
        let mut steps = reference.steps.iter();
        if let Some(tool) = self.hidden_tool(&reference.name)
            && let Some(first) = steps.next()
        {
            value = self.step_of_hidden(tool, &value, first)?;
        }
        for step in steps {
            if value.is_null() {
                break;
            }
            value = self.step(&value, step)?;
        }
        if let Some(alternate) = &reference.alternate
            && !self.is_true(&value)?
        {
            return self.eval(alternate);
        }
        Ok(value)
    }

    /// Evaluates a step of a value with the name of a tool. The methods of the tool take
    /// precedence; so do the properties of a map.
    fn step_of_hidden(&mut self, tool: Tool, value: &Val<'c>, step: &Step) -> Result<Val<'c>> {
        let tool_first = match &step.kind {
            // A map or list has a `get` method too, which is probably meant.
            StepKind::Method(name, _) => {
                Self::is_tool_method(tool, name)
                    && !(&**name == "get" && matches!(value, Val::Map(_) | Val::List(_)))
            }
            StepKind::Property(_) => !matches!(value, Val::Map(_)),
            StepKind::Index(_) => false,
        };
        let tool = Val::Tool(tool);
        let (first, second) = if tool_first {
            (&tool, value)
        } else {
            (value, &tool)
        };
        let found = self.step(first, step)?;
        if found.is_null() {
            self.step(second, step)
        } else {
            Ok(found)
        }
    }

    fn step(&mut self, value: &Val<'c>, step: &Step) -> Result<Val<'c>> {
        self.budget.work(NODE_WORK, step.pos)?;
        if matches!(value, Val::Nothing) {
            return Ok(Val::Nothing);
        }
        match &step.kind {
            StepKind::Property(name) => self.property(value, name, step.pos),
            StepKind::Method(name, arguments) => {
                self.budget.enter(step.pos)?;
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.eval(argument)?);
                }
                self.budget.leave();
                let result = self.call(value, name, &values, step.pos)?;
                Ok(result.unwrap_or(Val::Null))
            }
            StepKind::Index(index) => {
                self.budget.enter(step.pos)?;
                let index = self.eval(index)?;
                self.budget.leave();
                let index = self.index_from_end(value, index, step.pos)?;
                let result = self.call(value, "get", &[index], step.pos)?;
                Ok(result.unwrap_or(Val::Null))
            }
        }
    }

    /// Converts a negative index, which counts from the end.
    fn index_from_end(&mut self, value: &Val<'c>, index: Val<'c>, pos: Pos) -> Result<Val<'c>> {
        let Val::Number(Number::Int(n)) = index else {
            return Ok(index);
        };
        if n >= 0 {
            return Ok(index);
        }
        match self.size(value) {
            Some(size) => {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                Ok(Val::Number(Number::Int(size.saturating_add(n))))
            }
            None => Err(Error::new(pos, "a negative index needs a list")),
        }
    }

    /// Evaluates `value.name`: a getter, a key of a map, or `isName()`.
    fn property(&mut self, value: &Val<'c>, name: &Arc<str>, pos: Pos) -> Result<Val<'c>> {
        if let Val::Map(map) = value {
            return Ok(map.get_text(name).unwrap_or(Val::Null));
        }
        Ok(match (value, &**name) {
            (_, "class" | "Class") => Val::Nothing,
            (Val::Entry(entry), "key" | "Key") => entry.0.clone(),
            (Val::Entry(entry), "value" | "Value") => entry.1.clone(),
            (Val::Loop(_), name) => self.call(value, name, &[], pos)?.unwrap_or(Val::Null),
            (Val::Tool(tool), name) => self.tool_property(*tool, name, pos)?,
            (Val::Date(_), "time" | "Time") => {
                self.call(value, "getTime", &[], pos)?.unwrap_or(Val::Null)
            }
            (Val::Text(_) | Val::Markup(_) | Val::List(_) | Val::Range(..), "empty" | "Empty") => {
                self.call(value, "isEmpty", &[], pos)?.unwrap_or(Val::Null)
            }
            (Val::Text(_) | Val::Markup(_), "blank" | "Blank") => {
                self.call(value, "isBlank", &[], pos)?.unwrap_or(Val::Null)
            }
            (Val::Number(Number::Double(n)), "naN" | "NaN") => Val::Bool(n.is_nan()),
            (Val::Number(Number::Double(n)), "infinite" | "Infinite") => Val::Bool(n.is_infinite()),
            _ => Val::Null,
        })
    }

    /// Converts a value to a map key.
    pub(crate) fn key(&mut self, value: &Val<'c>, pos: Pos) -> Result<Key<'c>> {
        match Key::simple(value) {
            Some(key) => Ok(key),
            None => Ok(Key::Other(self.text(value, pos)?)),
        }
    }

    /// `#set(target = value)`. Like Velocity, ignores a target that cannot be set.
    pub(super) fn assign(&mut self, target: &Reference, value: Val<'c>) -> Result<()> {
        if target.valueless || target.alternate.is_some() {
            return Ok(());
        }
        let Some((last, steps)) = target.steps.split_last() else {
            self.set_variable(target.name.clone(), value);
            return Ok(());
        };
        let mut object = self.variable(&target.name);
        for step in steps {
            if object.is_null() {
                return Ok(());
            }
            object = self.step(&object, step)?;
        }
        let pos = last.pos;
        match (&object, &last.kind) {
            (Val::Map(_), StepKind::Property(name) | StepKind::Method(name, _)) => {
                self.put(&object, Val::text(name.clone()), value, pos)?;
            }
            (Val::Map(_), StepKind::Index(index)) => {
                let index = self.eval(index)?;
                let index = self.index_from_end(&object, index, pos)?;
                self.put(&object, index, value, pos)?;
            }
            (Val::List(_), StepKind::Index(index)) => {
                let index = self.eval(index)?;
                let index = self.index_from_end(&object, index, pos)?;
                self.call(&object, "set", &[index, value], pos)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Sets a map entry and returns the previous value.
    pub(crate) fn put(
        &mut self,
        object: &Val<'c>,
        key: Val<'c>,
        value: Val<'c>,
        pos: Pos,
    ) -> Result<Val<'c>> {
        let Val::Map(map) = object else {
            return Ok(Val::Null);
        };
        self.budget.work(ELEMENT_WORK * 2, pos)?;
        let key = self.key(&key, pos)?;
        if value.depth() > 0 {
            self.check_depth(value.clone(), pos)?;
            self.register_map(map);
        }
        Ok(map.insert(key, value).unwrap_or(Val::Null))
    }

    /// Returns true if the elements of a list have positions.
    pub(crate) fn has_positions(value: &Val<'c>) -> bool {
        match value {
            Val::List(list) => list.kind() != ListKind::View,
            Val::Range(..) => true,
            _ => false,
        }
    }
}
