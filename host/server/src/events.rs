//! Events, as Yespo takes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::{Fault, Kind, Problem};
use super::request::{must_be, whole};
use promoflow_engine::run::SendError;
use promoflow_model::event::{
    Event, EventError, MAX_EVENT_BYTES, MAX_ID_CHARS, MAX_KEY_CHARS, MAX_PARAM_NAME_CHARS,
    MAX_TYPE_CHARS,
};
use promoflow_model::trace_context::{Origin, TraceParent};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(send_v1))
        .routes(routes!(send_v2))
}

/// An event of version 1: values are text.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventV1 {
    /// What happened. An unknown type is created.
    #[schema(schema_with = event_type_key)]
    event_type_key: String,
    /// Whom it is about.
    #[schema(schema_with = key_value)]
    key_value: Option<String>,
    /// Values by name; names are unique.
    params: Option<ParamsV1>,
    /// Under which a repeated sending is recognised.
    #[schema(schema_with = event_id)]
    id: Option<String>,
}

/// A text of an event, or a whole number that is written as one.
fn text(most: usize, example: &str, description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Integer]))
        .min_length(Some(1))
        .max_length(Some(most))
        .examples([example])
        .description(Some(description))
}

/// What no key holds; see [`Event::checked`].
const PATTERN: &str = "^[^<;\u{2019}\\\\/|\"`'^?!,>]+$";

fn event_type_key() -> ObjectBuilder {
    let description = "What happened. An unknown type is created.";
    text(MAX_TYPE_CHARS, "birthday", description).pattern(Some(PATTERN))
}

fn key_value() -> ObjectBuilder {
    text(
        MAX_KEY_CHARS,
        "ann@example.com",
        "Whom it is about. Without it a parameter tells: a contact's id, an external id, an email \
         address, a phone number, a token.",
    )
    .schema_type(SchemaType::from_iter([
        Type::String,
        Type::Integer,
        Type::Null,
    ]))
    .min_length(None)
}

fn param_name() -> ObjectBuilder {
    text(MAX_PARAM_NAME_CHARS, "EmailAddress", "Its name.")
}

fn event_id() -> ObjectBuilder {
    text(
        MAX_ID_CHARS,
        "e-1",
        "Under which a repeated sending is recognised; so is the header Idempotency-Key.",
    )
    .schema_type(SchemaType::from_iter([
        Type::String,
        Type::Integer,
        Type::Null,
    ]))
}

/// Parameters whose values are text.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(untagged)]
enum ParamsV1 {
    /// A list.
    List(Vec<ParamV1>),
    /// Values by name.
    Object(BTreeMap<String, Scalar>),
}

/// Parameters whose values are anything.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(untagged)]
enum ParamsV2 {
    /// A list.
    List(Vec<ParamV2>),
    /// Values by name.
    Object(BTreeMap<String, Value>),
}

/// A text, or what is written as one.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(untagged)]
enum Scalar {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// Yes or no.
    Truth(bool),
}

/// A parameter whose value is text.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(deny_unknown_fields)]
struct ParamV1 {
    /// Its name.
    #[schema(schema_with = param_name)]
    name: String,
    /// Its value.
    value: Scalar,
}

/// An event of version 2: values are anything.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventV2 {
    /// What happened. An unknown type is created.
    #[schema(schema_with = event_type_key)]
    event_type_key: String,
    /// Whom it is about.
    #[schema(schema_with = key_value)]
    key_value: Option<String>,
    /// Values by name; names are unique.
    params: Option<ParamsV2>,
    /// Under which a repeated sending is recognised.
    #[schema(schema_with = event_id)]
    id: Option<String>,
}

/// A parameter whose value is anything.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "it describes what `Event::from_json` reads")]
#[serde(deny_unknown_fields)]
struct ParamV2 {
    /// Its name.
    #[schema(schema_with = param_name)]
    name: String,
    /// Its value: text, a number, a list, an object; null where it is missing.
    value: Option<Value>,
}

/// That an event is stored.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its id, or its number where it came without one.
    #[schema(example = "e-1")]
    event: String,
    /// `duplicate`: the same event was accepted before.
    #[schema(example = "accepted", pattern = "^(accepted|duplicate)$")]
    status: &'static str,
    /// The runs that it started.
    #[schema(example = json!(["1"]))]
    runs: Vec<String>,
}

/// Send an event; values are text.
///
/// Answered once the event is stored for good, with its runs.
#[utoipa::path(post, path = "/api/v1/event", tag = "events",
    request_body = EventV1,
    responses((status = 200, description = "The event is stored.", body = Accepted)))]
async fn send_v1(State(api): State<Api>, request: Request) -> Result<Json<Accepted>, Problem> {
    let mut event = read(&api, request).await?;
    for (index, (name, value)) in event.params.iter_mut().enumerate() {
        let expected = match value {
            Value::String(_) => continue,
            Value::Number(number) if is_rounded(number) => {
                "has too many digits; write it in quotes"
            }
            Value::Number(_) | Value::Bool(_) => {
                *value = Value::String(value.to_string());
                continue;
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {
                "must be text; /api/v2/event takes lists and objects"
            }
        };
        return Err(invalid(EventError {
            field: format!("params[{index}]"),
            message: format!("the value of `{name}` {expected}"),
        }));
    }
    api.send(event).await.map(Json)
}

/// Whether a number is whole, and so large that it was read as the nearest that a float holds: as
/// a text it would not be the one that was sent.
fn is_rounded(number: &serde_json::Number) -> bool {
    /// From here on there are whole numbers that a float does not hold.
    const LARGE: f64 = 9_007_199_254_740_992.0;
    number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= LARGE)
}

/// Send an event; values are anything.
///
/// Answered once the event is stored for good, with its runs.
#[utoipa::path(post, path = "/api/v2/event", tag = "events",
    request_body = EventV2,
    responses((status = 200, description = "The event is stored.", body = Accepted)))]
async fn send_v2(State(api): State<Api>, request: Request) -> Result<Json<Accepted>, Problem> {
    let event = read(&api, request).await?;
    api.send(event).await.map(Json)
}

pub(super) async fn read(api: &Api, request: Request) -> Result<Event, Problem> {
    let (parts, body) = request.into_parts();
    must_be(&parts.headers, &["application/json"])?;
    let bytes = whole(body, MAX_EVENT_BYTES, api.limits.body_pause).await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new(Kind::InvalidEvent, "event: the body is not UTF-8"))?;
    let mut event = Event::from_json(&text).map_err(invalid)?;
    event.origin = api.origin(&parts.headers);
    if let Some(key) = idempotency_key(&parts.headers)? {
        if event.id.as_ref().is_some_and(|id| *id != key) {
            let detail = "id: the body and the header Idempotency-Key give different ids";
            return Err(Problem::new(Kind::InvalidEvent, detail).field("id"));
        }
        event.id = Some(key);
    }
    Ok(event)
}

/// The header under which a repeated request is recognised.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    // The draft of the header has it in quotes, most clients send it without.
    let text = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    if text.is_empty() || text.len() > MAX_ID_CHARS {
        let detail = format!(
            "the header Idempotency-Key must hold 1 to {} printable ASCII characters",
            MAX_ID_CHARS
        );
        return Err(Problem::new(Kind::InvalidRequest, detail).field("Idempotency-Key"));
    }
    Ok(Some(text.to_owned()))
}

pub(super) fn invalid(error: EventError) -> Problem {
    Problem::new(Kind::InvalidEvent, error.to_string()).errors(vec![Fault {
        field: Some(error.field),
        detail: error.message,
        ..Fault::default()
    }])
}

impl Api {
    /// How a request came, where traces are exported: in which trace of its sender's, and when.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Option<Box<Origin>> {
        self.promoflow.traces().then(|| {
            let parent = headers.get("traceparent");
            let parent = parent.and_then(|value| TraceParent::parse(value.to_str().ok()?));
            Box::new(Origin {
                parent,
                received: SystemTime::now(),
            })
        })
    }

    /// Hands an event to the engine, and waits until it is committed.
    pub(super) async fn send(&self, event: Event) -> Result<Accepted, Problem> {
        let late = || {
            Problem::unavailable(
                "the event was not stored in time; send it again under the same id",
            )
        };
        let wait = self.limits.event_time;
        let permit = Arc::clone(&self.events).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(wait, permit).await else {
            return Err(late());
        };
        let (answer, answered) = oneshot::channel();
        self.running.submit_at_once(event, move |receipt| {
            // Not before: it is in the engine's queue, whoever waits for it.
            drop(permit);
            // The client has gone: the event stands all the same.
            let _gone = answer.send(receipt);
        });
        let receipt = match tokio::time::timeout(wait, answered).await {
            Err(_) => return Err(late()),
            Ok(Err(_)) => return Err(Problem::unavailable("the service is ending")),
            Ok(Ok(receipt)) => receipt.map_err(refused)?,
        };
        Ok(Accepted {
            event: receipt.event,
            status: if receipt.duplicate {
                "duplicate"
            } else {
                "accepted"
            },
            runs: receipt.runs.iter().map(ToString::to_string).collect(),
        })
    }
}

pub(super) fn refused(error: SendError) -> Problem {
    match error {
        SendError::Invalid(error) => invalid(error),
        SendError::Conflict(_) => Problem::new(Kind::EventConflict, error.to_string()).field("id"),
        SendError::Configuration(cause) => Problem::internal(format_args!("{cause:#}")),
        SendError::Store(cause) => {
            tracing::error!("an event was not stored: {cause}");
            Problem::unavailable("the event was not stored; send it again under the same id")
        }
        SendError::Unavailable(why) => {
            Problem::unavailable(format!("the event was not stored: {why}"))
        }
    }
}
