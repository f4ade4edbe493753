//! CloudEvents 1.0 over HTTP, binary, structured and batched, so that any platform is a trigger.
//!
//! `type` is the `eventTypeKey`, `subject` the `keyValue`, and the members of `data` are the
//! parameters. `source` and `id` together are the event's id.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::events::{Accepted, invalid};
use super::problem::{Fault, Kind, Problem};
use super::request::{json, media_type, whole};
use crate::event::{Event, MAX_EVENT_BYTES, MAX_ID_CHARS};

/// Events of a batch at the most.
const BATCH: usize = 100;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(send))
}

/// A CloudEvent in structured mode.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what is read")]
struct CloudEvent {
    /// The version of CloudEvents.
    #[schema(pattern = "^1\\.0$", example = "1.0")]
    specversion: String,
    /// Unique for its source.
    #[schema(min_length = 1)]
    id: String,
    /// Where it comes from: a URI reference.
    #[schema(min_length = 1, pattern = "^\\S+$", example = "/shop")]
    source: String,
    /// The `eventTypeKey`.
    #[schema(min_length = 1, max_length = 100, example = "birthday")]
    r#type: String,
    /// The `keyValue`.
    #[schema(max_length = 300, example = "ann@example.com")]
    subject: Option<String>,
    /// The parameters.
    data: Option<Map<String, Value>>,
}

/// Send a CloudEvent.
///
/// In binary mode the attributes are headers `ce-…` and the body is `data`, a JSON object. In
/// structured mode the body is all of it, as `application/cloudevents+json`. A batch, as
/// `application/cloudevents-batch+json`, is stored event by event; the first that is refused ends
/// it, and sending the batch again is safe.
#[utoipa::path(post, path = "/api/v1/cloudevents", tag = "events",
    params(
        ("ce-specversion" = Option<String>, Header, description = "Binary mode: `1.0`."),
        ("ce-id" = Option<String>, Header, description = "Binary mode."),
        ("ce-source" = Option<String>, Header, description = "Binary mode."),
        ("ce-type" = Option<String>, Header, description = "Binary mode."),
        ("ce-subject" = Option<String>, Header, description = "Binary mode."),
    ),
    request_body(content(
        (CloudEvent = "application/cloudevents+json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
        (Object = "application/json"),
    )),
    responses((status = 200, description = "The events are stored.", body = Vec<Accepted>)))]
async fn send(State(api): State<Api>, request: Request) -> Result<Json<Vec<Accepted>>, Problem> {
    let (parts, body) = request.into_parts();
    let media = media_type(&parts.headers);
    let batched = media.as_deref() == Some("application/cloudevents-batch+json");
    let limit = if batched {
        BATCH * MAX_EVENT_BYTES
    } else {
        MAX_EVENT_BYTES
    };
    let body = whole(body, limit, api.limits.body_pause).await?;
    let events = match media.as_deref() {
        Some("application/cloudevents+json") => vec![structured(json(&body)?)?],
        Some("application/cloudevents-batch+json") => {
            let batch: Vec<Map<String, Value>> = json(&body)?;
            if batch.len() > BATCH {
                let detail = format!("{} events; a batch has at most {BATCH}", batch.len());
                return Err(Problem::new(Kind::InvalidEvent, detail));
            }
            batch
                .into_iter()
                .map(structured)
                .collect::<Result<_, _>>()?
        }
        Some("application/json") | None => vec![binary(&parts.headers, &body)?],
        Some(_) => {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "the Content-Type must be application/cloudevents+json, \
                 application/cloudevents-batch+json, or application/json with headers ce-…",
            ));
        }
    };
    // All are judged before the first is stored.
    let events = events
        .into_iter()
        .map(|event| event.checked().map_err(invalid))
        .collect::<Result<Vec<_>, _>>()?;
    let mut accepted = Vec::with_capacity(events.len());
    for mut event in events {
        event.origin = api.origin(&parts.headers);
        accepted.push(api.send(event).await?);
    }
    Ok(Json(accepted))
}

fn fault(field: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    Problem::new(Kind::InvalidEvent, format!("{field}: {detail}"))
        .field(field)
        .errors(vec![Fault {
            field: Some(field.to_owned()),
            detail,
            ..Fault::default()
        }])
}

/// Binary mode: attributes as headers.
fn binary(headers: &HeaderMap, body: &[u8]) -> Result<Event, Problem> {
    let attribute = |name: &str| -> Result<Option<String>, Problem> {
        let header = HeaderName::try_from(format!("ce-{name}")).ok();
        let Some(value) = header.and_then(|header| headers.get(header)) else {
            return Ok(None);
        };
        let text = value.to_str().ok().and_then(unpercent);
        text.map(Some)
            .ok_or_else(|| fault(name, "the header is not percent-encoded UTF-8"))
    };
    let data = match body.trim_ascii() {
        [] => Value::Null,
        body => json(body)?,
    };
    event(attribute, data)
}

/// Structured mode: attributes and data as one object.
fn structured(mut object: Map<String, Value>) -> Result<Event, Problem> {
    if object.contains_key("data_base64") {
        return Err(fault("data_base64", "expected `data`, a JSON object"));
    }
    let data = object.remove("data").unwrap_or(Value::Null);
    let attribute = |name: &str| match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(fault(name, "expected a text")),
    };
    event(attribute, data)
}

fn event(
    attribute: impl Fn(&str) -> Result<Option<String>, Problem>,
    data: Value,
) -> Result<Event, Problem> {
    let required = |name: &str| {
        attribute(name)?
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| fault(name, "missing; CloudEvents require it"))
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(fault("specversion", "expected `1.0`"));
    }
    let (source, id) = (required("source")?, required("id")?);
    let params = match data {
        Value::Object(params) => params,
        Value::Null => Map::new(),
        _ => {
            return Err(fault(
                "data",
                "expected a JSON object, whose members are the parameters",
            ));
        }
    };
    Ok(Event {
        id: Some(composed(&source, &id)?),
        event_type: required("type")?,
        key: attribute("subject")?.unwrap_or_default(),
        params,
        origin: None,
    })
}

/// Source and id as one: parted by a space, which no source may hold, so that no two pairs make
/// the same. Pairs that are too long are told apart by their digest.
fn composed(source: &str, id: &str) -> Result<String, Problem> {
    if source.contains(char::is_whitespace) {
        return Err(fault("source", "holds a space; expected a URI reference"));
    }
    let text = format!("{source} {id}");
    if text.chars().count() <= MAX_ID_CHARS {
        return Ok(text);
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("cloudevent-sha256 {digest}"))
}

/// Headers of CloudEvents are percent-encoded; `None` where it is not well done.
fn unpercent(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next()?, rest.next()?);
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_and_id_make_one_stable_id() {
        assert_eq!(composed("/shop", "a b").unwrap(), "/shop a b");
        assert!(composed("/shop a", "b").is_err());
        let long = composed("/shop", &"x".repeat(400)).unwrap();
        assert_eq!(long, composed("/shop", &"x".repeat(400)).unwrap());
        assert_ne!(long, composed("/shop", &"x".repeat(401)).unwrap());
        assert!(long.chars().count() <= MAX_ID_CHARS);
    }

    #[test]
    fn headers_are_percent_encoded() {
        assert_eq!(unpercent("a%20%E2%82%AC").as_deref(), Some("a €"));
        assert_eq!(unpercent("%"), None);
        assert_eq!(unpercent("%zz"), None);
        assert_eq!(unpercent("%ff"), None);
    }
}
