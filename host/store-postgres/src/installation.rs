//! The installation itself: its identity, its calendar, and the care of the database.

use std::path::Path;
use std::sync::Arc;

use promoflow_model::clock::Clock;
use promoflow_model::pool::Calendar;
use promoflow_store::{ChangeWatch, InstallationStore, Member, PromiseReport, StoreError};

use crate::PostgresStore;
use crate::audit;
use crate::changes::Watch;
use crate::errors::StoreResult;
use crate::settings::{calendar, raise_setting, set_setting, setting};
use crate::transaction::check_version;

impl InstallationStore for PostgresStore {
    fn check_schema(&self) -> StoreResult<()> {
        Ok(self.read(|transaction| check_version(&setting(transaction, "schema-version")?))?)
    }

    fn installation(&self) -> StoreResult<String> {
        Ok(self.read(|transaction| setting(transaction, "installation"))?)
    }

    /// Hosts run on machines whose clocks differ.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.pool.clock) as Arc<dyn Clock>
    }

    fn calendar(&self) -> StoreResult<Calendar> {
        Ok(self.read(calendar)?)
    }

    fn set_calendar(&self, calendar: Calendar) -> StoreResult<()> {
        Ok(self.write(|transaction| {
            // Executors reload their configuration, and units based on the old one become stale.
            raise_setting(transaction, "config-version")?;
            set_setting(transaction, "time-zone", calendar.zone().name())
        })?)
    }

    /// Always succeeds: hosts divide the work.
    fn try_join(&self) -> StoreResult<Option<Box<dyn Member>>> {
        self.check_schema()?;
        Ok(Some(Box::new(self.join()?)))
    }

    fn watch(&self) -> Box<dyn ChangeWatch + '_> {
        Box::new(Watch::new(&self.pool))
    }

    fn backup(&self, to: &Path) -> StoreResult<()> {
        let to = to.display();
        Err(StoreError::Open(format!(
            "PostgreSQL has its own tools for backups; run `pg_dump --format=custom \
             --file={to} ADDRESS`, and `pg_restore` to restore it"
        )))
    }

    fn audit(&self) -> StoreResult<Vec<PromiseReport>> {
        Ok(audit::audit(|check| self.read(check))?)
    }
}
