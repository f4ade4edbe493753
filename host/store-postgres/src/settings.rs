//! The settings of an installation, as name and value.

use chrono_tz::Tz;

use promoflow_model::pool::Calendar;

use crate::connection::params;
use crate::errors::{Result, damaged};
use crate::transaction::Transaction;

pub(crate) fn setting(transaction: &Transaction<'_>, name: &str) -> Result<String> {
    let row = transaction.row("SELECT value FROM setting WHERE name = $1", params![name])?;
    row.ok_or_else(|| damaged(format!("the setting `{name}`"), "the row is missing"))?
        .get(0)
}

pub(crate) fn number_setting(transaction: &Transaction<'_>, name: &str) -> Result<i64> {
    parse_number(name, &setting(transaction, name)?)
}

pub(crate) fn parse_number(name: &str, text: &str) -> Result<i64> {
    text.parse()
        .map_err(|error| damaged(format!("the setting `{name}`"), error))
}

pub(crate) fn set_setting(transaction: &Transaction<'_>, name: &str, value: &str) -> Result<()> {
    transaction.execute(
        "UPDATE setting SET value = $2 WHERE name = $1",
        params![name, value],
    )?;
    Ok(())
}

/// Raises a number by one, and returns it. In an exclusive transaction.
pub(crate) fn raise_setting(transaction: &Transaction<'_>, name: &str) -> Result<i64> {
    let next = number_setting(transaction, name)? + 1;
    set_setting(transaction, name, &next.to_string())?;
    Ok(next)
}

/// Raises a number by one without returning it. In an exclusive transaction.
pub(crate) fn increase_setting(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    take_numbers(transaction, name, 1)?;
    Ok(())
}

/// Raises a number by `count`, and returns what it was. In an exclusive transaction.
pub(crate) fn take_numbers(transaction: &Transaction<'_>, name: &str, count: i64) -> Result<i64> {
    let row = transaction.row(
        "UPDATE setting SET value = (value::bigint + $2)::text WHERE name = $1
         RETURNING value::bigint - $2",
        params![name, count],
    )?;
    row.ok_or_else(|| damaged(format!("the setting `{name}`"), "the row is missing"))?
        .get(0)
}

pub(crate) fn calendar(transaction: &Transaction<'_>) -> Result<Calendar> {
    let name = setting(transaction, "time-zone")?;
    let zone: Tz = name
        .parse()
        .map_err(|error| damaged("the setting `time-zone`", error))?;
    Ok(Calendar::new(zone))
}
