//! Methods of `Map`.

use std::rc::Rc;

use super::{Answer, void};
use crate::error::Pos;
use crate::eval::{ELEMENT_WORK, Renderer};
use crate::runtime::{List, ListKind, MapObject, Val};

impl<'c> Renderer<'c> {
    /// Calls a method of a map.
    pub(super) fn map_method(
        &mut self,
        target: &Val<'c>,
        map: &Rc<MapObject<'c>>,
        name: &str,
        arguments: &[Val<'c>],
        pos: Pos,
    ) -> Answer<'c> {
        let answer = match (name, arguments) {
            ("get", [Val::Text(key)]) => map.get_text(key).unwrap_or(Val::Null),
            ("get", [key]) => {
                let key = self.key(key, pos)?;
                map.get(&key).unwrap_or(Val::Null)
            }
            ("getOrDefault", [key, default]) => {
                let key = self.key(key, pos)?;
                map.get(&key).unwrap_or_else(|| default.clone())
            }
            ("containsKey", [key]) => {
                let key = self.key(key, pos)?;
                Val::Bool(map.get(&key).is_some())
            }
            ("containsValue", [wanted]) => {
                let mut index = 0;
                let mut found = false;
                while let Some((_, value)) = map.at(index) {
                    if self.java_equal(&value, wanted, 0, pos)? {
                        found = true;
                        break;
                    }
                    index += 1;
                }
                Val::Bool(found)
            }
            ("size", []) => Val::int(map.len()),
            ("isEmpty", []) => Val::Bool(map.len() == 0),
            ("keySet" | "values" | "entrySet", []) => {
                self.budget.work(map.len() * ELEMENT_WORK, pos)?;
                let entries = (0..map.len()).filter_map(|index| map.at(index));
                let items = entries.map(|(key, value)| match name {
                    "keySet" => key,
                    "values" => value,
                    _ => Val::Entry(Rc::new((key, value))),
                });
                Val::List(Rc::new(List::new(items.collect(), ListKind::View)))
            }
            ("put", [key, value]) => self.put(target, key.clone(), value.clone(), pos)?,
            ("putIfAbsent", [key, value]) => {
                let found = self.key(key, pos)?;
                match map.get(&found) {
                    Some(before) if !before.is_null() => before,
                    _ => self.put(target, key.clone(), value.clone(), pos)?,
                }
            }
            ("putAll", [Val::Map(other)]) => {
                for index in 0..other.len() {
                    if let Some((key, value)) = other.at(index) {
                        self.put(target, key, value, pos)?;
                    }
                }
                return void();
            }
            ("replace", [key, value]) => {
                let found = self.key(key, pos)?;
                match map.get(&found) {
                    Some(_) => self.put(target, key.clone(), value.clone(), pos)?,
                    None => Val::Null,
                }
            }
            ("remove", [key]) => {
                // All later entries move up.
                self.budget.work(map.len(), pos)?;
                let key = self.key(key, pos)?;
                map.remove(&key).unwrap_or(Val::Null)
            }
            ("clear", []) => {
                map.clear();
                return void();
            }
            _ => return Ok(None),
        };
        Ok(Some(answer))
    }
}
