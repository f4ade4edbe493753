//! Classifies responses of providers.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use promoflow_config::{Answer, Means, ValueTest, as_text};
use promoflow_model::clock::Timestamp;

/// Maximum delay that a provider may request; a longer one is assumed to be in the wrong unit.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

/// The body of a response.
pub(super) enum Heard {
    /// JSON.
    Json(Value),
    /// A complete body that is not JSON.
    NoJson,
    /// An incomplete body, with the reason.
    Broken(&'static str),
}

/// The classification of a response.
pub(super) struct Judgement {
    /// The outcome of the delivery.
    pub(super) means: Means,
    /// The error for the operator. Contains only those parts of the response that the configuration
    /// names, because providers repeat addresses and texts.
    pub(super) error: String,
    /// The delay that the response's JSON requests.
    pub(super) after: Option<Duration>,
    /// True if the provider may have accepted the message despite its status.
    pub(super) unclear: bool,
}

/// Classifies a response by the first matching rule, else by its status.
pub(super) fn judge(answers: &[Answer], status: u16, heard: &Heard) -> Judgement {
    let error = format!("the provider answered {status}");
    let about = |answer: &&Answer| {
        let statuses = &answer.statuses;
        statuses.is_empty() || statuses.iter().any(|statuses| statuses.contains(&status))
    };
    for answer in answers.iter().filter(about) {
        let error = match (&answer.value, heard) {
            (None, _) => error.clone(),
            // The body might have contained any value.
            (Some(_), Heard::NoJson) => return unread(&error, "is not JSON"),
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

/// Classifies a response whose body is needed for a rule and cannot be read.
fn unread(error: &str, why: &str) -> Judgement {
    Judgement {
        means: Means::Later,
        error: format!("{error}, but the response body {why}"),
        after: None,
        unclear: true,
    }
}

/// Returns true if the provider may have accepted the message despite this status. A failing server
/// or gateway may have forwarded the request, and 409 and 423 refer to an earlier attempt.
fn is_unclear(status: u16) -> bool {
    !matches!(status, 200..=499) || matches!(status, 409 | 423)
}

/// Classifies a status that no rule matches.
fn by_status(status: u16) -> Means {
    match status {
        200..=299 => Means::Delivered,
        // Authentication, method and payment problems concern the installation, not the message.
        // Redirects are not followed.
        300..=399 | 401..=403 | 405 | 407 | 415 => Means::Misconfigured,
        // 409 and 423: an earlier attempt, whose response was lost, is still being processed.
        408 | 409 | 423 | 425 | 429 | 500..=599 => Means::Later,
        400..=499 => Means::Refused,
        _ => Means::Later,
    }
}

/// Returns a description of the match if the response matches a test.
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

/// Returns the delay that the JSON requests in seconds.
fn pause(pointer: &str, heard: &Heard) -> Option<Duration> {
    let Heard::Json(json) = heard else {
        return None;
    };
    let seconds = as_text(json.pointer(pointer)?)?.parse::<f64>().ok()?;
    let pause = Duration::try_from_secs_f64(seconds).ok()?;
    Some(pause.min(LONGEST_PAUSE))
}

/// Returns the delay of a `Retry-After` header: seconds, or a date by the provider's clock.
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
