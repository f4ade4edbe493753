//! Events: what triggers workflows.
//!
//! The shape is that of Yespo's event API: a type, whom it is about, and named parameters.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::contact::{IDENTIFYING_PARAMS, identifying};
use crate::trace::Origin;

/// The longest `eventTypeKey`, in characters.
pub const MAX_TYPE_CHARS: usize = 100;
/// The longest `keyValue`, in characters.
pub const MAX_KEY_CHARS: usize = 300;
/// The longest parameter name, in characters.
pub const MAX_PARAM_NAME_CHARS: usize = 100;
/// The longest event id, in characters.
pub const MAX_ID_CHARS: usize = 300;
/// The largest event, in bytes of JSON.
pub const MAX_EVENT_BYTES: usize = 20 * 1024;

/// Characters that no key may hold.
pub(crate) const FORBIDDEN_IN_KEYS: &[char] = &[
    '<', ';', '’', '\\', '/', '|', '"', '`', '\'', '^', '?', '!', ',', '>',
];

/// An event that may be accepted: checked, with a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Under which a repeated sending is recognised; unique in a database for ever.
    pub id: Option<String>,
    /// `eventTypeKey`.
    pub event_type: String,
    /// `keyValue`: whom the event is about.
    pub key: String,
    /// Values by name, in the order in which they came.
    pub params: Map<String, Value>,
    /// How it came, where traces are exported; no part of what it says.
    pub origin: Option<Box<Origin>>,
}

/// Why an event is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {message}")]
pub struct EventError {
    /// The field, as the JSON body names it.
    pub field: String,
    /// What was found and what is expected.
    pub message: String,
}

impl EventError {
    fn new(field: &str, message: impl Into<String>) -> EventError {
        EventError {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl Event {
    /// An event of that type about that key, without parameters. Checked when it is sent.
    pub fn new(event_type: impl Into<String>, key: impl Into<String>) -> Event {
        Event {
            id: None,
            event_type: event_type.into(),
            key: key.into(),
            params: Map::new(),
            origin: None,
        }
    }

    /// The same event under an id: sent twice, it is accepted once.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Event {
        self.id = Some(id.into());
        self
    }

    /// The same event with one more parameter.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Event {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Reads the JSON body of an event: `{"eventTypeKey": …, "keyValue": …, "params": …}`, with
    /// `params` a list of `{"name": …, "value": …}` or an object.
    pub fn from_json(text: &str) -> Result<Event, EventError> {
        if text.len() > MAX_EVENT_BYTES {
            let message = format!(
                "{} bytes; at most {MAX_EVENT_BYTES} are accepted",
                text.len()
            );
            return Err(EventError::new("event", message));
        }
        let body: Value = serde_json::from_str(text)
            .map_err(|error| EventError::new("event", format!("not JSON: {error}")))?;
        let Value::Object(mut body) = body else {
            return Err(EventError::new("event", "expected a JSON object"));
        };
        let event_type = take_text(&mut body, "eventTypeKey")?
            .ok_or_else(|| EventError::new("eventTypeKey", "missing; expected the event's type"))?;
        let key = take_text(&mut body, "keyValue")?.unwrap_or_default();
        let id = take_text(&mut body, "id")?;
        let params = match body.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(Value::Array(list)) => read_params(list)?,
            Some(_) => {
                return Err(EventError::new(
                    "params",
                    "expected a list of {name, value} or an object",
                ));
            }
        };
        if let Some(name) = body.keys().next() {
            let message = "unknown field; expected eventTypeKey, keyValue, params and id";
            return Err(EventError::new(name, message));
        }
        Event {
            id,
            event_type,
            key,
            params,
            origin: None,
        }
        .checked()
    }

    /// The event if it keeps the bounds; without a key, with the one that its parameters give.
    pub fn checked(mut self) -> Result<Event, EventError> {
        check_key("eventTypeKey", &self.event_type, MAX_TYPE_CHARS)?;
        if self.key.is_empty() {
            self.key = self.key_from_params()?;
        }
        check_key("keyValue", &self.key, MAX_KEY_CHARS)?;
        if let Some(id) = &self.id {
            check_text("id", id, MAX_ID_CHARS)?;
        }
        for name in self.params.keys() {
            check_text("params", name, MAX_PARAM_NAME_CHARS)?;
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
        Ok(self)
    }

    fn key_from_params(&self) -> Result<String, EventError> {
        identifying(&self.params)
            .next()
            .map(|(_, text)| text)
            .ok_or_else(|| {
                let names = IDENTIFYING_PARAMS.join(", ");
                let message =
                    format!("missing, and no parameter tells the contact; expected one of {names}");
                EventError::new("keyValue", message)
            })
    }

    /// The text under which two sendings of one id are compared. Not the order of parameters.
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

fn take_text(body: &mut Map<String, Value>, field: &str) -> Result<Option<String>, EventError> {
    match body.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(EventError::new(field, "expected a text")),
    }
}

fn read_params(list: Vec<Value>) -> Result<Map<String, Value>, EventError> {
    let mut params = Map::new();
    for (index, item) in list.into_iter().enumerate() {
        let field = format!("params[{index}]");
        let Value::Object(mut item) = item else {
            return Err(EventError::new(
                &field,
                "expected an object with name and value",
            ));
        };
        let name = take_text(&mut item, "name")
            .ok()
            .flatten()
            .ok_or_else(|| EventError::new(&field, "expected a name, as text"))?;
        let value = item.remove("value").unwrap_or(Value::Null);
        if params.insert(name.clone(), value).is_some() {
            let message = format!("`{name}` stands twice; parameter names are unique");
            return Err(EventError::new(&field, message));
        }
    }
    Ok(params)
}

fn check_text(field: &str, text: &str, max: usize) -> Result<(), EventError> {
    if text.trim().is_empty() {
        return Err(EventError::new(field, "empty; expected a text"));
    }
    let chars = text.chars().count();
    if chars > max {
        return Err(EventError::new(
            field,
            format!("{chars} characters; at most {max} are accepted"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(EventError::new(field, "holds a control character"));
    }
    Ok(())
}

fn check_key(field: &str, text: &str, max: usize) -> Result<(), EventError> {
    check_text(field, text, max)?;
    match text.chars().find(|c| FORBIDDEN_IN_KEYS.contains(c)) {
        Some(c) => Err(EventError::new(
            field,
            format!("holds `{c}`, which no key may hold"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_come_as_a_list_or_as_an_object() {
        let list = r#"{"eventTypeKey":"birthday","keyValue":"ann@example.com","params":[{"name":"a","value":"1"}]}"#;
        let object =
            r#"{"eventTypeKey":"birthday","keyValue":"ann@example.com","params":{"a":"1"}}"#;
        assert_eq!(
            Event::from_json(list).unwrap(),
            Event::from_json(object).unwrap()
        );
    }

    #[test]
    fn without_a_key_the_parameters_tell_whom_it_is_about() {
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
    fn what_keeps_no_bounds_is_refused_with_its_field() {
        for (body, field) in [
            (json!({}), "eventTypeKey"),
            (
                json!({"eventTypeKey": "a<b", "keyValue": "k"}),
                "eventTypeKey",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k".repeat(301)}),
                "keyValue",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "params": 7}),
                "params",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "params": [{"name": "x"}, {"name": "x"}]}),
                "params[1]",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "prams": []}),
                "prams",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "id": ""}),
                "id",
            ),
        ] {
            assert_eq!(
                Event::from_json(&body.to_string()).unwrap_err().field,
                field,
                "{body}"
            );
        }
        assert!(Event::from_json("[").is_err());
    }
}
