//! Maps.

use std::cell::{Cell, RefCell};
use std::hash::{Hash, Hasher};

use indexmap::IndexMap;

use super::{Text, Val, is_container};
use crate::number::Number;
use crate::value::Map;

/// A key of a map. As in Java, `1` and `'1'` are different keys.
#[derive(Debug, Clone)]
pub(crate) enum Key<'c> {
    Null,
    Bool(bool),
    Int(i128),
    Double(u64),
    Char(char),
    Text(Text<'c>),
    /// Any other value is compared by its printed form.
    Other(Text<'c>),
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Key::Null, Key::Null) => true,
            (Key::Bool(a), Key::Bool(b)) => a == b,
            (Key::Int(a), Key::Int(b)) => a == b,
            (Key::Double(a), Key::Double(b)) => a == b,
            (Key::Char(a), Key::Char(b)) => a == b,
            (Key::Text(a), Key::Text(b)) | (Key::Other(a), Key::Other(b)) => **a == **b,
            _ => false,
        }
    }
}

impl Eq for Key<'_> {}

impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Key::Null => 0.hash(state),
            Key::Bool(value) => value.hash(state),
            Key::Int(value) => value.hash(state),
            Key::Double(value) => value.hash(state),
            Key::Char(value) => value.hash(state),
            Key::Text(value) | Key::Other(value) => (**value).hash(state),
        }
    }
}

impl<'c> Key<'c> {
    /// Returns the key for `value` if it can be built without printing.
    pub(crate) fn simple(value: &Val<'c>) -> Option<Key<'c>> {
        Some(match value {
            Val::Null => Key::Null,
            Val::Bool(value) => Key::Bool(*value),
            Val::Number(Number::Int(value)) => Key::Int((*value).into()),
            Val::Number(Number::Big(value)) => Key::Int(*value),
            Val::Number(Number::Double(value)) => Key::Double(value.to_bits()),
            Val::Char(value) => Key::Char(*value),
            Val::Text(value) | Val::Markup(value) => Key::Text(value.clone()),
            _ => return None,
        })
    }

    pub(crate) fn value(&self) -> Val<'c> {
        match self {
            Key::Null => Val::Null,
            Key::Bool(value) => Val::Bool(*value),
            Key::Int(value) => Val::Number(match i64::try_from(*value) {
                Ok(small) => Number::Int(small),
                Err(_) => Number::Big(*value),
            }),
            Key::Double(value) => Val::Number(Number::Double(f64::from_bits(*value))),
            Key::Char(value) => Val::Char(*value),
            Key::Text(value) | Key::Other(value) => Val::Text(value.clone()),
        }
    }
}

#[derive(Debug)]
enum Entries<'c> {
    Borrowed(&'c Map),
    Owned(IndexMap<Key<'c>, Val<'c>>),
}

/// A map, shared by all values that refer to it.
#[derive(Debug)]
pub(crate) struct MapObject<'c> {
    entries: RefCell<Entries<'c>>,
    changes: Cell<u64>,
    depth: Cell<u32>,
    registered: Cell<bool>,
}

impl<'c> MapObject<'c> {
    pub(crate) fn borrow(map: &'c Map) -> MapObject<'c> {
        MapObject::with(Entries::Borrowed(map), 1)
    }

    pub(crate) fn new(entries: IndexMap<Key<'c>, Val<'c>>) -> MapObject<'c> {
        let depth = entries.values().map(Val::depth).max().unwrap_or(0);
        MapObject::with(Entries::Owned(entries), depth + 1)
    }

    fn with(entries: Entries<'c>, depth: u32) -> MapObject<'c> {
        MapObject {
            entries: RefCell::new(entries),
            changes: Cell::new(0),
            depth: Cell::new(depth),
            registered: Cell::new(false),
        }
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth.get()
    }

    /// Returns the number of additions and removals: as in Java, a loop over the map fails after
    /// one.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Marks the map as known to the renderer, and returns whether it was already.
    pub(crate) fn register(&self) -> bool {
        self.registered.replace(true)
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.entries.borrow() {
            Entries::Borrowed(map) => map.len(),
            Entries::Owned(entries) => entries.len(),
        }
    }

    /// Returns the value of a text key.
    pub(crate) fn get_text(&self, key: &str) -> Option<Val<'c>> {
        let value = match &*self.entries.borrow() {
            Entries::Borrowed(map) => map.get(key)?,
            Entries::Owned(entries) => {
                return entries.get(&Key::Text(Text::Shared(key.into()))).cloned();
            }
        };
        if is_container(value) {
            // Repeated calls must return the same object.
            return self.edit(|entries| entries.get(&Key::Text(Text::Shared(key.into()))).cloned());
        }
        Some(Val::borrow(value))
    }

    pub(crate) fn get(&self, key: &Key<'c>) -> Option<Val<'c>> {
        match key {
            Key::Text(text) => self.get_text(text),
            other => match &*self.entries.borrow() {
                Entries::Borrowed(_) => None,
                Entries::Owned(entries) => entries.get(other).cloned(),
            },
        }
    }

    /// Modifies entries in place; this does not count as a change.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut IndexMap<Key<'c>, Val<'c>>) -> T) -> T {
        let mut entries = self.entries.borrow_mut();
        if let Entries::Borrowed(map) = &*entries {
            let owned = map
                .0
                .iter()
                .map(|(key, value)| (Key::Text(Text::Borrowed(key)), Val::borrow(value)));
            *entries = Entries::Owned(owned.collect());
        }
        match &mut *entries {
            Entries::Owned(entries) => change(entries),
            Entries::Borrowed(_) => change(&mut IndexMap::new()),
        }
    }

    /// Sets a value and returns the previous one.
    pub(crate) fn insert(&self, key: Key<'c>, value: Val<'c>) -> Option<Val<'c>> {
        let before = self.edit(|entries| entries.insert(key, value));
        if before.is_none() {
            self.changes.set(self.changes.get() + 1);
        }
        before
    }

    /// Removes a key and returns its value. The other keys keep their order.
    pub(crate) fn remove(&self, key: &Key<'c>) -> Option<Val<'c>> {
        let before = self.edit(|entries| entries.shift_remove(key));
        if before.is_some() {
            self.changes.set(self.changes.get() + 1);
        }
        before
    }

    pub(crate) fn clear(&self) {
        self.changes.set(self.changes.get() + 1);
        self.edit(IndexMap::clear);
    }

    /// Returns the key and value at a position.
    pub(crate) fn at(&self, index: usize) -> Option<(Val<'c>, Val<'c>)> {
        self.edit(|entries| {
            let (key, value) = entries.get_index(index)?;
            Some((key.value(), value.clone()))
        })
    }
}
