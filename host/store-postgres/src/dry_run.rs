//! Dry runs: uploads that change nothing and block nothing. They only read, and keep what their rows
//! say in memory.

use std::collections::HashMap;

use promoflow_model::pool::NewCode;
use promoflow_store::rules::spellings::{find_other_spellings, has_lowercase};
use promoflow_store::rules::upload::CodeChange;
use promoflow_store::{RowOutcome, UploadEnd, UploadId, UploadSession, UploadSummary};

use crate::PostgresStore;
use crate::errors::{Result, StoreResult};
use crate::settings::calendar;
use crate::spellings;
use crate::upload::{GroupIds, Judge, Lines, Seen, Stored, find_stored};

/// The number of an upload that is not recorded; stored uploads have larger ones.
const NO_UPLOAD: UploadId = UploadId(0);

/// A dry run.
pub(crate) struct DryRun<'s> {
    store: &'s PostgresStore,
    judge: Judge<'static>,
    /// What the rows so far said of their codes.
    seen: Seen,
    /// True if any of them has letters other than A to Z.
    has_lowercase: bool,
}

impl<'s> DryRun<'s> {
    pub(crate) fn begin(store: &'s PostgresStore) -> DryRun<'s> {
        DryRun {
            store,
            judge: Judge::new(GroupIds::own()),
            seen: Seen::default(),
            has_lowercase: false,
        }
    }

    /// Returns the outcomes that the rows would have.
    pub(crate) fn check_rows(&mut self, rows: &[NewCode]) -> Result<Vec<RowOutcome>> {
        self.has_lowercase |= rows.iter().any(|row| has_lowercase(&row.code));
        let lines = Lines::of(rows);
        let codes = || lines.first.iter().map(|&index| rows[index].code.as_str());
        let unseen: Vec<&str> = codes()
            .filter(|code| self.seen.get(code).is_none())
            .collect();
        let found = self
            .store
            .read(|transaction| find_stored(transaction, &unseen))?;
        let mut stored: HashMap<&str, Stored> = HashMap::with_capacity(found.len());
        for (index, one) in self.judge.read_stored(&found)? {
            if let Some(code) = unseen.get(index) {
                stored.insert(code, one);
            }
        }
        let mut outcomes = vec![RowOutcome::Unchanged; rows.len()];
        let further = lines.further.iter().map(|(index, _)| index);
        for &index in lines.first.iter().chain(further) {
            let row = &rows[index];
            outcomes[index] = self.check_row(row, stored.get(row.code.as_str()))?;
        }
        Ok(outcomes)
    }

    fn check_row(&mut self, row: &NewCode, stored: Option<&Stored>) -> Result<RowOutcome> {
        if let Some(earlier) = self.seen.get(&row.code) {
            let store = self.store;
            return self.judge.compare(row, &earlier, || store.read(calendar));
        }
        let (values, outcome) = match stored {
            None => (self.judge.values_of_new(row)?, RowOutcome::Inserted),
            Some(stored) => match self.judge.change(row, stored)? {
                (values, CodeChange::None) => (values, RowOutcome::Unchanged),
                (values, _) => (values, RowOutcome::Updated),
            },
        };
        self.seen.put(&row.code, values);
        Ok(outcome)
    }
}

impl UploadSession for DryRun<'_> {
    fn batch(&mut self, rows: &[NewCode]) -> StoreResult<Vec<RowOutcome>> {
        Ok(self.check_rows(rows)?)
    }

    fn id(&self) -> UploadId {
        NO_UPLOAD
    }

    fn other_spellings(&self, codes: &[String]) -> StoreResult<Vec<(String, String)>> {
        let is_new = |code: &str| self.seen.get(code).is_some();
        Ok(find_other_spellings(
            codes,
            || Ok(self.has_lowercase || self.store.read(spellings::pool_has_lowercase)?),
            |some| {
                self.store
                    .read(|transaction| spellings::find_stored_spellings(transaction, is_new, some))
            },
        )?)
    }

    fn finish(self: Box<Self>, _: UploadEnd) -> StoreResult<UploadSummary> {
        Ok(UploadSummary::default())
    }

    fn roll_back(self: Box<Self>) -> StoreResult<()> {
        Ok(())
    }
}
