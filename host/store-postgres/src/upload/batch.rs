//! Imports the rows of one transaction into the pool.
//!
//! New codes are inserted at once, in key order, so that neighbours share pages. Only known codes are
//! read.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::NewCode;
use promoflow_store::rules::upload::{CodeChange, CodeValues};
use promoflow_store::{Position, RowOutcome};

use super::lines::{GroupIds, Judge, Lines, Stored, find_stored};
use super::seen::Seen;
use crate::PostgresStore;
use crate::code_changes::CodeChanges;
use crate::connection::params;
use crate::errors::Result;
use crate::settings::{calendar, increase_setting, take_numbers};
use crate::spellings;
use crate::transaction::Transaction;
use crate::upload_history::{self, Counts};

/// The rows of one exclusive transaction.
pub(super) struct Batch<'b> {
    pub(super) store: &'b PostgresStore,
    pub(super) transaction: &'b Transaction<'b>,
    pub(super) upload: i64,
    pub(super) at: Timestamp,
    /// What earlier batches said of codes that were known before.
    pub(super) seen: &'b Seen,
}

/// What became of the rows of a batch.
pub(super) struct Imported {
    pub(super) outcomes: Vec<RowOutcome>,
    /// What rows said of codes that were known before, by the index of the row.
    said: Vec<(usize, CodeValues<i64>)>,
}

impl Imported {
    /// Records what the rows said, once their transaction is committed.
    pub(super) fn note(self, rows: &[NewCode], seen: &mut Seen) -> Vec<RowOutcome> {
        for (index, values) in self.said {
            if let Some(row) = rows.get(index) {
                seen.put(&row.code, values);
            }
        }
        self.outcomes
    }
}

impl Batch<'_> {
    /// Imports rows. Their codes get the next numbers in order.
    pub(super) fn import(&self, rows: &[NewCode]) -> Result<Imported> {
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let first = take_numbers(self.transaction, "next-code-id", count)?;
        let numbers: Vec<i64> = (first..).take(rows.len()).collect();
        self.import_numbered(rows, &numbers)
    }

    /// Imports rows whose codes already have numbers.
    pub(super) fn import_numbered(&self, rows: &[NewCode], numbers: &[i64]) -> Result<Imported> {
        let lines = Lines::of(rows);
        let mut judge = Judge::new(GroupIds::for_rows(self.store, self.transaction, rows)?);
        // The values that each code has or was given, in the order of `lines.first`.
        let mut values = Vec::with_capacity(lines.first.len());
        for &index in &lines.first {
            values.push(judge.values_of_new(&rows[index])?);
        }
        let mut imported = Imported {
            outcomes: vec![RowOutcome::Unchanged; rows.len()],
            said: Vec::new(),
        };
        let known = self.insert(rows, numbers, &lines, &values, &mut judge)?;
        let mut is_known = vec![false; lines.first.len()];
        for (place, _) in &known {
            is_known[*place] = true;
        }
        let mut changes = CodeChanges::default();
        for (place, &index) in lines.first.iter().enumerate() {
            if is_known[place] {
                continue;
            }
            imported.outcomes[index] = RowOutcome::Inserted;
            let (code, stated) = (&rows[index].code, &values[place]);
            match stated.in_use {
                true => changes.log_retirement(code, true),
                false => {
                    let position = Position {
                        expires: stated.expires,
                        id: numbers[index],
                    };
                    changes.add(stated.code_group, position, code);
                }
            }
        }
        for (place, stored) in &known {
            let index = lines.first[*place];
            values[*place] = self.import_known(
                index,
                &rows[index],
                stored,
                &mut judge,
                &mut changes,
                &mut imported,
            )?;
        }
        for &(index, place) in &lines.further {
            let calendar = || calendar(self.transaction);
            imported.outcomes[index] = judge.compare(&rows[index], &values[place], calendar)?;
        }
        changes.write(self.transaction, self.at)?;
        let codes = rows.iter().map(|row| row.code.as_str());
        spellings::note_lowercase(self.transaction, codes)?;
        let first = numbers.iter().copied().min().unwrap_or_default();
        self.log_batch(first, &imported.outcomes)?;
        Ok(imported)
    }

    /// Adds the codes that are not known. Returns those that are, with their places in
    /// `lines.first`.
    fn insert(
        &self,
        rows: &[NewCode],
        numbers: &[i64],
        lines: &Lines,
        values: &[CodeValues<i64>],
        judge: &mut Judge<'_>,
    ) -> Result<Vec<(usize, Stored)>> {
        let codes: Vec<&str> = lines
            .first
            .iter()
            .map(|&at| rows[at].code.as_str())
            .collect();
        let ids: Vec<i64> = lines.first.iter().map(|&at| numbers[at]).collect();
        let groups: Vec<i64> = values.iter().map(|values| values.code_group).collect();
        let expiries: Vec<i64> = values.iter().map(|values| values.expires.0).collect();
        let retired: Vec<i32> = values
            .iter()
            .map(|values| i32::from(values.in_use))
            .collect();
        let added = self.transaction.execute(
            "INSERT INTO code (code, id, code_group, expires_at, retired, upload)
             SELECT unnest($1::text[]), unnest($2::bigint[]), unnest($3::bigint[]),
                    unnest($4::bigint[]), unnest($5::integer[]), $6
             ON CONFLICT (code) DO NOTHING",
            params![codes, ids, groups, expiries, retired, self.upload],
        )?;
        if added == codes.len() as u64 {
            return Ok(Vec::new());
        }
        let mut found = judge.read_stored(&find_stored(self.transaction, &codes)?)?;
        found.retain(|(place, stored)| ids.get(*place) != Some(&stored.id));
        Ok(found)
    }

    /// Imports a row whose code was in the pool before. Returns what it, or an earlier batch, said of
    /// the code.
    fn import_known<'r>(
        &self,
        index: usize,
        row: &'r NewCode,
        stored: &Stored,
        judge: &mut Judge<'_>,
        changes: &mut CodeChanges<'r>,
        imported: &mut Imported,
    ) -> Result<CodeValues<i64>> {
        let earlier = self.seen.get(&row.code);
        let earlier = earlier.or((stored.upload == self.upload).then_some(stored.values));
        if let Some(earlier) = earlier {
            imported.outcomes[index] =
                judge.compare(row, &earlier, || calendar(self.transaction))?;
            return Ok(earlier);
        }
        let (stated, change) = judge.change(row, stored)?;
        imported.said.push((index, stated));
        if change == CodeChange::None {
            return Ok(stated);
        }
        imported.outcomes[index] = RowOutcome::Updated;
        let position = |expires| Position {
            expires,
            id: stored.id,
        };
        if change != CodeChange::MoveRetired {
            changes.take(stored.values.code_group, position(stored.values.expires));
        }
        match change {
            CodeChange::Retire => changes.log_retirement(&row.code, true),
            CodeChange::Move => {
                changes.add(stated.code_group, position(stated.expires), &row.code);
            }
            CodeChange::MoveRetired | CodeChange::None => {}
        }
        let now = CodeValues {
            in_use: stored.values.in_use || change == CodeChange::Retire,
            ..stated
        };
        changes.update(&row.code, now, self.upload);
        Ok(stated)
    }

    fn log_batch(&self, first: i64, outcomes: &[RowOutcome]) -> Result<()> {
        let count = |wanted: RowOutcome| outcomes.iter().filter(|&o| *o == wanted).count() as i64;
        let counts = Counts {
            inserted: count(RowOutcome::Inserted),
            updated: count(RowOutcome::Updated),
            unchanged: count(RowOutcome::Unchanged),
            rejected: 0,
        };
        upload_history::add_batch(self.transaction, self.upload, first, counts)?;
        if counts.inserted + counts.updated > 0 {
            increase_setting(self.transaction, "pool-generation")?;
        }
        Ok(())
    }
}
