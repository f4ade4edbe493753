//! Classifies responses of providers.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use promoflow_config::{ResponseOutcome, ResponseRule, ValueCondition, as_text};
use promoflow_model::clock::Timestamp;

/// Maximum delay that a provider may request; a longer one is assumed to be in the wrong unit.
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The body of a response.
pub(super) enum ResponseBody {
    /// JSON.
    Json(Value),
    /// A complete body that is not JSON.
    NotJson,
    /// An incomplete body, with the reason.
    Broken(&'static str),
}

/// The classification of a response.
pub(super) struct Classification {
    /// The outcome of the delivery.
    pub(super) outcome: ResponseOutcome,
    /// The error for the operator. Contains only those parts of the response that the configuration
    /// names, because providers repeat addresses and texts.
    pub(super) error: String,
    /// The delay that the response's JSON requests.
    pub(super) after: Option<Duration>,
    /// True if the provider may have accepted the message despite its status.
    pub(super) ambiguous: bool,
}

/// Classifies a response by the first matching rule, else by its status.
pub(super) fn classify(
    answers: &[ResponseRule],
    status: u16,
    body: &ResponseBody,
) -> Classification {
    let error = format!("the provider answered {status}");
    let about = |answer: &&ResponseRule| {
        let statuses = &answer.statuses;
        statuses.is_empty() || statuses.iter().any(|statuses| statuses.contains(&status))
    };
    for answer in answers.iter().filter(about) {
        let error = match (&answer.value, body) {
            (None, _) => error.clone(),
            // The body might have contained any value.
            (Some(_), ResponseBody::NotJson) => return unreadable(&error, "is not JSON"),
            (Some(_), ResponseBody::Broken(why)) => return unreadable(&error, why),
            (Some(test), ResponseBody::Json(json)) => match match_test(test, json) {
                Some(found) => format!("{error}, {found}"),
                None => continue,
            },
        };
        return Classification {
            outcome: answer.outcome,
            error,
            after: answer
                .retry_after
                .as_ref()
                .and_then(|after| requested_delay(after, body)),
            ambiguous: is_ambiguous(status),
        };
    }
    Classification {
        outcome: classify_status(status),
        error,
        after: None,
        ambiguous: is_ambiguous(status),
    }
}

/// Classifies a response whose body is needed for a rule and cannot be read.
fn unreadable(error: &str, why: &str) -> Classification {
    Classification {
        outcome: ResponseOutcome::Retryable,
        error: format!("{error}, but the response body {why}"),
        after: None,
        ambiguous: true,
    }
}

/// Returns true if the provider may have accepted the message despite this status. A failing server
/// or gateway may have forwarded the request, and 409 and 423 refer to an earlier attempt.
fn is_ambiguous(status: u16) -> bool {
    !matches!(status, 200..=499) || matches!(status, 409 | 423)
}

/// Classifies a status that no rule matches.
fn classify_status(status: u16) -> ResponseOutcome {
    match status {
        200..=299 => ResponseOutcome::Delivered,
        // Authentication, method and payment problems concern the installation, not the message.
        // Redirects are not followed.
        300..=399 | 401..=403 | 405 | 407 | 415 => ResponseOutcome::Misconfigured,
        // 409 and 423: an earlier attempt, whose response was lost, is still being processed.
        408 | 409 | 423 | 425 | 429 | 500..=599 => ResponseOutcome::Retryable,
        400..=499 => ResponseOutcome::Permanent,
        _ => ResponseOutcome::Retryable,
    }
}

/// Returns a description of the match if the response matches a test.
fn match_test(test: &ValueCondition, json: &Value) -> Option<String> {
    let pointer = &test.pointer;
    let found = json.pointer(pointer).and_then(as_text);
    let named = found.and_then(|found| test.values.iter().find(|value| **value == found));
    match (test.must_match, named) {
        (true, Some(value)) => Some(format!("{pointer} {value}")),
        (false, None) => Some(format!("{pointer} not {}", test.values.join(", "))),
        _ => None,
    }
}

/// Returns the delay that the JSON requests in seconds.
fn requested_delay(pointer: &str, body: &ResponseBody) -> Option<Duration> {
    let ResponseBody::Json(json) = body else {
        return None;
    };
    let seconds = as_text(json.pointer(pointer)?)?.parse::<f64>().ok()?;
    let pause = Duration::try_from_secs_f64(seconds).ok()?;
    Some(pause.min(MAX_DELAY))
}

/// Returns the delay of a `Retry-After` header: seconds, or a date by the provider's clock.
pub(super) fn retry_after(value: &str, date: Option<&str>, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(MAX_DELAY));
    }
    let until = httpdate::parse_http_date(value.trim()).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date.trim()).ok())
        .unwrap_or(UNIX_EPOCH + Duration::from_millis(now.0.try_into().ok()?));
    let pause = until.duration_since(now).unwrap_or_default();
    Some(pause.min(MAX_DELAY))
}
