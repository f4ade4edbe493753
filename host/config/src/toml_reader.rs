//! Access to a TOML file: its sections by name, and errors with their position.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::ConfigError;
use super::error::Result;
use promoflow_document::{did_you_mean, quoted};

/// The name and the text of a file, for the positions of errors.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
}

impl<'t> Source<'t> {
    /// Creates an error at these bytes of the file.
    pub(super) fn error_at(self, at: Range<usize>, message: impl std::fmt::Display) -> ConfigError {
        let (line, column) = line_and_column(self.text, at.start);
        ConfigError::Invalid {
            file: self.name.to_owned(),
            line,
            column,
            message: message.to_string(),
        }
    }

    /// Parses the whole file as a table.
    pub(super) fn table(self) -> Result<Table<'t>> {
        let table = DeTable::parse(self.text)
            .map_err(|error| self.error_at(error.span().unwrap_or(0..0), error.message()))?;
        Ok(Table {
            source: self,
            at: table.span(),
            entries: table.into_inner(),
        })
    }

    /// Deserializes a value of the file.
    pub(super) fn read<T: DeserializeOwned>(self, value: Spanned<DeValue<'t>>) -> Result<T> {
        let at = value.span();
        T::deserialize(ValueDeserializer::from(value))
            .map_err(|error| self.error_at(error.span().unwrap_or(at), error.message()))
    }
}

/// A table of the file. Known keys are taken out of it; unknown keys remain.
pub(super) struct Table<'t> {
    pub(super) source: Source<'t>,
    pub(super) at: Range<usize>,
    entries: DeTable<'t>,
}

impl<'t> Table<'t> {
    pub(super) fn new(source: Source<'t>, value: Spanned<DeValue<'t>>) -> Result<Table<'t>> {
        let at = value.span();
        match value.into_inner() {
            DeValue::Table(entries) => Ok(Table {
                source,
                at,
                entries,
            }),
            other => Err(source.error_at(
                at,
                format_args!("expected a table, found {}", other.type_str()),
            )),
        }
    }

    /// Creates an error at the table.
    pub(super) fn error_at(&self, message: impl std::fmt::Display) -> ConfigError {
        self.source.error_at(self.at.clone(), message)
    }

    /// Takes the value of a key, if present.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.entries.remove(key) else {
            return Ok(None);
        };
        self.source.read(value).map(Some)
    }

    /// Takes the raw value of a key, if present.
    pub(super) fn take_value(&mut self, key: &str) -> Option<Spanned<DeValue<'t>>> {
        self.entries.remove(key)
    }

    /// Takes the table `[key]`, if present.
    pub(super) fn take_table(&mut self, key: &str) -> Result<Option<Table<'t>>> {
        let value = self.entries.remove(key);
        value
            .map(|value| Table::new(self.source, value))
            .transpose()
    }

    /// Takes the tables `[[key]]`, in the order of the file.
    pub(super) fn take_tables(&mut self, key: &str) -> Result<Vec<Table<'t>>> {
        let Some(value) = self.entries.remove(key) else {
            return Ok(Vec::new());
        };
        let at = value.span();
        let DeValue::Array(tables) = value.into_inner() else {
            let message = format!("expected [[{key}]] tables");
            return Err(self.source.error_at(at, message));
        };
        tables
            .into_iter()
            .map(|table| Table::new(self.source, table))
            .collect()
    }

    /// Deserializes the remaining entries as one value.
    pub(super) fn into<T: DeserializeOwned>(self) -> Result<T> {
        let value = Spanned::new(self.at, DeValue::Table(self.entries));
        self.source.read(value)
    }

    /// Returns the remaining entries, in the order of the file.
    pub(super) fn into_entries(self) -> Vec<(String, Spanned<DeValue<'t>>)> {
        in_order(self.entries)
    }

    /// Rejects keys other than these.
    pub(super) fn reject_unknown(&self, known: &[&str]) -> Result<()> {
        let unknown = self.entries.keys().filter(|key| {
            let name: &str = key.get_ref();
            !known.contains(&name)
        });
        let Some(key) = unknown.min_by_key(|key| key.span().start) else {
            return Ok(());
        };
        let name: &str = key.get_ref();
        let hint = did_you_mean(name, known.iter().copied())
            .unwrap_or_else(|| format!("expected one of {}", known.join(", ")));
        let message = format_args!("unknown key {}; {hint}", quoted(name));
        Err(self.source.error_at(key.span(), message))
    }
}

/// Returns the entries of a table in the order of the file.
pub(super) fn in_order<'t>(table: DeTable<'t>) -> Vec<(String, Spanned<DeValue<'t>>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
        .into_iter()
        .map(|(name, value)| (name.into_inner().into_owned(), value))
        .collect()
}

/// Reads a string, a number or a boolean.
pub(super) fn scalar(source: Source<'_>, value: Spanned<DeValue<'_>>) -> Result<Value> {
    let at = value.span();
    let scalar = match source.read(value)? {
        toml::Value::String(text) => Some(Value::String(text)),
        toml::Value::Boolean(truth) => Some(Value::Bool(truth)),
        toml::Value::Integer(number) => Some(number.into()),
        toml::Value::Float(number) => Number::from_f64(number).map(Value::Number),
        _ => None,
    };
    scalar.ok_or_else(|| source.error_at(at, "expected a string, a number or a boolean"))
}

/// Returns line and column of a byte, counted from 1.
fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
