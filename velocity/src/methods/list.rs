//! Methods of `List`, arrays and the views of maps.

use std::rc::Rc;

use super::{Answer, void};
use crate::error::{Error, Pos, Result};
use crate::eval::{ELEMENT_WORK, Renderer};
use crate::runtime::{List, ListKind, Val};

impl<'c> Renderer<'c> {
    /// Calls a method of a list or range.
    pub(super) fn list_method(
        &mut self,
        target: &Val<'c>,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let size = self.size(target).unwrap_or(0);
        if Renderer::has_positions(target)
            && let Some(answer) = self.position_method(target, size, name, arguments, pos)?
        {
            return Ok(Some(answer));
        }
        let answer = match (name, arguments) {
            ("size", []) => Val::int(size),
            ("isEmpty", []) => Val::Bool(size == 0),
            ("contains", [item]) => Val::Bool(self.find(target, item, false, pos)?.is_some()),
            ("containsAll", [other]) => {
                if self.size(other).is_none() {
                    return Ok(None);
                }
                let mut index = 0;
                while let Some(item) = self.element(other, index) {
                    if self.find(target, &item, false, pos)?.is_none() {
                        return Ok(Some(Val::Bool(false)));
                    }
                    index += 1;
                }
                Val::Bool(true)
            }
            ("add", [item]) => {
                let list = modifiable(target, pos)?;
                self.insert(&list, size, vec![item.clone()], pos)?;
                Val::Bool(true)
            }
            ("addAll", [other]) => {
                if self.size(other).is_none() {
                    return Ok(None);
                }
                let items = self.items(other, pos)?;
                let changed = !items.is_empty();
                let list = modifiable(target, pos)?;
                self.insert(&list, size, items, pos)?;
                Val::Bool(changed)
            }
            ("remove", [item]) => {
                let list = modifiable(target, pos)?;
                let found = self.find(target, item, false, pos)?;
                self.budget.work(size, pos)?;
                if let Some(index) = found {
                    list.change(|items| items.remove(index));
                }
                Val::Bool(found.is_some())
            }
            ("removeAll" | "retainAll", [other]) => {
                if self.size(other).is_none() {
                    return Ok(None);
                }
                let list = modifiable(target, pos)?;
                let mut kept = Vec::new();
                for item in self.items(target, pos)? {
                    let found = self.find(other, &item, false, pos)?.is_some();
                    if found == (name == "retainAll") {
                        kept.push(item);
                    }
                }
                let changed = kept.len() != size;
                list.change(|items| *items = kept);
                Val::Bool(changed)
            }
            ("clear", []) => {
                modifiable(target, pos)?.change(Vec::clear);
                return void();
            }
            ("toArray", []) => {
                let items = self.items(target, pos)?;
                Val::List(Rc::new(List::new(items, ListKind::Array)))
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    /// Methods that need positions.
    fn position_method(
        &mut self,
        target: &Val<'c>,
        size: usize,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let answer = match (name, arguments) {
            ("get", [index]) => {
                let Some(index) = self.int_argument(index, pos)? else {
                    return Ok(None);
                };
                let at = position(index, size, pos)?;
                self.element(target, at).unwrap_or(Val::Null)
            }
            ("set", [index, item]) => {
                let Some(index) = self.int_argument(index, pos)? else {
                    return Ok(None);
                };
                let at = position(index, size, pos)?;
                let Val::List(list) = target else {
                    return Err(read_only(pos));
                };
                self.check_item(list, item, pos)?;
                let before = list.edit(|items| {
                    items
                        .get_mut(at)
                        .map(|old| std::mem::replace(old, item.clone()))
                });
                before.unwrap_or(Val::Null)
            }
            ("indexOf" | "lastIndexOf", [item]) => {
                let found = self.find(target, item, name == "lastIndexOf", pos)?;
                found.map_or(Val::Number(crate::number::Number::Int(-1)), Val::int)
            }
            ("add", [index, item]) => {
                let Some(index) = self.int_argument(index, pos)? else {
                    return Ok(None);
                };
                let at = position(index, size + 1, pos)?;
                let list = modifiable(target, pos)?;
                self.insert(&list, at, vec![item.clone()], pos)?;
                return void();
            }
            ("remove", [Val::Number(number)]) => {
                let at = position(number.to_i64(), size, pos)?;
                let list = modifiable(target, pos)?;
                self.budget.work(size, pos)?;
                list.change(|items| items.remove(at))
            }
            ("subList", [from, to]) => {
                let (Some(from), Some(to)) =
                    (self.int_argument(from, pos)?, self.int_argument(to, pos)?)
                else {
                    return Ok(None);
                };
                let (from, to) = (position(from, size + 1, pos)?, position(to, size + 1, pos)?);
                if from > to {
                    return Err(Error::new(pos, format!("{from} is after {to}")));
                }
                self.budget.work((to - from) * ELEMENT_WORK, pos)?;
                let items = (from..to)
                    .filter_map(|index| self.element(target, index))
                    .collect();
                Val::list(items)
            }
            ("getFirst" | "getLast", []) => {
                let index = if name == "getFirst" {
                    0
                } else {
                    size.wrapping_sub(1)
                };
                match self.element(target, index) {
                    Some(item) => item,
                    None => return Err(Error::new(pos, "the list is empty")),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }

    /// Returns the elements of a list or range, or the values of a map, as a new list.
    pub(super) fn items(&mut self, value: &Val<'c>, pos: Pos) -> Result<Vec<Val<'c>>> {
        let size = self.size(value).unwrap_or(0);
        self.budget.work(size.saturating_mul(ELEMENT_WORK), pos)?;
        Ok(match value {
            Val::List(list) => list.snapshot(),
            Val::Map(map) => (0..size)
                .filter_map(|i| map.at(i))
                .map(|entry| entry.1)
                .collect(),
            other => (0..size).filter_map(|i| self.element(other, i)).collect(),
        })
    }

    fn find(
        &mut self,
        list: &Val<'c>,
        wanted: &Val<'c>,
        last: bool,
        pos: Pos,
    ) -> Result<Option<usize>> {
        let mut found = None;
        let mut index = 0;
        while let Some(item) = self.element(list, index) {
            if self.java_equal(&item, wanted, 0, pos)? {
                found = Some(index);
                if !last {
                    break;
                }
            }
            index += 1;
        }
        Ok(found)
    }

    fn check_item(&mut self, list: &Rc<List<'c>>, item: &Val<'c>, pos: Pos) -> Result<()> {
        if item.depth() > 0 {
            self.check_depth(item.clone(), pos)?;
            self.register_list(list);
        }
        Ok(())
    }

    fn insert(
        &mut self,
        list: &Rc<List<'c>>,
        at: usize,
        new: Vec<Val<'c>>,
        pos: Pos,
    ) -> Result<()> {
        let moved = list.len().saturating_sub(at);
        self.budget
            .work(moved + new.len().saturating_mul(ELEMENT_WORK), pos)?;
        for item in &new {
            self.check_item(list, item, pos)?;
        }
        list.change(|items| items.splice(at..at, new).count());
        Ok(())
    }
}

fn read_only(pos: Pos) -> Error {
    Error::new(pos, "this list cannot be changed")
}

/// Returns the list if elements can be added and removed.
fn modifiable<'c>(target: &Val<'c>, pos: Pos) -> Result<Rc<List<'c>>> {
    match target {
        Val::List(list) if list.kind() == ListKind::List => Ok(list.clone()),
        _ => Err(read_only(pos)),
    }
}

/// Checks that an index is below `end`.
fn position(index: i64, end: usize, pos: Pos) -> Result<usize> {
    match usize::try_from(index) {
        Ok(at) if at < end => Ok(at),
        _ => Err(Error::new(
            pos,
            format!("there is no element {index} in the list"),
        )),
    }
}
