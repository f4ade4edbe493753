//! Imports the rows of one transaction into the pool.
//!
//! A new code costs one insert into each of `code` and `available_code`; only known codes are read.
//! The rows are inserted in key order, so that neighbours share pages.

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    CodeGroupIds, Result, calendar, code_groups, codes, number_setting, raise_setting, set_setting,
    spellings,
};
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{DEFAULT_TYPE, NewCode};
use promoflow_store::rules::upload::{CodeChange, CodeValues, change, conflict, contradiction};
use promoflow_store::{Position, RowOutcome, StoreError};

/// The rows of one transaction.
pub(crate) struct Batch<'b> {
    pub(crate) connection: &'b Connection,
    pub(crate) code_groups: &'b mut CodeGroupIds,
    pub(crate) upload: i64,
    pub(crate) at: Timestamp,
}

/// A code as stored, or as an earlier line of the upload gave it.
struct Known {
    id: i64,
    code_group: i64,
    expires: i64,
    in_use: bool,
    upload: i64,
}

impl Known {
    fn values(&self) -> CodeValues<i64> {
        CodeValues {
            code_group: self.code_group,
            expires: Timestamp(self.expires),
            in_use: self.in_use,
        }
    }
}

/// A row of `available_code`.
struct AvailableRow<'r> {
    code_group: i64,
    expires: i64,
    id: i64,
    code: &'r str,
}

impl Batch<'_> {
    /// Imports rows. Their codes get the next numbers in order.
    pub(crate) fn import(mut self, rows: &[NewCode]) -> Result<Vec<RowOutcome>> {
        let first = reserve_code_ids(self.connection, rows.len())?;
        self.import_rows(rows, first, |index| first + index as i64)
    }

    /// Imports rows whose codes already have numbers.
    pub(super) fn import_numbered(
        mut self,
        rows: &[NewCode],
        numbers: &[i64],
    ) -> Result<Vec<RowOutcome>> {
        let first = numbers.iter().copied().min().unwrap_or_default();
        self.import_rows(rows, first, |index| {
            numbers.get(index).copied().unwrap_or_default()
        })
    }

    fn import_rows(
        &mut self,
        rows: &[NewCode],
        first: i64,
        number: impl Fn(usize) -> i64,
    ) -> Result<Vec<RowOutcome>> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // A stable sort: of two lines with the same code, the earlier one comes first.
        order.sort_by(|&a, &b| rows[a].code.cmp(&rows[b].code));

        let mut outcomes = vec![RowOutcome::Unchanged; rows.len()];
        let mut available = Vec::with_capacity(rows.len());
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO code (code, id, code_group, expires_at, retired, upload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (code) DO NOTHING",
        )?;
        let mut before: Option<usize> = None;
        for index in order {
            let row = &rows[index];
            // A file may contain the same line a million times.
            if before.is_some_and(|earlier| {
                states_same(&rows[earlier], row)
                    && !matches!(outcomes[earlier], RowOutcome::Conflict { .. })
            }) {
                continue;
            }
            before = Some(index);
            let kind = row.code_type.as_deref().unwrap_or(DEFAULT_TYPE);
            let code_group =
                self.code_groups
                    .find_or_add(self.connection, kind, row.discount.unwrap_or(0))?;
            let expires = row.expires.unwrap_or(Timestamp::NEVER).0;
            let retired = row.in_use.unwrap_or(false);
            let id = number(index);
            if insert.execute(params![
                row.code,
                id,
                code_group,
                expires,
                retired,
                self.upload
            ])? == 0
            {
                outcomes[index] = self.import_known(row)?;
                continue;
            }
            outcomes[index] = RowOutcome::Inserted;
            if retired {
                self.log_retirement(&row.code)?;
            } else {
                available.push(AvailableRow {
                    code_group,
                    expires,
                    id,
                    code: &row.code,
                });
            }
        }
        self.insert_available(available)?;
        spellings::note_lowercase(self.connection, rows.iter().map(|row| row.code.as_str()))?;
        self.log_batch(first, &outcomes)?;
        Ok(outcomes)
    }

    /// Imports a row whose code is already in the pool.
    fn import_known(&mut self, row: &NewCode) -> Result<RowOutcome> {
        let stored = self
            .connection
            .prepare_cached(
                "SELECT id, code_group, expires_at, retired, upload FROM code WHERE code = ?1",
            )?
            .query_row([&row.code], |found| {
                Ok(Known {
                    id: found.get(0)?,
                    code_group: found.get(1)?,
                    expires: found.get(2)?,
                    in_use: found.get(3)?,
                    upload: found.get(4)?,
                })
            })?;
        let stated_before = self
            .connection
            .prepare_cached(
                "SELECT code_group, expires_at, in_use FROM temp.seen
                 WHERE upload = ?1 AND code = ?2",
            )?
            .query_row(params![self.upload, row.code], |found| {
                Ok(Known {
                    id: stored.id,
                    code_group: found.get(0)?,
                    expires: found.get(1)?,
                    in_use: found.get(2)?,
                    upload: self.upload,
                })
            })
            .optional()?;
        if let Some(earlier) = stated_before
            .as_ref()
            .or((stored.upload == self.upload).then_some(&stored))
        {
            return self.compare_lines(row, earlier);
        }
        let now = self.stated(row, &stored)?;
        self.connection
            .prepare_cached("INSERT INTO temp.seen VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                self.upload,
                row.code,
                now.code_group,
                now.expires,
                now.in_use
            ])?;
        self.update_code(row, &stored, &now)
    }

    /// Returns the values that the row gives a code; what it leaves out stays as stored.
    fn stated(&mut self, row: &NewCode, stored: &Known) -> Result<Known> {
        let code_group = if row.code_type.is_none() && row.discount.is_none() {
            stored.code_group
        } else {
            let old = code_groups::load(self.connection, stored.code_group)?;
            let kind = row.code_type.as_deref().unwrap_or(&old.code_type);
            self.code_groups.find_or_add(
                self.connection,
                kind,
                row.discount.unwrap_or(old.discount),
            )?
        };
        Ok(Known {
            id: stored.id,
            code_group,
            expires: row.expires.map_or(stored.expires, |expires| expires.0),
            in_use: row.in_use.unwrap_or(stored.in_use),
            upload: self.upload,
        })
    }

    /// Compares a line with an earlier one of the same upload.
    fn compare_lines(&mut self, row: &NewCode, earlier: &Known) -> Result<RowOutcome> {
        let now = self.stated(row, earlier)?;
        let Some(difference) = contradiction(&earlier.values(), &now.values()) else {
            return Ok(RowOutcome::Unchanged);
        };
        let values = CodeValues {
            code_group: code_groups::load(self.connection, earlier.code_group)?,
            expires: Timestamp(earlier.expires),
            in_use: earlier.in_use,
        };
        let stated = code_groups::load(self.connection, now.code_group)?;
        Ok(conflict(
            difference,
            &values,
            &stated,
            calendar(self.connection)?,
        ))
    }

    /// Updates an unused code from the row. A used code does not change, and a retired one stays
    /// retired.
    fn update_code(&mut self, row: &NewCode, stored: &Known, now: &Known) -> Result<RowOutcome> {
        let change = change(&stored.values(), &now.values());
        let retires = change == CodeChange::Retire;
        if change == CodeChange::None {
            return Ok(RowOutcome::Unchanged);
        }
        if change != CodeChange::MoveRetired {
            let position = Position {
                expires: Timestamp(stored.expires),
                id: stored.id,
            };
            if !codes::take_available(self.connection, stored.code_group, position)? {
                return Ok(RowOutcome::Unchanged);
            }
            if retires {
                self.log_retirement(&row.code)?;
            } else {
                self.insert_available(vec![AvailableRow {
                    code_group: now.code_group,
                    expires: now.expires,
                    id: stored.id,
                    code: &row.code,
                }])?;
            }
        }
        self.connection
            .prepare_cached(
                "UPDATE code SET code_group = ?2, expires_at = ?3, retired = ?4, upload = ?5
                 WHERE code = ?1",
            )?
            .execute(params![
                row.code,
                now.code_group,
                now.expires,
                stored.in_use || retires,
                self.upload
            ])?;
        Ok(RowOutcome::Updated)
    }

    fn insert_available(&self, mut rows: Vec<AvailableRow<'_>>) -> Result<()> {
        rows.sort_unstable_by_key(|row| (row.code_group, row.expires, row.id));
        let mut insert = self.connection.prepare_cached(codes::ADD_AVAILABLE)?;
        for row in rows {
            insert.execute(params![row.code_group, row.expires, row.id, row.code])?;
        }
        Ok(())
    }

    fn log_retirement(&self, code: &str) -> Result<()> {
        codes::log_retirement(self.connection, code, true, self.at)
    }

    fn log_batch(&self, first: i64, outcomes: &[RowOutcome]) -> Result<()> {
        let count = |wanted: RowOutcome| outcomes.iter().filter(|&o| *o == wanted).count() as i64;
        let (inserted, updated) = (count(RowOutcome::Inserted), count(RowOutcome::Updated));
        self.connection
            .prepare_cached(
                "INSERT INTO upload_batch (upload, first_code_id, inserted, updated, unchanged,
                                           rejected)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0)",
            )?
            .execute(params![
                self.upload,
                first,
                inserted,
                updated,
                count(RowOutcome::Unchanged)
            ])?;
        if inserted + updated > 0 {
            raise_setting(self.connection, "pool-generation")?;
        }
        Ok(())
    }
}

/// Returns true if two rows give the same code the same values.
fn states_same(one: &NewCode, other: &NewCode) -> bool {
    let stated = |row: &NewCode| (row.discount, row.expires, row.in_use);
    one.code == other.code && one.code_type == other.code_type && stated(one) == stated(other)
}

/// Reserves numbers for codes. Returns the first of them.
pub(super) fn reserve_code_ids(connection: &Connection, codes: usize) -> Result<i64> {
    let first = number_setting(connection, "next-code-id")?;
    let next = i64::try_from(codes)
        .ok()
        .and_then(|codes| first.checked_add(codes))
        .ok_or_else(|| StoreError::Engine("the numbers for codes are exhausted".into()))?;
    set_setting(connection, "next-code-id", &next.to_string())?;
    Ok(first)
}
