//! What an answer means.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use promoflow_config::{Answer, Means, ValueTest, as_text};
use promoflow_model::clock::Timestamp;

/// The longest pause that a provider may ask for; it may have mistaken the unit.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The body of an answer.
pub(super) enum Heard {
    /// JSON.
    Json(Value),
    /// Something else, whole.
    NoJson,
    /// Not all of it, and what is wrong with it.
    Broken(&'static str),
}

/// What came of a request.
pub(super) struct Judgement {
    /// What it means for the delivery.
    pub(super) means: Means,
    /// What happened, for the operator. Holds nothing of the answer but what the configuration
    /// names itself: providers repeat addresses and texts.
    pub(super) error: String,
    /// How long the answer's JSON asks to wait.
    pub(super) after: Option<Duration>,
    /// Whether the provider may have taken the letter, whatever it answers.
    pub(super) unclear: bool,
}

/// Judges by the first of the answers that fits, and else by the status.
pub(super) fn judge(answers: &[Answer], status: u16, heard: &Heard) -> Judgement {
    let error = format!("the provider answered {status}");
    let about = |answer: &&Answer| {
        let statuses = &answer.statuses;
        statuses.is_empty() || statuses.iter().any(|statuses| statuses.contains(&status))
    };
    for answer in answers.iter().filter(about) {
        let error = match (&answer.value, heard) {
            (None, _) => error.clone(),
            // What was to be read there may have been anything.
            (Some(_), Heard::NoJson) => return unread(&error, "is no JSON"),
            (Some(_), Heard::Broken(why)) => return unread(&error, why),
            (Some(test), Heard::Json(json)) => match fits(test, json) {
                Some(found) => format!("{error}, {found}"),
                None => continue,
            },
        };
        return Judgement {
            means: answer.means,
            error,
            after: answer.after.as_ref().and_then(|after| pause(after, heard)),
            unclear: is_unclear(status),
        };
    }
    Judgement {
        means: by_status(status),
        error,
        after: None,
        unclear: is_unclear(status),
    }
}

/// What an answer means whose value decides and cannot be read.
fn unread(error: &str, why: &str) -> Judgement {
    Judgement {
        means: Means::Later,
        error: format!("{error}, and its answer {why}"),
        after: None,
        unclear: true,
    }
}

/// Whether a letter may have been taken for which that status came, and not a good one: a server or
/// gateway that fails may have passed it on before, and 409 and 423 tell of an earlier attempt.
fn is_unclear(status: u16) -> bool {
    !matches!(status, 200..=499) || matches!(status, 409 | 423)
}

/// What statuses mean where nothing else is said.
fn by_status(status: u16) -> Means {
    match status {
        200..=299 => Means::Delivered,
        // Who asks, how, and with which money: none of the letter's business. Redirects are not
        // followed.
        300..=399 | 401..=403 | 405 | 407 | 415 => Means::Misconfigured,
        // 409 and 423: the same request is under way, of an attempt whose answer was lost.
        408 | 409 | 423 | 425 | 429 | 500..=599 => Means::Later,
        400..=499 => Means::Refused,
        _ => Means::Later,
    }
}

/// How an answer fits a test, if it does.
fn fits(test: &ValueTest, json: &Value) -> Option<String> {
    let pointer = &test.pointer;
    let found = json.pointer(pointer).and_then(as_text);
    let named = found.and_then(|found| test.values.iter().find(|value| **value == found));
    match (test.one_of, named) {
        (true, Some(value)) => Some(format!("{pointer} {value}")),
        (false, None) => Some(format!("{pointer} not {}", test.values.join(", "))),
        _ => None,
    }
}

/// The pause that stands in an answer, in seconds.
fn pause(pointer: &str, heard: &Heard) -> Option<Duration> {
    let Heard::Json(json) = heard else {
        return None;
    };
    let seconds = as_text(json.pointer(pointer)?)?.parse::<f64>().ok()?;
    let pause = Duration::try_from_secs_f64(seconds).ok()?;
    Some(pause.min(LONGEST_PAUSE))
}

/// The pause that a `Retry-After` asks for: seconds, or a moment by the provider's clock.
pub(super) fn retry_after(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_PAUSE));
    }
    let until = httpdate::parse_http_date(value.trim()).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or(UNIX_EPOCH + Duration::from_millis(now.0.try_into().ok()?));
    let pause = until.duration_since(now).unwrap_or_default();
    Some(pause.min(LONGEST_PAUSE))
}
