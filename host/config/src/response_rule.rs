//! `[[channel.response]]`: the meaning of a provider's response.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::error::Result;
use super::toml_reader::{Source, Table, scalar};

/// A rule that classifies some responses of a provider.
#[derive(Debug)]
pub struct ResponseRule {
    /// The statuses that the rule applies to; all if empty.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// A condition on a value in the JSON of the response.
    pub value: Option<ValueCondition>,
    /// The outcome of a response that matches.
    pub outcome: ResponseOutcome,
    /// A JSON pointer to the number of seconds after which to retry.
    pub retry_after: Option<String>,
}

/// A condition on a value in the JSON of a response.
#[derive(Debug)]
pub struct ValueCondition {
    /// The JSON pointer to the value (RFC 6901).
    pub pointer: String,
    /// If true, the value must be one of `values`; if false, it must not.
    pub must_match: bool,
    /// The values, as text.
    pub values: Vec<String>,
}

/// The outcome of an attempt, as a response shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseOutcome {
    /// The provider accepted the message.
    Delivered,
    /// Retryable failure.
    Retryable,
    /// Permanent failure.
    Permanent,
    /// The installation is misconfigured: an operator has to fix it, and the delivery waits.
    Misconfigured,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawResponseRule {
    pointer: Option<Spanned<String>>,
    outcome: ResponseOutcome,
    retry_after: Option<Spanned<String>>,
}

impl ResponseRule {
    pub(super) fn read(mut table: Table<'_>) -> Result<ResponseRule> {
        table.reject_unknown(&[
            "status",
            "pointer",
            "equals",
            "not-equals",
            "outcome",
            "retry-after",
        ])?;
        let source = table.source;
        let at = table.at.clone();
        let statuses = table
            .take_value("status")
            .map_or_else(Vec::new, list_or_single);
        let statuses = statuses.into_iter().map(|value| status(source, value));
        let statuses = statuses.collect::<Result<Vec<_>>>()?;
        let equals = table.take_value("equals");
        let not_equals = table.take_value("not-equals");
        let plain: RawResponseRule = table.into()?;
        let pointer = |pointer: &Option<Spanned<String>>| match pointer {
            Some(text) if !text.get_ref().starts_with('/') => {
                let message = "expected a JSON pointer, such as /error/code";
                Err(source.error_at(text.span(), message))
            }
            text => Ok(text.as_ref().map(|text| text.get_ref().clone())),
        };
        let retry_after = pointer(&plain.retry_after)?;
        let value = match (pointer(&plain.pointer)?, equals, not_equals) {
            (None, None, None) if !statuses.is_empty() => None,
            (Some(pointer), Some(values), None) => {
                Some(ValueCondition::new(source, pointer, true, values)?)
            }
            (Some(pointer), None, Some(values)) => {
                Some(ValueCondition::new(source, pointer, false, values)?)
            }
            _ => {
                let message = "expected `status`, or `pointer` with one of `equals` and `not-equals`, or both";
                return Err(source.error_at(at, message));
            }
        };
        Ok(ResponseRule {
            statuses,
            value,
            outcome: plain.outcome,
            retry_after,
        })
    }
}

impl ValueCondition {
    fn new(
        source: Source<'_>,
        pointer: String,
        must_match: bool,
        values: Spanned<DeValue<'_>>,
    ) -> Result<ValueCondition> {
        let values = list_or_single(values).into_iter().map(|value| {
            let value = scalar(source, value)?;
            Ok(as_text(&value).unwrap_or_default())
        });
        Ok(ValueCondition {
            pointer,
            must_match,
            values: values.collect::<Result<_>>()?,
        })
    }
}

/// Converts a value to text: some providers write the same code both as a number and as a string.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the elements of a list, or the single value.
fn list_or_single(value: Spanned<DeValue<'_>>) -> Vec<Spanned<DeValue<'_>>> {
    let at = value.span();
    match value.into_inner() {
        DeValue::Array(values) => values.into_iter().collect(),
        one => vec![Spanned::new(at, one)],
    }
}

/// Parses a status, or a class of statuses such as `5xx`.
fn status(source: Source<'_>, value: Spanned<DeValue<'_>>) -> Result<RangeInclusive<u16>> {
    let at = value.span();
    let text = as_text(&scalar(source, value)?).unwrap_or_default();
    let (digits, whole) = match text.strip_suffix("xx") {
        Some(class) => (class, false),
        None => (text.as_str(), true),
    };
    match digits.parse::<u16>() {
        Ok(status) if whole && (100..=599).contains(&status) => Ok(status..=status),
        Ok(class) if !whole && (1..=5).contains(&class) => Ok(class * 100..=class * 100 + 99),
        _ => Err(source.error_at(
            at,
            "expected a status such as 429, or a class such as \"5xx\"",
        )),
    }
}
