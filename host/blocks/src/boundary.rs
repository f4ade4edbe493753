//! The boundary of the sandbox: limits and sanitises everything that a block returns.
//!
//! Blocks are untrusted. Their output is shown on terminals, stored with the run, and parsed again
//! later. So texts are short and without control characters, numbers are valid in JSON, and times
//! are valid dates.

use super::bindings::exports::promoflow::workflow::block as wit;
use super::bindings::promoflow::workflow::{log, types};
use super::capability::promocodes::read_selector;
use super::types::{Outcome, StepError};
use promoflow_document::MAX_VALUE_DEPTH;
use promoflow_document::sanitize_line;
use promoflow_model::block::Value;
use promoflow_model::clock::Timestamp;

/// Maximum length of an error text, in characters.
pub(super) const MAX_ERROR_CHARS: usize = 2_000;
/// Maximum length of a name, such as a port's, in characters.
pub(super) const MAX_NAME_CHARS: usize = 64;
/// Maximum length of the name of a request that a step waits for, in characters.
const MAX_REQUEST_CHARS: usize = 200;
/// Maximum length of a panic message, in characters.
const MAX_PANIC_CHARS: usize = 500;
/// Maximum length of a panic's source location, in characters.
const MAX_PLACE_CHARS: usize = 200;
/// The last millisecond of the year 9999; later dates have no common text format.
const LAST_MOMENT: i64 = 253_402_300_799_999;

/// Returns at most `max` characters on one line, without control characters.
pub(super) fn sanitize(text: &str, max: usize) -> String {
    let end = text.char_indices().nth(max).map(|(end, _)| end);
    let mut cleaned = sanitize_line(&text[..end.unwrap_or(text.len())]);
    if end.is_some() {
        cleaned.push('…');
    }
    cleaned
}

/// Returns a text that the host interprets, or an error if it is too long.
pub(super) fn check_length(what: &str, text: String, max: usize) -> Result<String, String> {
    let found = text.chars().count();
    match found <= max {
        true => Ok(text),
        false => Err(format!(
            "{what}: expected at most {max} characters, found {found}"
        )),
    }
}

/// Returns the nearest time within the years 1970 to 9999.
pub(super) fn clamp_time(millis: i64) -> Timestamp {
    Timestamp(millis.clamp(0, LAST_MOMENT))
}

/// Converts a value; rejects one that could not be read back from the store.
pub(super) fn read_value(value: types::Value) -> Result<Value, String> {
    Ok(match value {
        types::Value::Text(text) => Value::Text(text),
        types::Value::Integer(number) => Value::Integer(number),
        types::Value::Decimal(number) if number.is_finite() => Value::Decimal(number),
        types::Value::Decimal(number) => {
            return Err(format!("a number must be finite, found {number}"));
        }
        types::Value::Boolean(flag) => Value::Boolean(flag),
        types::Value::Json(text) => {
            // Check the depth before parsing: the parser is recursive.
            if depth(&text) > MAX_VALUE_DEPTH {
                return Err(format!(
                    "a value has at most {MAX_VALUE_DEPTH} levels of lists and objects"
                ));
            }
            serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .map_err(|error| format!("not JSON: {error}"))?;
            Value::Json(text)
        }
    })
}

/// Returns the nesting depth of a JSON text. For invalid JSON, it is at least as deep as a parser
/// would go.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Converts the outcome of a step.
pub(super) fn read_outcome(outcome: wit::Outcome) -> Result<Outcome, StepError> {
    Ok(match outcome {
        // A longer name cannot be a port of the block.
        wit::Outcome::Port(port) => Outcome::Port(sanitize(&port, MAX_NAME_CHARS)),
        wit::Outcome::WaitUntil(timer) => Outcome::WaitUntil {
            until: clamp_time(timer.until),
            port: sanitize(&timer.port, MAX_NAME_CHARS),
        },
        wit::Outcome::WaitForCode(wait) => Outcome::WaitForCode {
            selector: read_selector(&wait.selector).map_err(StepError::Invalid)?,
            give_up: wait.give_up.map(clamp_time),
        },
        wit::Outcome::WaitForReply(wait) => Outcome::WaitForReply {
            request: read_request(wait.request).map_err(StepError::Invalid)?,
            give_up: wait.give_up.map(clamp_time),
        },
    })
}

/// Checks the name of a request, which the reply must repeat.
fn read_request(name: String) -> Result<String, String> {
    let name = check_length(
        "the request that the step waits for",
        name,
        MAX_REQUEST_CHARS,
    )?;
    match name.is_empty() || sanitize_line(&name) != name {
        true => Err(format!(
            "the request that the step waits for: expected 1 to {MAX_REQUEST_CHARS} printable \
             characters, found `{}`",
            sanitize(&name, MAX_REQUEST_CHARS)
        )),
        false => Ok(name),
    }
}

/// The start of the log entry that a block writes when it panics; the location follows.
const PANICKED: &str = "panicked at ";

/// Parses the log entry of a panic, `panicked at src/lib.rs:31:5:` and the message on the next
/// line. Returns a sentence for the run's history.
pub(super) fn read_panic(level: log::Level, note: &str) -> Option<String> {
    let panic = match level {
        log::Level::Error => note.strip_prefix(PANICKED)?,
        _ => return None,
    };
    let (place, message) = panic.split_once(":\n").unwrap_or((panic, ""));
    let place = sanitize(place, MAX_PLACE_CHARS);
    Some(match message {
        "" => format!("it panicked at {place}"),
        message => format!(
            "it panicked: \"{}\" ({place})",
            sanitize(message, MAX_PANIC_CHARS)
        ),
    })
}

/// Converts the error of a step.
pub(super) fn read_error(error: wit::BlockError) -> StepError {
    let sanitize = |text: String| sanitize(&text, MAX_ERROR_CHARS);
    match error {
        wit::BlockError::Invalid(text) => StepError::Invalid(sanitize(text)),
        wit::BlockError::Rejected(text) => StepError::Rejected(sanitize(text)),
        wit::BlockError::Unavailable(text) => StepError::Unavailable(sanitize(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_stripped_of_control_characters() {
        assert_eq!(
            sanitize("a\u{1b}[2J\u{9b}1mb\u{202e}c\r\nd", 100)
                .chars()
                .filter(|c| c.is_control())
                .count(),
            0
        );
        let long = "é".repeat(900_000);
        assert_eq!(sanitize(&long, 64).chars().count(), 65);
        assert_eq!(sanitize("port", 4), "port");
        assert!(
            check_length("name", long, 64)
                .unwrap_err()
                .contains("found 900000")
        );
    }

    #[test]
    fn times_are_limited_to_valid_dates() {
        assert_eq!(clamp_time(i64::MIN), Timestamp(0));
        assert_eq!(clamp_time(1_800_000_000_000), Timestamp(1_800_000_000_000));
        let last = clamp_time(i64::MAX).to_utc().unwrap();
        assert_eq!(last.format("%Y-%m-%d").to_string(), "9999-12-31");
    }

    #[test]
    fn rejects_values_that_cannot_be_read_back() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let json = |text: String| read_value(types::Value::Json(text));
        assert!(json(nested(MAX_VALUE_DEPTH)).is_ok());
        assert!(json(nested(MAX_VALUE_DEPTH + 1)).is_err());
        assert!(json("[".repeat(900_000)).is_err());
        assert!(json(r#"{"a":"[[\"[["}"#.into()).is_ok());
        assert!(json("{".into()).is_err());
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(read_value(types::Value::Decimal(number)).is_err());
        }
    }

    #[test]
    fn panics_include_message_and_location() {
        let read = |note: &str| read_panic(log::Level::Error, note);
        assert_eq!(
            read("panicked at src/lib.rs:31:5:\nI am broken: 42").as_deref(),
            Some("it panicked: \"I am broken: 42\" (src/lib.rs:31:5)")
        );
        assert_eq!(
            read("panicked at src/lib.rs:31:5").as_deref(),
            Some("it panicked at src/lib.rs:31:5")
        );
        assert_eq!(read("it panicked"), None);
        assert_eq!(read_panic(log::Level::Info, "panicked at a:\nb"), None);
        let hostile = format!("panicked at {0}:\n{0}", "\u{1b}[2J".repeat(100_000));
        let read = read(&hostile).unwrap();
        assert!(read.chars().count() < 800 && !read.chars().any(char::is_control));
    }

    #[test]
    fn request_names_are_short_and_printable() {
        let wait = |request: String| {
            read_outcome(wit::Outcome::WaitForReply(wit::ReplyWait {
                request,
                give_up: Some(i64::MIN),
            }))
        };
        assert_eq!(
            wait("question".into()),
            Ok(Outcome::WaitForReply {
                request: "question".into(),
                give_up: Some(Timestamp(0)),
            })
        );
        for bad in [String::new(), "x".repeat(900_000), "a\u{1b}b".into()] {
            let Err(StepError::Invalid(error)) = wait(bad) else {
                panic!("the request is accepted")
            };
            assert!(error.chars().count() < 500, "{error}");
        }
        let Ok(Outcome::Port(port)) = read_outcome(wit::Outcome::Port("p".repeat(900_000))) else {
            panic!("a port is an outcome")
        };
        assert_eq!(port.chars().count(), MAX_NAME_CHARS + 1);
    }
}
