//! Events, compatible with Yespo's API.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::problem::{Kind, Problem};
use super::request::{read_body, require_media_type};
use promoflow_api_model::{Accepted, ErrorDetail, EventV1, EventV2};
use promoflow_engine::run::SubmitError;
use promoflow_model::contact::identifies_contact;
use promoflow_model::event::{CheckedEvent, Event, EventError, MAX_EVENT_BYTES, MAX_ID_CHARS};
use promoflow_model::trace_context::{Origin, TraceParent};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(send_v1))
        .routes(routes!(send_v2))
}

/// Send an event with text values.
///
/// The response is sent once the event and its runs are stored durably.
#[utoipa::path(post, path = "/api/v1/event", tag = "events",
    request_body = EventV1,
    responses((status = 200, description = "The event is stored.", body = Accepted)))]
async fn send_v1(State(api): State<Api>, request: Request) -> Result<Json<Accepted>, Problem> {
    let event = read_event(&api, request, params_to_text).await?;
    api.send(event).await.map(Json)
}

/// Converts the values of parameters to text, as version 1 of the API has them.
fn params_to_text(event: &mut Event) -> Result<(), Problem> {
    for (index, (name, value)) in event.params.iter_mut().enumerate() {
        let expected = match value {
            Value::String(_) => continue,
            // Rejected by the check: as text it would identify somebody.
            Value::Number(number) if number.is_f64() && identifies_contact(name) => continue,
            Value::Number(number) if is_rounded(number) => {
                "has too many digits; write it in quotes"
            }
            Value::Number(_) | Value::Bool(_) => {
                *value = Value::String(value.to_string());
                continue;
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {
                "must be text; use /api/v2/event for lists and objects"
            }
        };
        return Err(invalid_event(EventError {
            field: format!("params[{index}]"),
            message: format!("the value of `{name}` {expected}"),
        }));
    }
    Ok(())
}

/// Returns true if a whole number is so large that parsing rounded it to the nearest float:
/// converted to text, it would differ from the number sent.
fn is_rounded(number: &serde_json::Number) -> bool {
    /// The first whole number after which not all are representable as a float.
    const LARGE: f64 = 9_007_199_254_740_992.0;
    number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= LARGE)
}

/// Send an event with values of any type.
///
/// The response is sent once the event and its runs are stored durably.
#[utoipa::path(post, path = "/api/v2/event", tag = "events",
    request_body = EventV2,
    responses((status = 200, description = "The event is stored.", body = Accepted)))]
async fn send_v2(State(api): State<Api>, request: Request) -> Result<Json<Accepted>, Problem> {
    let event = read_event(&api, request, |_| Ok(())).await?;
    api.send(event).await.map(Json)
}

/// Reads an event from a request. `convert` changes it before it is checked.
pub(super) async fn read_event(
    api: &Api,
    request: Request,
    convert: impl FnOnce(&mut Event) -> Result<(), Problem>,
) -> Result<CheckedEvent, Problem> {
    let (parts, body) = request.into_parts();
    require_media_type(&parts.headers, &["application/json"])?;
    let bytes = read_body(body, MAX_EVENT_BYTES, api.limits.body_timeout).await?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Problem::new(Kind::InvalidEvent, "event: the body is not UTF-8"))?;
    let mut event = Event::parse(&text).map_err(invalid_event)?;
    convert(&mut event)?;
    event.origin = api.origin(&parts.headers);
    if let Some(key) = idempotency_key(&parts.headers)? {
        if event.id.as_ref().is_some_and(|id| *id != key) {
            let detail = "id: the body and the header Idempotency-Key give different ids";
            return Err(Problem::new(Kind::InvalidEvent, detail).field("id"));
        }
        event.id = Some(key);
    }
    event.checked().map_err(invalid_event)
}

/// Returns the value of the Idempotency-Key header.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    // The draft standard requires quotes; most clients omit them.
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

pub(super) fn invalid_event(error: EventError) -> Problem {
    Problem::new(Kind::InvalidEvent, error.to_string()).errors(vec![ErrorDetail {
        field: Some(error.field),
        detail: error.message,
        ..ErrorDetail::default()
    }])
}

impl Api {
    /// Returns the request's trace parent and time, if traces are exported.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Option<Box<Origin>> {
        self.promoflow.is_tracing().then(|| {
            let parent = headers.get("traceparent");
            let parent = parent.and_then(|value| TraceParent::parse(value.to_str().ok()?));
            Box::new(Origin {
                parent,
                received: SystemTime::now(),
            })
        })
    }

    /// Submits an event to the engine and waits until it is committed.
    pub(super) async fn send(&self, event: CheckedEvent) -> Result<Accepted, Problem> {
        let late = || {
            Problem::unavailable("the event was not stored in time; send it again with the same id")
        };
        let wait = self.limits.event_time;
        let permit = Arc::clone(&self.events).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(wait, permit).await else {
            return Err(late());
        };
        let (answer, answered) = oneshot::channel();
        self.running.submit_unbounded(event, move |receipt| {
            // Keep the permit while the event is in the engine's queue, even if the client has
            // disconnected.
            drop(permit);
            // If the client has disconnected, the event is stored all the same.
            let _gone = answer.send(receipt);
        });
        let receipt = match tokio::time::timeout(wait, answered).await {
            Err(_) => return Err(late()),
            Ok(Err(_)) => return Err(Problem::unavailable("the service is shutting down")),
            Ok(Ok(receipt)) => receipt.map_err(send_problem)?,
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

pub(super) fn send_problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::Invalid(error) => invalid_event(error),
        SubmitError::Conflict(_) => {
            Problem::new(Kind::EventConflict, error.to_string()).field("id")
        }
        SubmitError::Configuration(cause) => Problem::internal(cause),
        SubmitError::Store(cause) => {
            tracing::error!("cannot store an event: {cause}");
            Problem::unavailable("the event was not stored; send it again with the same id")
        }
        SubmitError::Unknown(cause) => {
            tracing::error!("cannot store an event: {cause}");
            Problem::unavailable(
                "it is unknown whether the event was stored; send it again with the same id",
            )
        }
        SubmitError::Unavailable(why) => {
            Problem::unavailable(format!("the event was not stored: {why}"))
        }
        other => Problem::internal(other),
    }
}
