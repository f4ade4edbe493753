//! The settings of an installation, as name and value.

use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    ExecutorLock, Result, SCHEMA, SqliteStore, StoreResult, audit, backup, changes::Watch, damaged,
    lock_path,
};
use promoflow_model::clock::{Clock, SystemClock};
use promoflow_model::pool::Calendar;
use promoflow_store::{ChangeWatch, InstallationStore, Member, PromiseReport, StoreError};

pub(super) fn setting(connection: &Connection, name: &str) -> Result<String> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .ok_or_else(|| damaged(format!("the setting `{name}`"), "the row is missing"))
}

pub(super) fn number_setting(connection: &Connection, name: &str) -> Result<i64> {
    let text = setting(connection, name)?;
    text.parse()
        .map_err(|error| damaged(format!("the setting `{name}`"), error))
}

pub(super) fn set_setting(connection: &Connection, name: &str, value: &str) -> Result<()> {
    connection
        .prepare_cached("UPDATE setting SET value = ?2 WHERE name = ?1")?
        .execute(params![name, value])?;
    Ok(())
}

pub(super) fn raise_setting(connection: &Connection, name: &str) -> Result<i64> {
    let next = number_setting(connection, name)? + 1;
    set_setting(connection, name, &next.to_string())?;
    Ok(next)
}

pub(super) fn calendar(connection: &Connection) -> Result<Calendar> {
    let name = setting(connection, "time-zone")?;
    let zone: Tz = name
        .parse()
        .map_err(|error| damaged("the setting `time-zone`", error))?;
    Ok(Calendar::new(zone))
}

impl InstallationStore for SqliteStore {
    fn check_schema(&self) -> StoreResult<()> {
        Ok(self.read(|connection| SCHEMA.check_version(connection))?)
    }

    fn installation(&self) -> StoreResult<String> {
        Ok(self.read(|connection| setting(connection, "installation"))?)
    }

    /// All processes that use a file run on one machine.
    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn calendar(&self) -> StoreResult<Calendar> {
        Ok(self.read(calendar)?)
    }

    fn set_calendar(&self, calendar: Calendar) -> StoreResult<()> {
        Ok(self.write(|connection, _| {
            // The executor reloads its configuration, and units based on the old one become stale.
            raise_setting(connection, "config-version")?;
            set_setting(connection, "time-zone", calendar.zone().name())
        })?)
    }

    fn try_join(&self) -> StoreResult<Option<Box<dyn Member>>> {
        let path = lock_path(&self.path);
        let taken = ExecutorLock::try_acquire(&path).map_err(|error| {
            StoreError::Open(format!("cannot lock {}: {error}", path.display()))
        })?;
        let Some(lock) = taken else { return Ok(None) };
        // No other process migrates the database while this one holds the lock.
        self.check_schema()?;
        Ok(Some(Box::new(lock)))
    }

    fn watch(&self) -> Box<dyn ChangeWatch + '_> {
        Box::new(Watch::new(self))
    }

    fn backup(&self, to: &Path) -> StoreResult<()> {
        Ok(backup::write(self, to)?)
    }

    fn audit(&self) -> StoreResult<Vec<PromiseReport>> {
        Ok(self.read(audit::audit)?)
    }
}
