//! The JSON body of an event.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::{CheckedEvent, Event, EventError, MAX_EVENT_BYTES, check_key_value};
use crate::contact::is_placeholder;
use promoflow_tabular::{INEXACT, Value, is_inexact, shorten};

impl Event {
    /// Parses and checks the JSON body of an event.
    pub fn from_json(text: &str) -> Result<CheckedEvent, EventError> {
        Event::parse(text)?.checked()
    }

    /// Parses the JSON body of an event without checking its values:
    /// `{"eventTypeKey": …, "keyValue": …, "params": …}`, where `params` is a list of
    /// `{"name": …, "value": …}` or an object.
    pub fn parse(text: &str) -> Result<Event, EventError> {
        if text.len() > MAX_EVENT_BYTES {
            let message = format!(
                "{} bytes; at most {MAX_EVENT_BYTES} are accepted",
                text.len()
            );
            return Err(EventError::new("event", message));
        }
        let body: Value<'_> = serde_json::from_str(text)
            .map_err(|error| EventError::new("event", format!("not JSON: {error}")))?;
        let Value::Object(members) = body else {
            return Err(EventError::new("event", "expected a JSON object"));
        };
        let [event_type, key, id, params] = take_members(
            "",
            members,
            ["eventTypeKey", "keyValue", "id", "params"],
            "unknown field; expected eventTypeKey, keyValue, params and id",
        )?;
        let event_type = parse_text("eventTypeKey", event_type)?
            .ok_or_else(|| EventError::new("eventTypeKey", "missing; expected the event's type"))?;
        let key = parse_text("keyValue", key)?.unwrap_or_default();
        if !is_placeholder(&key) {
            check_key_value(&key)?;
        }
        let id = parse_text("id", id)?;
        let params = match params {
            Value::Null => Map::new(),
            Value::Object(members) => params_from_object("params", members)?,
            Value::List(list) => params_from_list(list)?,
            Value::Text(_) | Value::Word(_) => {
                return Err(EventError::new(
                    "params",
                    "expected a list of {name, value} or an object",
                ));
            }
        };
        Ok(Event {
            id,
            event_type,
            key,
            params,
            origin: None,
        })
    }
}

/// Returns the members of an object with these names, null for missing ones. Unknown and repeated
/// names are rejected: with a repeated name, another reader might see another event.
fn take_members<'a, const N: usize>(
    place: &str,
    members: Vec<(Cow<'a, str>, Value<'a>)>,
    names: [&str; N],
    unknown: &str,
) -> Result<[Value<'a>; N], EventError> {
    let mut found: [Option<Value<'a>>; N] = [const { None }; N];
    for (name, value) in members {
        let field = || match place {
            "" => shorten(&name),
            place => format!("{place}.{}", shorten(&name)),
        };
        let Some(at) = names.iter().position(|known| *known == name) else {
            return Err(EventError::new(&field(), unknown));
        };
        if found[at].replace(value).is_some() {
            return Err(EventError::new(&field(), "appears twice; keep one of them"));
        }
    }
    Ok(found.map(|value| value.unwrap_or(Value::Null)))
}

fn parse_text(field: &str, value: Value<'_>) -> Result<Option<String>, EventError> {
    match value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text.into_owned())),
        Value::Word(word) if is_inexact(&word) => {
            Err(EventError::new(field, format!("it is {INEXACT}")))
        }
        Value::Word(word) if word != "true" && word != "false" => Ok(Some(word)),
        Value::Word(_) | Value::List(_) | Value::Object(_) => {
            Err(EventError::new(field, "expected a text"))
        }
    }
}

fn params_from_list(list: Vec<Value<'_>>) -> Result<Map<String, Json>, EventError> {
    let mut params = Map::with_capacity(list.len());
    for (index, item) in list.into_iter().enumerate() {
        let field = format!("params[{index}]");
        let Value::Object(members) = item else {
            return Err(EventError::new(
                &field,
                "expected an object with name and value",
            ));
        };
        let unknown = "unknown field; expected name and value";
        let [name, value] = take_members(&field, members, ["name", "value"], unknown)?;
        let name = parse_text(&field, name)
            .ok()
            .flatten()
            .ok_or_else(|| EventError::new(&field, "expected a name (a text)"))?;
        insert_param(&mut params, &field, name, &value)?;
    }
    Ok(params)
}

/// Reads parameters from the members of the object `field`.
pub fn params_from_object(
    field: &str,
    members: Vec<(Cow<'_, str>, Value<'_>)>,
) -> Result<Map<String, Json>, EventError> {
    let mut params = Map::with_capacity(members.len());
    for (name, value) in members {
        insert_param(&mut params, field, name.into_owned(), &value)?;
    }
    Ok(params)
}

fn insert_param(
    params: &mut Map<String, Json>,
    field: &str,
    name: String,
    value: &Value<'_>,
) -> Result<(), EventError> {
    if params.contains_key(&name) {
        let short = shorten(&name);
        let message = format!("`{short}` appears twice; parameter names are unique");
        return Err(EventError::new(field, message));
    }
    params.insert(name, value.to_json());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_parameters_as_a_list_or_an_object() {
        let list = r#"{"eventTypeKey":"birthday","keyValue":"ann@example.com","params":[{"name":"a","value":"1"}]}"#;
        let object =
            r#"{"eventTypeKey":"birthday","keyValue":"ann@example.com","params":{"a":"1"}}"#;
        assert_eq!(
            Event::from_json(list).unwrap(),
            Event::from_json(object).unwrap()
        );
    }

    #[test]
    fn rejects_invalid_fields_by_name() {
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
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "id": 1.5}),
                "id",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "o'brien", "params": {"Email": "o'brien"}}),
                "keyValue",
            ),
            (
                json!({"eventTypeKey": "a", "keyValue": "k", "params": [{"name": "x", "z": 1}]}),
                "params[0].z",
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

    #[test]
    fn rejects_repeated_names() {
        for (body, field) in [
            (
                r#"{"id": "1", "eventTypeKey": "a", "keyValue": "k", "id": "2"}"#,
                "id",
            ),
            (
                r#"{"eventTypeKey": "a", "keyValue": "k", "params": {"a": 1, "a": 2}}"#,
                "params",
            ),
            (
                r#"{"eventTypeKey": "a", "keyValue": "k", "params": [{"name": "a", "name": "b"}]}"#,
                "params[0].name",
            ),
        ] {
            assert_eq!(Event::from_json(body).unwrap_err().field, field, "{body}");
        }
    }

    #[test]
    fn reads_numbers_as_text_if_no_digit_is_lost() {
        let body = |id: &str| format!(r#"{{"eventTypeKey": "a", "keyValue": {id}, "id": {id}}}"#);
        let event = Event::from_json(&body("18446744073709551615")).unwrap();
        assert_eq!(event.id.as_deref(), Some("18446744073709551615"));
        assert_eq!(event.key, "18446744073709551615");
        // Rounded, the first two would be the same number.
        for id in ["89014103211118510720", "89014103211118510999", "1.0"] {
            let error = Event::from_json(&body(id)).unwrap_err();
            assert!(error.message.ends_with("write it in quotes"), "{error}");
            assert!(Event::from_json(&body(&format!("\"{id}\""))).is_ok());
        }
    }
}
