//! `[[alert]]`: a rule that watches a part of the pool, with its thresholds.

use serde::Deserialize;

use super::error::Result;
use super::toml_reader::Table;
use super::webhook::{self, WebhookConfig};
use promoflow_model::alert::{Kind, Rule};
use promoflow_model::pool::{MAX_DISCOUNT, MAX_TYPE_CHARS};

/// The largest threshold in codes, and the maximum number of codes that a check counts.
const MAX_CODES: u32 = 1_000_000;
/// The largest threshold in days.
const MAX_DAYS: u32 = 365;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawAlert {
    #[serde(default = "default_kind")]
    kind: Kind,
    #[serde(rename = "type")]
    code_type: Option<String>,
    discount: Option<u8>,
    warning: Option<u32>,
    alarm: Option<u32>,
    within_days: Option<u32>,
    #[serde(default)]
    webhook: OneOrMany,
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a webhook, or a list of names"
)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> OneOrMany {
        OneOrMany::Many(Vec::new())
    }
}

fn default_kind() -> Kind {
    Kind::Available
}

/// Reads a rule; `before` are the rules above it in the file, `webhooks` the ones it may name.
pub(super) fn read(table: Table<'_>, before: &[Rule], webhooks: &[WebhookConfig]) -> Result<Rule> {
    let (source, at) = (table.source, table.at.clone());
    let raw: RawAlert = table.into()?;
    rule(raw, before)
        .and_then(|rule| webhook::check(&rule, webhooks).map(|()| rule))
        .map_err(|error| source.error_at(at, error))
}

fn rule(raw: RawAlert, before: &[Rule]) -> Result<Rule, String> {
    let kind = raw.kind;
    let (warning, alarm, max) = match kind {
        Kind::Available => (500, 50, MAX_CODES),
        Kind::Exhaustion => (7, 2, MAX_DAYS),
        Kind::Expiring => (50, 500, MAX_CODES),
    };
    let rule = Rule {
        kind,
        code_type: raw.code_type,
        discount: raw.discount,
        warning: raw.warning.unwrap_or(warning),
        alarm: raw.alarm.unwrap_or(alarm),
        within_days: raw.within_days.unwrap_or(7),
        webhooks: match raw.webhook {
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        },
    };
    let (warning, alarm) = (rule.warning, rule.alarm);
    if warning > max || alarm > max {
        return Err(format!("`warning` and `alarm` must be 0 to {max}"));
    }
    let is_ordered = match kind {
        Kind::Available | Kind::Exhaustion => warning > alarm,
        Kind::Expiring => warning < alarm && warning > 0,
    };
    if !is_ordered {
        let expected = match kind {
            Kind::Available | Kind::Exhaustion => "greater than",
            Kind::Expiring => "at least 1 and less than",
        };
        return Err(format!(
            "`warning` ({warning}) must be {expected} `alarm` ({alarm})"
        ));
    }
    if raw.within_days.is_some() && kind != Kind::Expiring {
        return Err("`within-days` is only allowed for alerts of kind `expiring`".to_owned());
    }
    if !(1..=MAX_DAYS).contains(&rule.within_days) {
        return Err(format!("`within-days` must be 1 to {MAX_DAYS}"));
    }
    if rule
        .discount
        .is_some_and(|discount| discount > MAX_DISCOUNT)
    {
        return Err(format!("`discount` must be 0 to {MAX_DISCOUNT}"));
    }
    let type_chars = rule.code_type.as_ref().map(|text| text.chars().count());
    if type_chars.is_some_and(|chars| !(1..=MAX_TYPE_CHARS).contains(&chars)) {
        return Err(format!("`type` must have 1 to {MAX_TYPE_CHARS} characters"));
    }
    let same = |one: &&Rule| {
        (one.kind, &one.code_type, one.discount) == (kind, &rule.code_type, rule.discount)
    };
    match before.iter().find(same) {
        Some(_) => {
            Err("duplicate alert: an earlier one has the same kind, type and discount".to_owned())
        }
        None => Ok(rule),
    }
}
