//! CloudEvents 1.0 over HTTP (binary, structured and batched mode), so that other platforms can
//! trigger workflows.
//!
//! `type` is the `eventTypeKey`, `subject` the `keyValue`, and the members of `data` are the
//! parameters. `source` and `id` together form the event's id. If the `subject` is not a valid key,
//! a parameter identifies the contact.

mod header;

use std::collections::HashMap;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use sha2::{Digest, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::auth::Caller;
use super::events::invalid_event;
use super::problem::{Kind, Problem};
use super::request::{media_type, parse_json, read_body};
use promoflow_api_model::{Accepted, CloudEvent};
use promoflow_model::contact::identifying;
use promoflow_model::event::{
    CheckedEvent, Event, EventError, MAX_EVENT_BYTES, MAX_ID_CHARS, check_key_value,
    params_from_object,
};
use promoflow_tabular::Value;

/// Path of the endpoint.
pub(super) const PATH: &str = "/api/v1/cloudevents";
/// Headers with the attributes in binary mode.
pub(super) const HEADERS: [&str; 5] = [
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
    "ce-subject",
];
/// Maximum number of events in a batch; lower if the rate limit is lower.
const MAX_BATCH_EVENTS: usize = 100;
/// Maximum size of a body in bytes, for a batch.
pub(super) const MAX_BODY_BYTES: usize = MAX_BATCH_EVENTS * MAX_EVENT_BYTES;
/// Members read from an event in structured mode.
const MEMBERS: [&str; 7] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "data",
    "data_base64",
];
const REPEATED: &str = "is repeated; expected one";

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send))
}

/// Send a CloudEvent.
///
/// In binary mode the attributes are headers `ce-…` and the body is `data`, a JSON object. In
/// structured mode the body is the whole event, as `application/cloudevents+json`. The events of a
/// batch, sent as `application/cloudevents-batch+json`, are stored one by one up to the first
/// invalid event; sending the batch again is safe. Each event counts towards the rate limit.
#[utoipa::path(post, path = "/api/v1/cloudevents", tag = "events",
    params(
        ("ce-specversion" = Option<String>, Header, description = "Binary mode: version, `1.0`."),
        ("ce-id" = Option<String>, Header, description = "Binary mode: id."),
        ("ce-source" = Option<String>, Header, description = "Binary mode: source."),
        ("ce-type" = Option<String>, Header, description = "Binary mode: type."),
        ("ce-subject" = Option<String>, Header, description = "Binary mode: event key."),
    ),
    request_body(content(
        (CloudEvent = "application/cloudevents+json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
        (Object = "application/json"),
    )),
    responses((status = 200, description = "The events are stored.", body = Vec<Accepted>)))]
async fn send(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Vec<Accepted>>, Problem> {
    let (parts, body) = request.into_parts();
    let media = media_type(&parts.headers);
    let batched = media.as_deref() == Some("application/cloudevents-batch+json");
    let limit = if batched {
        MAX_BODY_BYTES
    } else {
        MAX_EVENT_BYTES
    };
    let body = read_body(body, limit, api.limits.body_timeout).await?;
    // Validate all events before storing the first.
    let events = match media.as_deref() {
        Some("application/cloudevents+json") => vec![parse_structured(parse_json(&body)?)?],
        Some("application/cloudevents-batch+json") => {
            let batch: Vec<Value<'_>> = parse_json(&body)?;
            let per_second =
                usize::try_from(api.limits.events_per_second).unwrap_or(MAX_BATCH_EVENTS);
            let max_events = MAX_BATCH_EVENTS.min(per_second.max(1));
            if batch.len() > max_events {
                let detail = format!(
                    "{} events in one batch; at most {max_events} are allowed",
                    batch.len()
                );
                return Err(Problem::new(Kind::InvalidEvent, detail));
            }
            let parsed = batch.into_iter().enumerate();
            let parsed = parsed.map(|(index, event)| {
                parse_structured(event).map_err(|problem| problem.at_index(index))
            });
            parsed.collect::<Result<_, _>>()?
        }
        None => vec![parse_binary(&parts.headers, &body)?],
        Some(media) if is_event_data(media) => vec![parse_binary(&parts.headers, &body)?],
        Some(_) => {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "the Content-Type must be application/cloudevents+json, \
                 application/cloudevents-batch+json, or a JSON type with ce-… headers",
            ));
        }
    };
    let further = events.len().saturating_sub(1);
    api.rates.check_further_events(&caller.0, further)?;
    let mut accepted = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let sent = api
            .send(event.with_origin(api.origin(&parts.headers)))
            .await;
        accepted.push(sent.map_err(|problem| match batched {
            true => problem.at_index(index),
            false => problem,
        })?);
    }
    Ok(Json(accepted))
}

/// Returns true for JSON media types that contain an event's data rather than a whole event.
fn is_event_data(media: &str) -> bool {
    let is_json = media.ends_with("/json") || media.ends_with("+json");
    is_json && !media.starts_with("application/cloudevents")
}

fn invalid_attribute(field: &str, detail: impl Into<String>) -> Problem {
    let message = detail.into();
    invalid_event(EventError {
        field: field.to_owned(),
        message,
    })
}

/// Parses binary mode: attributes in headers.
fn parse_binary(headers: &HeaderMap, body: &[u8]) -> Result<CheckedEvent, Problem> {
    let attribute = |name: &str| -> Result<Option<String>, Problem> {
        let mut values = headers.get_all(format!("ce-{name}")).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(invalid_attribute(name, REPEATED));
        }
        let text = header::decode(value).map(Some);
        text.ok_or_else(|| invalid_attribute(name, "the header is not percent-encoded UTF-8"))
    };
    let data = match body.trim_ascii() {
        [] => Value::Null,
        body => parse_json(body)?,
    };
    build_event(attribute, data)
}

/// Parses structured mode: attributes and data in one object.
fn parse_structured(object: Value<'_>) -> Result<CheckedEvent, Problem> {
    let Value::Object(members) = object else {
        let detail = "expected an event as a JSON object";
        return Err(Problem::new(Kind::InvalidEvent, detail));
    };
    let mut found = HashMap::new();
    for (name, value) in members {
        let mut known = MEMBERS.into_iter();
        // Other members are extensions.
        let Some(name) = known.find(|known| *known == name) else {
            continue;
        };
        if found.insert(name, value).is_some() {
            return Err(invalid_attribute(name, REPEATED));
        }
    }
    if found.contains_key("data_base64") {
        return Err(invalid_attribute(
            "data_base64",
            "binary data is not supported; expected `data`, a JSON object",
        ));
    }
    let data = found.remove("data").unwrap_or(Value::Null);
    let attribute = |name: &str| match found.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.clone().into_owned())),
        Some(_) => Err(invalid_attribute(name, "expected a string")),
    };
    build_event(attribute, data)
}

fn build_event(
    attribute: impl Fn(&str) -> Result<Option<String>, Problem>,
    data: Value<'_>,
) -> Result<CheckedEvent, Problem> {
    let required = |name: &str| {
        attribute(name)?
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| invalid_attribute(name, "missing; CloudEvents requires it"))
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(invalid_attribute("specversion", "expected `1.0`"));
    }
    let (source, id) = (required("source")?, required("id")?);
    let params = match data {
        Value::Object(members) => params_from_object("data", members).map_err(invalid_event)?,
        Value::Null => serde_json::Map::new(),
        Value::Text(_) | Value::Word(_) | Value::List(_) => {
            return Err(invalid_attribute(
                "data",
                "expected a JSON object with the parameters",
            ));
        }
    };
    let mut key = attribute("subject")?.unwrap_or_default();
    // Some senders use a path as the subject, which is not a valid key; then a parameter may
    // identify the contact.
    if check_key_value(&key).is_err() && identifying(&params).next().is_some() {
        key.clear();
    }
    let event = Event {
        id: Some(compose_id(&source, &id)?),
        event_type: required("type")?,
        key,
        params,
        origin: None,
    };
    event.checked().map_err(|error| {
        let field = match error.field.as_str() {
            "eventTypeKey" => "type",
            "keyValue" => "subject",
            "id" => "id",
            _ => "data",
        };
        invalid_attribute(field, error.message)
    })
}

/// Combines source and id into one event id. The separator is a space, which a source cannot
/// contain, so different pairs have different ids. Pairs that are too long are replaced by their
/// digest.
fn compose_id(source: &str, id: &str) -> Result<String, Problem> {
    if source.contains(char::is_whitespace) {
        return Err(invalid_attribute(
            "source",
            "contains whitespace; expected a URI reference",
        ));
    }
    let text = format!("{source} {id}");
    if text.chars().count() <= MAX_ID_CHARS {
        return Ok(text);
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("cloudevent-sha256 {digest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combines_source_and_id_into_one_stable_id() {
        assert_eq!(compose_id("/shop", "a b").unwrap(), "/shop a b");
        assert!(compose_id("/shop a", "b").is_err());
        let long = compose_id("/shop", &"x".repeat(400)).unwrap();
        assert_eq!(long, compose_id("/shop", &"x".repeat(400)).unwrap());
        assert_ne!(long, compose_id("/shop", &"x".repeat(401)).unwrap());
        assert!(long.chars().count() <= MAX_ID_CHARS);
    }
}
