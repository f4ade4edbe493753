//! The run's values: the event's parameters under their own names, and what steps have set since.

use crate::{Error, Value, host::data as host};

/// The value of that name; none where nothing set it.
#[must_use]
pub fn get(name: &str) -> Option<Value> {
    host::get(name)
}

/// Sets a value for the steps that follow and for messages. Kept if the segment commits.
///
/// # Errors
/// The name or the value is none, or is too large, or the step may not set values.
pub fn set(name: &str, value: impl Into<Value>) -> Result<(), Error> {
    Ok(host::set(name, &value.into())?)
}

/// The names that have a value, in the order in which they were set.
#[must_use]
pub fn names() -> Vec<String> {
    host::names()
}

/// Whom the event is about: its `keyValue`.
#[must_use]
pub fn key() -> String {
    host::key()
}
