//! The ids of code groups.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Result, damaged};
use promoflow_model::pool::CodeGroup;

/// Maximum number of cached types; a few MiB.
const MAX_CACHED_TYPES: usize = 4_096;

/// A cache of code group ids. The id of a code group never changes.
#[derive(Default)]
pub struct CodeGroupIds {
    /// By type, then by discount, so that a look-up allocates no key.
    cached: HashMap<String, [Option<i64>; 100]>,
}

impl CodeGroupIds {
    /// Returns the id of a code group, if it exists.
    pub(super) fn find(
        &mut self,
        connection: &Connection,
        code_group: &CodeGroup,
    ) -> Result<Option<i64>> {
        self.find_parts(connection, &code_group.code_type, code_group.discount)
    }

    fn find_parts(
        &mut self,
        connection: &Connection,
        kind: &str,
        discount: u8,
    ) -> Result<Option<i64>> {
        if let Some(id) = self.cached(kind, discount) {
            return Ok(Some(id));
        }
        let found = find(connection, kind, discount)?;
        if let Some(id) = found {
            self.cache(kind, discount, id);
        }
        Ok(found)
    }

    /// Returns the id of a code group, creating it if it does not exist.
    pub(super) fn find_or_add(
        &mut self,
        connection: &Connection,
        kind: &str,
        discount: u8,
    ) -> Result<i64> {
        if let Some(id) = self.find_parts(connection, kind, discount)? {
            return Ok(id);
        }
        connection
            .prepare_cached("INSERT INTO code_group (type, discount) VALUES (?1, ?2)")?
            .execute(params![kind, discount])?;
        let id = connection.last_insert_rowid();
        self.cache(kind, discount, id);
        Ok(id)
    }

    /// Clears the cache after a rollback, which may have removed code groups.
    pub(super) fn clear(&mut self) {
        self.cached.clear();
    }

    fn cached(&self, kind: &str, discount: u8) -> Option<i64> {
        self.cached
            .get(kind)?
            .get(usize::from(discount))
            .copied()
            .flatten()
    }

    fn cache(&mut self, kind: &str, discount: u8, id: i64) {
        if self.cached.len() >= MAX_CACHED_TYPES && !self.cached.contains_key(kind) {
            self.cached.clear();
        }
        let slots = self.cached.entry(kind.to_owned()).or_insert([None; 100]);
        if let Some(slot) = slots.get_mut(usize::from(discount)) {
            *slot = Some(id);
        }
    }
}

/// Returns the id of a code group from the database, bypassing the cache.
pub(super) fn find(connection: &Connection, kind: &str, discount: u8) -> Result<Option<i64>> {
    Ok(connection
        .prepare_cached("SELECT id FROM code_group WHERE type = ?1 AND discount = ?2")?
        .query_row(params![kind, discount], |row| row.get(0))
        .optional()?)
}

/// Reads a code group from a row: its type from this column and its discount from the next.
pub(super) fn read_columns(row: &Row<'_>, column: usize) -> Result<CodeGroup> {
    Ok(CodeGroup {
        code_type: row.get(column)?,
        discount: row.get(column + 1)?,
    })
}

/// Returns the code group with that id.
pub(super) fn load(connection: &Connection, id: i64) -> Result<CodeGroup> {
    connection
        .prepare_cached("SELECT type, discount FROM code_group WHERE id = ?1")?
        .query_row([id], |row| Ok(read_columns(row, 0)))
        .optional()?
        .ok_or_else(|| damaged(format!("code group {id}"), "the row is missing"))?
}
