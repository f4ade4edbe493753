//! Lists.

use std::cell::{Cell, RefCell};

use super::{Val, is_container};
use crate::value::Value;

/// The Java type of a list, which determines its methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// An `ArrayList`.
    List,
    /// An array, as returned by `split`: of fixed size.
    Array,
    /// A view, as returned by `keySet`, `values` and `entrySet`: without positions.
    View,
}

#[derive(Debug)]
enum Items<'c> {
    Borrowed(&'c [Value]),
    Owned(Vec<Val<'c>>),
}

/// A list, shared by all values that refer to it.
#[derive(Debug)]
pub(crate) struct List<'c> {
    items: RefCell<Items<'c>>,
    kind: ListKind,
    changes: Cell<u64>,
    depth: Cell<u32>,
    registered: Cell<bool>,
}

impl<'c> List<'c> {
    pub(crate) fn borrow(items: &'c [Value]) -> List<'c> {
        List::with(Items::Borrowed(items), ListKind::List, 1)
    }

    pub(crate) fn new(items: Vec<Val<'c>>, kind: ListKind) -> List<'c> {
        let depth = items.iter().map(Val::depth).max().unwrap_or(0);
        List::with(Items::Owned(items), kind, depth + 1)
    }

    fn with(items: Items<'c>, kind: ListKind, depth: u32) -> List<'c> {
        List {
            items: RefCell::new(items),
            kind,
            changes: Cell::new(0),
            depth: Cell::new(depth),
            registered: Cell::new(false),
        }
    }

    pub(crate) fn kind(&self) -> ListKind {
        self.kind
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth.get()
    }

    /// Returns the number of additions and removals: as in Java, a loop over the list fails after
    /// one.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// Marks the list as known to the renderer, and returns whether it was already.
    pub(crate) fn register(&self) -> bool {
        self.registered.replace(true)
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.items.borrow() {
            Items::Borrowed(items) => items.len(),
            Items::Owned(items) => items.len(),
        }
    }

    /// Returns the element at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<Val<'c>> {
        let value = match &*self.items.borrow() {
            Items::Owned(items) => return items.get(index).cloned(),
            Items::Borrowed(items) => *items.get(index).as_ref()?,
        };
        if is_container(value) {
            // Repeated calls must return the same object.
            return self.edit(|items| items.get(index).cloned());
        }
        Some(Val::borrow(value))
    }

    /// Modifies elements in place; this does not count as a change.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut Vec<Val<'c>>) -> T) -> T {
        let mut items = self.items.borrow_mut();
        if let Items::Borrowed(borrowed) = &*items {
            *items = Items::Owned(borrowed.iter().map(Val::borrow).collect());
        }
        match &mut *items {
            Items::Owned(items) => change(items),
            Items::Borrowed(_) => change(&mut Vec::new()),
        }
    }

    /// Adds or removes elements.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Vec<Val<'c>>) -> T) -> T {
        self.changes.set(self.changes.get() + 1);
        self.edit(change)
    }

    /// Returns a copy of the elements.
    pub(crate) fn snapshot(&self) -> Vec<Val<'c>> {
        self.edit(|items| items.clone())
    }
}
