//! `[[alert]]`: a rule that watches a part of the pool, with its thresholds.

use serde::Deserialize;

use super::file::Table;
use super::webhook::{self, WebhookConfig};
use promoflow_model::alert::{Kind, Rule};
use promoflow_model::pool::{MAX_DISCOUNT, MAX_TYPE_CHARS};

/// The largest threshold in codes, and the maximum number of codes that a check counts.
const MOST_CODES: u32 = 1_000_000;
/// The largest threshold in days.
const MOST_DAYS: u32 = 365;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default = "left")]
    kind: Kind,
    #[serde(rename = "type")]
    code_type: Option<String>,
    discount: Option<u8>,
    warning: Option<u32>,
    alarm: Option<u32>,
    within_days: Option<u32>,
    #[serde(default)]
    webhook: Names,
}

/// One name, or several.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a webhook, or a list of names"
)]
enum Names {
    One(String),
    Some(Vec<String>),
}

impl Default for Names {
    fn default() -> Names {
        Names::Some(Vec::new())
    }
}

fn left() -> Kind {
    Kind::Left
}

/// Reads a rule; `before` are the rules above it in the file, `webhooks` the ones it may name.
pub(super) fn read(
    table: Table<'_>,
    before: &[Rule],
    webhooks: &[WebhookConfig],
) -> anyhow::Result<Rule> {
    let (source, at) = (table.source, table.at.clone());
    let written: Written = table.into()?;
    rule(written, before)
        .and_then(|rule| webhook::check(&rule, webhooks).map(|()| rule))
        .map_err(|wrong| source.fault(at, wrong))
}

fn rule(written: Written, before: &[Rule]) -> Result<Rule, String> {
    let kind = written.kind;
    let (warning, alarm, most) = match kind {
        Kind::Left => (500, 50, MOST_CODES),
        Kind::RunsDry => (7, 2, MOST_DAYS),
        Kind::Expiring => (50, 500, MOST_CODES),
    };
    let rule = Rule {
        kind,
        code_type: written.code_type,
        discount: written.discount,
        warning: written.warning.unwrap_or(warning),
        alarm: written.alarm.unwrap_or(alarm),
        within_days: written.within_days.unwrap_or(7),
        webhooks: match written.webhook {
            Names::One(name) => vec![name],
            Names::Some(names) => names,
        },
    };
    let (warning, alarm) = (rule.warning, rule.alarm);
    if warning > most || alarm > most {
        return Err(format!("`warning` and `alarm` must be 0 to {most}"));
    }
    let milder = match kind {
        Kind::Left | Kind::RunsDry => warning > alarm,
        Kind::Expiring => warning < alarm && warning > 0,
    };
    if !milder {
        let expected = match kind {
            Kind::Left | Kind::RunsDry => "greater than",
            Kind::Expiring => "at least 1 and less than",
        };
        return Err(format!(
            "`warning` ({warning}) must be {expected} `alarm` ({alarm})"
        ));
    }
    if written.within_days.is_some() && kind != Kind::Expiring {
        return Err("`within-days` is only allowed for alerts of kind `expiring`".to_owned());
    }
    if !(1..=MOST_DAYS).contains(&rule.within_days) {
        return Err(format!("`within-days` must be 1 to {MOST_DAYS}"));
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
