//! The settings of an installation, as name and value.

use chrono_tz::Tz;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Result, damaged};
use promoflow_model::pool::Calendar;

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
