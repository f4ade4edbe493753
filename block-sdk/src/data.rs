//! The run's values: the event's parameters under their own names, and values that steps set.

use crate::{Error, Value, host::data as host};

/// Returns the value of that name, or `None` if it is not set.
#[must_use]
pub fn get(name: &str) -> Option<Value> {
    host::get(name)
}

/// Sets a value for later steps and for messages. Kept if the segment commits.
///
/// # Errors
/// Fails if the name or the value is invalid or too large, or if the step is not allowed to set
/// values.
pub fn set(name: &str, value: impl Into<Value>) -> Result<(), Error> {
    Ok(host::set(name, &value.into())?)
}

/// Returns the names of all values, in the order in which they were set.
#[must_use]
pub fn names() -> Vec<String> {
    host::names()
}

/// Returns the event key, the event's `keyValue`.
#[must_use]
pub fn key() -> String {
    host::key()
}
