//! Events, which trigger workflows.
//!
//! The shape is that of Yespo's event API: a type, a key, and named parameters. `body` parses it.

mod body;

use std::ops::Deref;

use serde_json::{Map, Value};
use thiserror::Error;

pub use body::params_from_object;

use crate::contact::{
    IDENTIFYING_PARAMS, identifies_contact, identifying, is_placeholder, is_same_param,
};
use crate::trace_context::Origin;
use promoflow_document::value::check_value;
use promoflow_tabular::{INEXACT, shorten};

/// Maximum length of `eventTypeKey`, in characters.
pub const MAX_TYPE_CHARS: usize = 100;
/// Maximum length of `keyValue`, in characters.
pub const MAX_KEY_CHARS: usize = 300;
/// Maximum length of a parameter name, in characters.
pub const MAX_PARAM_NAME_CHARS: usize = 100;
/// Maximum length of an event id, in characters.
pub const MAX_ID_CHARS: usize = 300;
/// Maximum size of an event, in bytes of JSON.
pub const MAX_EVENT_BYTES: usize = 20 * 1024;

/// Characters that are not allowed in keys.
pub const FORBIDDEN_IN_KEYS: &[char] = &[
    '<', ';', '’', '\\', '/', '|', '"', '`', '\'', '^', '?', '!', ',', '>',
];

/// An event as it was sent. [`checked`](Event::checked) makes a [`CheckedEvent`] of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The id by which repeated submissions are recognised; unique in a database, for ever.
    pub id: Option<String>,
    /// `eventTypeKey`.
    pub event_type: String,
    /// `keyValue`: identifies whom the event is about.
    pub key: String,
    /// The parameters by name, in their original order.
    pub params: Map<String, Value>,
    /// Metadata for exported traces; not part of the event's content.
    pub origin: Option<Box<Origin>>,
}

/// A valid event with a key. The engine accepts no other, so an event is checked once, where it
/// enters the program.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedEvent(Event);

impl CheckedEvent {
    /// Returns the event with metadata for exported traces, which need no check.
    #[must_use]
    pub fn with_origin(mut self, origin: Option<Box<Origin>>) -> CheckedEvent {
        self.0.origin = origin;
        self
    }

    /// Returns the event, which can be changed and must then be checked again.
    pub fn into_inner(self) -> Event {
        self.0
    }
}

impl Deref for CheckedEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.0
    }
}

impl TryFrom<Event> for CheckedEvent {
    type Error = EventError;

    fn try_from(event: Event) -> Result<CheckedEvent, EventError> {
        event.checked()
    }
}

/// The reason why an event is rejected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct EventError {
    /// The field as named in the JSON body.
    pub field: String,
    /// The value found and the expected one.
    pub message: String,
}

impl EventError {
    /// Creates the error of a field.
    pub fn new(field: &str, message: impl Into<String>) -> EventError {
        EventError {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl Event {
    /// Creates an event without parameters.
    pub fn new(event_type: impl Into<String>, key: impl Into<String>) -> Event {
        Event {
            id: None,
            event_type: event_type.into(),
            key: key.into(),
            params: Map::new(),
            origin: None,
        }
    }

    /// Returns the event with an id: if sent twice, it is accepted once.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Event {
        self.id = Some(id.into());
        self
    }

    /// Returns the event with another parameter.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Event {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Checks the event. If it has no key, the key is taken from its parameters.
    pub fn checked(mut self) -> Result<CheckedEvent, EventError> {
        check_key("eventTypeKey", &self.event_type, MAX_TYPE_CHARS)?;
        for (index, (name, value)) in self.params.iter().enumerate() {
            check_param(name, value)
                .map_err(|message| EventError::new(&format!("params[{index}]"), message))?;
        }
        if is_placeholder(&self.key) {
            let identified = identifying(&self.params).next();
            let (param, text) = identified.ok_or_else(|| missing_key_error(&self.key))?;
            check_text(&self.param_location(param), &text, MAX_KEY_CHARS)?;
            self.key = text;
        } else if let Err(error) = check_key_value(&self.key) {
            check_text("keyValue", &self.key, MAX_KEY_CHARS)?;
            // An address may contain characters that are not allowed in other keys.
            let identified = identifying(&self.params).next();
            if identified.is_none_or(|(_, text)| text != self.key) {
                return Err(error);
            }
        }
        if let Some(id) = &self.id {
            check_text("id", id, MAX_ID_CHARS)?;
        }
        let size: usize = self
            .params
            .iter()
            .map(|(name, value)| name.len() + size_of(value))
            .sum();
        if size > MAX_EVENT_BYTES {
            let message = format!("{size} bytes; at most {MAX_EVENT_BYTES} are accepted");
            return Err(EventError::new("params", message));
        }
        Ok(CheckedEvent(self))
    }

    /// Returns the location of an identifying parameter.
    fn param_location(&self, param: &str) -> String {
        let mut names = self.params.keys();
        match names.position(|name| is_same_param(name, param)) {
            Some(index) => format!("params[{index}]"),
            None => "params".to_owned(),
        }
    }

    /// Returns the text by which two submissions with one id are compared. The order of parameters
    /// does not matter.
    pub fn fingerprint(&self) -> String {
        let mut params: Vec<(&String, &Value)> = self.params.iter().collect();
        params.sort_by_key(|(name, _)| *name);
        let mut text = format!("{}\n{}\n", self.event_type, self.key);
        for (name, value) in params {
            text.push_str(&format!("{name}={value}\n"));
        }
        text
    }
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}

fn missing_key_error(key: &str) -> EventError {
    let names = IDENTIFYING_PARAMS.join(", ");
    let found = match key.trim() {
        "" => "missing".to_owned(),
        placeholder => format!("`{}` identifies no contact", shorten(placeholder)),
    };
    let message =
        format!("{found}, and no parameter identifies the contact; expected one of {names}");
    EventError::new("keyValue", message)
}

fn check_param(name: &str, value: &Value) -> Result<(), String> {
    check_chars(name, MAX_PARAM_NAME_CHARS).map_err(|message| format!("name: {message}"))?;
    check_value(value).map_err(|message| format!("`{}`: {message}", shorten(name)))?;
    let inexact = matches!(value, Value::Number(number) if number.is_f64());
    match inexact && identifies_contact(name) {
        true => Err(format!("`{name}` is {INEXACT}")),
        false => Ok(()),
    }
}

fn check_text(field: &str, text: &str, max: usize) -> Result<(), EventError> {
    check_chars(text, max).map_err(|message| EventError::new(field, message))
}

fn check_chars(text: &str, max: usize) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("empty; expected a text".to_owned());
    }
    let chars = text.chars().count();
    if chars > max {
        return Err(format!("{chars} characters; at most {max} are accepted"));
    }
    if text.chars().any(char::is_control) {
        return Err("contains a control character".to_owned());
    }
    Ok(())
}

/// Validates a `keyValue`.
pub fn check_key_value(text: &str) -> Result<(), EventError> {
    check_key("keyValue", text, MAX_KEY_CHARS)
}

fn check_key(field: &str, text: &str, max: usize) -> Result<(), EventError> {
    check_text(field, text, max)?;
    match text.chars().find(|c| FORBIDDEN_IN_KEYS.contains(c)) {
        Some(c) => Err(EventError::new(
            field,
            format!("contains `{c}`, which is not allowed in keys"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn takes_a_missing_key_from_the_parameters() {
        let event = Event::new("birthday", "")
            .with_param("Phone", "+380501234567")
            .with_param("EmailAddress", "ann@example.com")
            .checked()
            .unwrap();
        assert_eq!(event.key, "ann@example.com");
        let error = Event::new("birthday", "")
            .with_param("x", "y")
            .checked()
            .unwrap_err();
        assert_eq!(error.field, "keyValue");
    }

    #[test]
    fn ignores_placeholder_keys() {
        for key in ["null", "NULL", " ", "undefined", "\"null\"", "None"] {
            let event = Event::new("birthday", key).with_param("externalCustomerId", "null");
            let error = event.clone().checked().unwrap_err();
            assert_eq!(error.field, "keyValue", "{key:?}");
            let identified = event
                .with_param("Email", "ann@example.com")
                .checked()
                .unwrap();
            assert_eq!(identified.key, "ann@example.com", "{key:?}");
        }
        let error = Event::new("birthday", "null").checked().unwrap_err();
        assert!(
            error.message.starts_with("`null` identifies no contact"),
            "{error}"
        );
    }

    #[test]
    fn allows_more_characters_in_keys_from_addresses() {
        let event = || Event::new("birthday", "").with_param("EmailAddress", "o'b@example.com");
        let checked = event().checked().unwrap();
        assert_eq!(checked.key, "o'b@example.com");
        assert_eq!(checked.clone().into_inner().checked().unwrap(), checked);
        let mut chosen = event();
        chosen.key = "o'brien".to_owned();
        assert_eq!(chosen.checked().unwrap_err().field, "keyValue");
        let long = event().with_param("ContactId", "7".repeat(MAX_KEY_CHARS + 1));
        assert_eq!(long.checked().unwrap_err().field, "params[1]");
    }

    #[test]
    fn errors_name_parameters_by_index() {
        let event = Event::new("birthday", "ann").with_param("a", 1);
        let wrong = |name: &str, value: Value| {
            let event = event.clone().with_param(name, value);
            event.checked().unwrap_err()
        };
        assert_eq!(wrong("", json!("x")).field, "params[1]");
        assert_eq!(wrong("a\nb", json!("x")).field, "params[1]");
        // As a float it would be a different number, and so a different customer.
        assert_eq!(wrong("externalcustomerid", json!(1e20)).field, "params[1]");
        assert!(event.clone().with_param("price", 9.5).checked().is_ok());
        let deep = (0..70).fold(json!(1), |value, _| json!([value]));
        assert_eq!(wrong("deep", deep).field, "params[1]");
        let error = wrong("nul", json!({ "a": ["b\0"] }));
        assert_eq!(error.field, "params[1]");
        assert!(error.message.contains("U+0000"), "{error}");
        let fits = (0..64).fold(json!(1), |value, _| json!([value]));
        assert!(event.with_param("deep", fits).checked().is_ok());
    }
}
