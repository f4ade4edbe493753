//! The ids of code groups.

use std::collections::HashMap;

use promoflow_model::pool::CodeGroup;

use crate::PostgresStore;
use crate::connection::{Row, params};
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// Maximum number of cached types; a few MiB.
const MAX_CACHED_TYPES: usize = 4_096;

/// A cache of code group ids. The id of a code group never changes, and only committed ones are
/// kept.
#[derive(Default)]
pub(crate) struct CodeGroupIds {
    /// By type, then by discount, so that a look-up allocates no key.
    cached: HashMap<String, [Option<i64>; 100]>,
}

impl CodeGroupIds {
    fn get(&self, kind: &str, discount: u8) -> Option<i64> {
        let slots = self.cached.get(kind)?;
        slots.get(usize::from(discount)).copied().flatten()
    }

    fn put(&mut self, kind: &str, discount: u8, id: i64) {
        if self.cached.len() >= MAX_CACHED_TYPES && !self.cached.contains_key(kind) {
            self.cached.clear();
        }
        let slots = self.cached.entry(kind.to_owned()).or_insert([None; 100]);
        if let Some(slot) = slots.get_mut(usize::from(discount)) {
            *slot = Some(id);
        }
    }
}

impl PostgresStore {
    /// Returns the id of a code group, if it exists.
    pub(crate) fn find_code_group(
        &self,
        transaction: &Transaction<'_>,
        code_group: &CodeGroup,
    ) -> Result<Option<i64>> {
        let (kind, discount) = (&code_group.code_type, code_group.discount);
        if let Some(id) = self.code_groups.lock().get(kind, discount) {
            return Ok(Some(id));
        }
        let row = transaction.row(
            "SELECT id FROM code_group WHERE type = $1 AND discount = $2",
            params![kind, i32::from(discount)],
        )?;
        let Some(row) = row else { return Ok(None) };
        let id = row.get(0)?;
        // An exclusive transaction may have added it itself, and may be rolled back.
        if !transaction.is_exclusive() {
            self.code_groups.lock().put(kind, discount, id);
        }
        Ok(Some(id))
    }

    /// Returns the id of a code group, creating it if it does not exist. In an exclusive transaction.
    pub(crate) fn find_or_add_code_group(
        &self,
        transaction: &Transaction<'_>,
        code_group: &CodeGroup,
    ) -> Result<i64> {
        if let Some(id) = self.find_code_group(transaction, code_group)? {
            return Ok(id);
        }
        let row = transaction.row(
            "INSERT INTO code_group (type, discount) VALUES ($1, $2) RETURNING id",
            params![code_group.code_type, i32::from(code_group.discount)],
        )?;
        row.ok_or_else(|| damaged("a code group", "it was not stored"))?
            .get(0)
    }

    /// Same as [`find_or_add_code_group`](Self::find_or_add_code_group), for many.
    pub(crate) fn find_or_add_code_groups(
        &self,
        transaction: &Transaction<'_>,
        code_groups: &[(&str, u8)],
    ) -> Result<Vec<i64>> {
        let mut ids: Vec<Option<i64>> = {
            let known = self.code_groups.lock();
            let ids = code_groups.iter();
            ids.map(|(kind, discount)| known.get(kind, *discount))
                .collect()
        };
        for sql in [FIND_CODE_GROUPS, ADD_CODE_GROUPS] {
            let missing: Vec<(i64, &(&str, u8))> = (0_i64..)
                .zip(code_groups)
                .zip(&ids)
                .filter_map(|(one, id)| id.is_none().then_some(one))
                .collect();
            if missing.is_empty() {
                break;
            }
            let numbers: Vec<i64> = missing.iter().map(|(number, _)| *number).collect();
            let kinds: Vec<&str> = missing.iter().map(|(_, (kind, _))| *kind).collect();
            let discounts = missing
                .iter()
                .map(|(_, (_, discount))| i32::from(*discount));
            let discounts: Vec<i32> = discounts.collect();
            for row in transaction.rows(sql, params![numbers, kinds, discounts])? {
                let number = usize::try_from(row.get::<i64>(0)?).ok();
                if let Some(id) = number.and_then(|number| ids.get_mut(number)) {
                    *id = Some(row.get(1)?);
                }
            }
        }
        let ids = ids.into_iter().collect::<Option<Vec<i64>>>();
        ids.ok_or_else(|| damaged("a code group", "it was not stored"))
    }
}

const FIND_CODE_GROUPS: &str = "SELECT given.number, code_group.id
     FROM unnest($1::bigint[], $2::text[], $3::integer[]) AS given (number, type, discount)
     JOIN code_group ON code_group.type = given.type AND code_group.discount = given.discount";
/// In the order of their first rows, as one after another.
const ADD_CODE_GROUPS: &str = "WITH added AS (
         INSERT INTO code_group (type, discount)
         SELECT type, discount
         FROM unnest($1::bigint[], $2::text[], $3::integer[]) AS given (number, type, discount)
         ORDER BY number
         RETURNING id, type, discount)
     SELECT given.number, added.id
     FROM unnest($1::bigint[], $2::text[], $3::integer[]) AS given (number, type, discount)
     JOIN added ON added.type = given.type AND added.discount = given.discount";

/// Reads a code group from a row: its type from this column and its discount from the next.
pub(crate) fn read_columns(row: &Row, column: usize) -> Result<CodeGroup> {
    let discount = row.count(column + 1)?;
    Ok(CodeGroup {
        code_type: row.get(column)?,
        discount: u8::try_from(discount).map_err(|error| damaged("a discount", error))?,
    })
}

/// Returns the code group with that id.
pub(crate) fn load(transaction: &Transaction<'_>, id: i64) -> Result<CodeGroup> {
    let row = transaction.row(
        "SELECT type, discount FROM code_group WHERE id = $1",
        params![id],
    )?;
    let row = row.ok_or_else(|| damaged(format!("code group {id}"), "the row is missing"))?;
    read_columns(&row, 0)
}
