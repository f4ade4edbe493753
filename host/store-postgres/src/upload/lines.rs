//! What the rows of a batch say of their codes, compared with what is stored and with earlier rows.

use std::collections::{HashMap, HashSet};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{Calendar, CodeGroup, DEFAULT_TYPE, NewCode};
use promoflow_store::RowOutcome;
use promoflow_store::rules::upload::{CodeChange, CodeValues, change, conflict, contradiction};

use crate::PostgresStore;
use crate::code_groups;
use crate::connection::{Row, params};
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

/// The rows of a batch in the order of their codes.
pub(crate) struct Lines {
    /// The index of the first row of each code.
    pub(crate) first: Vec<usize>,
    /// The index of each further row, with the position of its code in `first`.
    pub(crate) further: Vec<(usize, usize)>,
}

impl Lines {
    pub(crate) fn of(rows: &[NewCode]) -> Lines {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // A stable sort: of two lines with the same code, the earlier one comes first.
        order.sort_by(|&a, &b| rows[a].code.cmp(&rows[b].code));
        let mut lines = Lines {
            first: Vec::with_capacity(rows.len()),
            further: Vec::new(),
        };
        for index in order {
            match lines.first.last() {
                Some(&first) if rows[first].code == rows[index].code => {
                    lines.further.push((index, lines.first.len() - 1));
                }
                _ => lines.first.push(index),
            }
        }
        lines
    }
}

/// Where the ids of code groups come from.
#[derive(Clone, Copy)]
enum Ids<'b> {
    /// The database, which gets those that it does not have.
    Database(&'b PostgresStore, &'b Transaction<'b>),
    /// Each code group gets an id that is only used here.
    Own,
}

/// Ids of code groups. They are not those of the database in a dry run, which adds none.
pub(crate) struct GroupIds<'b> {
    ids: Ids<'b>,
    /// By type, then by discount.
    by_name: HashMap<String, Vec<(u8, i64)>>,
    by_id: HashMap<i64, CodeGroup>,
}

impl<'b> GroupIds<'b> {
    /// Creates the ids of a dry run.
    pub(crate) fn own() -> GroupIds<'static> {
        GroupIds {
            ids: Ids::Own,
            by_name: HashMap::new(),
            by_id: HashMap::new(),
        }
    }

    /// Returns the ids of the database, with those that these rows need if their codes are new.
    pub(crate) fn for_rows(
        store: &'b PostgresStore,
        transaction: &'b Transaction<'b>,
        rows: &[NewCode],
    ) -> Result<GroupIds<'b>> {
        let mut known: HashSet<(&str, u8)> = HashSet::new();
        let named = rows.iter().map(group_of_new);
        let named: Vec<(&str, u8)> = named.filter(|group| known.insert(*group)).collect();
        let ids = store.find_or_add_code_groups(transaction, &named)?;
        let mut groups = GroupIds {
            ids: Ids::Database(store, transaction),
            ..GroupIds::own()
        };
        for ((kind, discount), id) in named.into_iter().zip(ids) {
            groups.put(kind, discount, id);
        }
        Ok(groups)
    }

    fn find(&self, kind: &str, discount: u8) -> Option<i64> {
        let of_kind = self.by_name.get(kind)?;
        let found = of_kind.iter().find(|(known, _)| *known == discount);
        found.map(|(_, id)| *id)
    }

    fn put(&mut self, kind: &str, discount: u8, id: i64) {
        match self.by_name.get_mut(kind) {
            Some(of_kind) => of_kind.push((discount, id)),
            None => {
                self.by_name.insert(kind.to_owned(), vec![(discount, id)]);
            }
        }
        let group = CodeGroup {
            code_type: kind.to_owned(),
            discount,
        };
        self.by_id.insert(id, group);
    }

    /// Returns the id of a code group that has this one in the database.
    fn id_of_stored(&mut self, id: i64, group: &CodeGroup) -> Result<i64> {
        let (kind, discount) = (&group.code_type, group.discount);
        if matches!(self.ids, Ids::Database(..)) && self.find(kind, discount).is_none() {
            self.put(kind, discount, id);
        }
        self.id(kind, discount)
    }

    fn id(&mut self, kind: &str, discount: u8) -> Result<i64> {
        if let Some(id) = self.find(kind, discount) {
            return Ok(id);
        }
        let id = match self.ids {
            Ids::Own => i64::try_from(self.by_id.len()).unwrap_or(i64::MAX),
            Ids::Database(store, transaction) => {
                let group = CodeGroup {
                    code_type: kind.to_owned(),
                    discount,
                };
                store.find_or_add_code_group(transaction, &group)?
            }
        };
        self.put(kind, discount, id);
        Ok(id)
    }

    fn name(&mut self, id: i64) -> Result<CodeGroup> {
        if let Some(group) = self.by_id.get(&id) {
            return Ok(group.clone());
        }
        match self.ids {
            Ids::Own => Err(damaged(format!("code group {id}"), "it is not known")),
            Ids::Database(_, transaction) => {
                let group = code_groups::load(transaction, id)?;
                self.put(&group.code_type, group.discount, id);
                Ok(group)
            }
        }
    }
}

/// Returns the code group that a row gives a new code.
fn group_of_new(row: &NewCode) -> (&str, u8) {
    let kind = row.code_type.as_deref().unwrap_or(DEFAULT_TYPE);
    (kind, row.discount.unwrap_or(0))
}

/// A code that is stored.
pub(crate) struct Stored {
    /// Its number.
    pub(crate) id: i64,
    pub(crate) values: CodeValues<i64>,
    /// The last upload that changed it.
    pub(crate) upload: i64,
    /// True if it is neither retired nor used.
    pub(crate) is_available: bool,
}

/// Returns the rows of those codes that are stored, for [`Judge::read_stored`].
pub(crate) fn find_stored(transaction: &Transaction<'_>, codes: &[&str]) -> Result<Vec<Row>> {
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    transaction.rows(
        "SELECT given.number - 1, code.code_group, code_group.type, code_group.discount, code.id,
                code.expires_at, code.retired, code.upload,
                EXISTS (SELECT 1 FROM available_code AS available
                        WHERE available.code_group = code.code_group
                            AND available.expires_at = code.expires_at
                            AND available.code_id = code.id)
         FROM unnest($1::text[]) WITH ORDINALITY AS given (code, number)
         JOIN code ON code.code = given.code
         JOIN code_group ON code_group.id = code.code_group",
        params![codes],
    )
}

/// Reads a stored code. Returns it with its index among the codes that were looked up.
fn read_stored(row: &Row, groups: &mut GroupIds<'_>) -> Result<(usize, Stored)> {
    let index = usize::try_from(row.get::<i64>(0)?).unwrap_or(usize::MAX);
    let stored = Stored {
        id: row.get(4)?,
        values: CodeValues {
            code_group: groups.id_of_stored(row.get(1)?, &code_groups::read_columns(row, 2)?)?,
            expires: Timestamp(row.get(5)?),
            in_use: row.flag(6)?,
        },
        upload: row.get(7)?,
        is_available: row.get(8)?,
    };
    Ok((index, stored))
}

/// Compares rows with what is stored, and with each other.
pub(crate) struct Judge<'b> {
    groups: GroupIds<'b>,
    /// Read when it is first needed.
    calendar: Option<Calendar>,
}

impl<'b> Judge<'b> {
    pub(crate) fn new(groups: GroupIds<'b>) -> Judge<'b> {
        Judge {
            groups,
            calendar: None,
        }
    }

    /// Reads stored codes, each with its index among those that were looked up.
    pub(crate) fn read_stored(&mut self, rows: &[Row]) -> Result<Vec<(usize, Stored)>> {
        let rows = rows.iter();
        rows.map(|row| read_stored(row, &mut self.groups)).collect()
    }

    /// Returns the values that a row gives a new code.
    pub(crate) fn values_of_new(&mut self, row: &NewCode) -> Result<CodeValues<i64>> {
        let (kind, discount) = group_of_new(row);
        Ok(CodeValues {
            code_group: self.groups.id(kind, discount)?,
            expires: row.expires.unwrap_or(Timestamp::NEVER),
            in_use: row.in_use.unwrap_or(false),
        })
    }

    /// Returns the values that a row gives a known code; what it leaves out stays.
    fn stated(&mut self, row: &NewCode, known: &CodeValues<i64>) -> Result<CodeValues<i64>> {
        let code_group = match (row.code_type.as_deref(), row.discount) {
            (None, None) => known.code_group,
            (Some(kind), Some(discount)) => self.groups.id(kind, discount)?,
            (kind, discount) => {
                let old = self.groups.name(known.code_group)?;
                let kind = kind.unwrap_or(&old.code_type);
                self.groups.id(kind, discount.unwrap_or(old.discount))?
            }
        };
        Ok(CodeValues {
            code_group,
            expires: row.expires.unwrap_or(known.expires),
            in_use: row.in_use.unwrap_or(known.in_use),
        })
    }

    /// Compares a row with an earlier one of the same upload. `calendar` reads the calendar.
    pub(crate) fn compare(
        &mut self,
        row: &NewCode,
        earlier: &CodeValues<i64>,
        calendar: impl FnOnce() -> Result<Calendar>,
    ) -> Result<RowOutcome> {
        let stated = self.stated(row, earlier)?;
        let Some(difference) = contradiction(earlier, &stated) else {
            return Ok(RowOutcome::Unchanged);
        };
        let calendar = match self.calendar {
            Some(calendar) => calendar,
            None => *self.calendar.insert(calendar()?),
        };
        let said = CodeValues {
            code_group: self.groups.name(earlier.code_group)?,
            expires: earlier.expires,
            in_use: earlier.in_use,
        };
        let stated = self.groups.name(stated.code_group)?;
        Ok(conflict(difference, &said, &stated, calendar))
    }

    /// Returns the values that a row gives a stored code, and what changes: a used code stays as it
    /// is.
    pub(crate) fn change(
        &mut self,
        row: &NewCode,
        stored: &Stored,
    ) -> Result<(CodeValues<i64>, CodeChange)> {
        let stated = self.stated(row, &stored.values)?;
        let change = match change(&stored.values, &stated) {
            CodeChange::Move | CodeChange::Retire if !stored.is_available => CodeChange::None,
            change => change,
        };
        Ok((stated, change))
    }
}
