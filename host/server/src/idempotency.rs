//! Idempotency-Key: a repeated request gets the same response for 24 hours.
//!
//! Only successful responses are stored; a repeated request that failed is processed again. For
//! events the key is the event's id instead, which is stored permanently.
//!
//! A key is reserved before its request is processed, so that no other process on the database
//! processes the request too. A response is stored in its own transaction after the change that it
//! reports. If the process dies between the two, a repeated request is processed again.

use std::sync::PoisonError;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::events::idempotency_key;
use super::problem::{Kind, Problem};
use super::request::read_body;
use super::{Api, cloudevents, codes, contacts};
use promoflow_installation::Promoflow;
use promoflow_store::{Reservation, StoredResponse};

/// Lifetime of stored responses, in milliseconds.
const RESPONSE_LIFETIME_MS: i64 = 24 * 3_600_000;
/// Maximum size of a stored response in bytes. Only requests without effects, such as rendering a
/// message, have larger ones.
const MAX_RESPONSE_BYTES: u64 = 4 << 20;

/// A request in progress with an Idempotency-Key. Concurrent requests with the same key are
/// rejected, in this process without a look-up in the database.
pub(super) struct IdempotencyGuard {
    api: Api,
    /// The API key's id and the Idempotency-Key.
    key_pair: (String, String),
}

impl Drop for IdempotencyGuard {
    fn drop(&mut self) {
        let mut all = self
            .api
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.key_pair);
    }
}

fn in_progress() -> Problem {
    let detail = "a request with this Idempotency-Key is in progress";
    Problem::new(Kind::IdempotencyConflict, detail).retry_after(1)
}

impl IdempotencyGuard {
    /// Begins a request; returns `None` without an Idempotency-Key.
    pub(super) fn begin(
        api: &Api,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Option<IdempotencyGuard>, Problem> {
        let Some(under) = idempotency_key(headers)? else {
            return Ok(None);
        };
        let key_pair = (caller.0.id.clone(), under);
        let mut all = api
            .in_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !all.insert(key_pair.clone()) {
            return Err(in_progress());
        }
        Ok(Some(IdempotencyGuard {
            api: api.clone(),
            key_pair,
        }))
    }

    /// Reserves the key. Called from a [detached](super::detached) task: if the client disconnected
    /// meanwhile, the reservation would stay.
    pub(super) async fn reserve(self) -> Result<ReservedKey, Problem> {
        let (key, under) = self.key_pair.clone();
        let reserve = move |promoflow: &Promoflow| {
            Ok(promoflow.reserve_response(&key, &under, RESPONSE_LIFETIME_MS)?)
        };
        let previous = match self.api.run_blocking(reserve).await? {
            Reservation::Reserved => None,
            Reservation::InProgress => return Err(in_progress()),
            Reservation::Stored(response) => Some(response),
        };
        Ok(ReservedKey {
            guard: self,
            previous,
        })
    }
}

/// A key that is reserved for a request, or the response that is stored under it.
pub(super) struct ReservedKey {
    guard: IdempotencyGuard,
    /// The stored response, if any.
    previous: Option<StoredResponse>,
}

impl ReservedKey {
    /// Returns true if a response is stored under this key.
    pub(super) fn has_response(&self) -> bool {
        self.previous.is_some()
    }

    /// Returns the stored response, if any, or an error if it belongs to another request. `echo` is
    /// the request's body, for responses that repeat it and are stored without a body.
    pub(super) fn replay(
        &self,
        fingerprint: [u8; 32],
        echo: Option<&[u8]>,
    ) -> Result<Option<Response>, Problem> {
        let Some(previous) = &self.previous else {
            return Ok(None);
        };
        if previous.fingerprint != fingerprint {
            let detail = "this Idempotency-Key was used for another request; use a new key";
            return Err(Problem::new(Kind::IdempotencyReused, detail));
        }
        let body = echo.unwrap_or(&previous.body).to_vec();
        let status = StatusCode::from_u16(previous.status).unwrap_or(StatusCode::OK);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        for (name, value) in [
            (header::CONTENT_TYPE, &previous.content_type),
            (header::LOCATION, &previous.location),
        ] {
            if let Some(value) = value.as_ref().and_then(|value| value.parse().ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(
            HeaderName::from_static("idempotent-replayed"),
            HeaderValue::from_static("true"),
        );
        Ok(Some(response))
    }

    /// Stores the response if the request succeeded, and gives the key up otherwise. Returns the
    /// result. With `echo` the response's body equals the request's and is not stored.
    pub(super) async fn complete(
        self,
        fingerprint: Option<[u8; 32]>,
        result: Result<Response, Problem>,
        echo: bool,
    ) -> Result<Response, Problem> {
        let (result, stored) = match (result, fingerprint) {
            (Ok(response), Some(fingerprint)) if response.status().is_success() => {
                stored_form(fingerprint, response, echo).await
            }
            (result, _) => (result, None),
        };
        let (key, under) = self.guard.key_pair.clone();
        let write = move |promoflow: &Promoflow| {
            let written = match stored {
                Some(response) => promoflow.store_response(&key, &under, &response),
                None => promoflow.cancel_reservation(&key, &under),
            };
            // The client gets the response even if it cannot be stored.
            if let Err(error) = written {
                tracing::error!("cannot store the result for an Idempotency-Key: {error:#}");
            }
            Ok(())
        };
        if self.previous.is_none() {
            self.guard.api.run_blocking(write).await?;
        }
        result
    }
}

/// Returns a response, and its stored form; `None` if it is too large to store.
async fn stored_form(
    fingerprint: [u8; 32],
    response: Response,
    echo: bool,
) -> (Result<Response, Problem>, Option<StoredResponse>) {
    let (parts, body) = response.into_parts();
    let (body, stored) = match body.size_hint().exact() {
        _ if echo => (body, Vec::new()),
        Some(length) if length <= MAX_RESPONSE_BYTES => match to_bytes(body, usize::MAX).await {
            Ok(bytes) => (Body::from(bytes.clone()), bytes.into()),
            Err(error) => return (Err(Problem::internal(error)), None),
        },
        _ => return (Ok(Response::from_parts(parts, body)), None),
    };
    let text = |name: HeaderName| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    };
    let stored = StoredResponse {
        fingerprint,
        status: parts.status.as_u16(),
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        body: stored,
    };
    (Ok(Response::from_parts(parts, body)), Some(stored))
}

/// Digest that identifies a request: its method, path, query and body.
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Starts with the method and URI; the body is added as it arrives.
    pub(super) fn new(method: &Method, uri: &Uri) -> Fingerprint {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let mut digest = Sha256::new();
        digest.update(format!("{method} {target}\n"));
        Fingerprint(digest)
    }

    /// Adds the headers that are part of a CloudEvent.
    fn headers(&mut self, headers: &HeaderMap) {
        for name in cloudevents::HEADERS {
            for value in headers.get_all(name) {
                self.update(format!("{name}: {} ", value.len()).as_bytes());
                self.update(value.as_bytes());
            }
        }
    }

    /// Adds a chunk of the body.
    pub(super) fn update(&mut self, chunk: &[u8]) {
        self.0.update(chunk);
    }

    /// Returns the digest.
    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Middleware that stores the responses of requests with an Idempotency-Key. Uploads of codes and
/// contacts handle the key themselves.
pub(super) async fn store_response(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    if request.method() != Method::POST || [codes::PATH, contacts::PATH].contains(&path) {
        return next.run(request).await;
    }
    // At least the handler's limit; the handler enforces its own.
    let limit = match path {
        cloudevents::PATH => cloudevents::MAX_BODY_BYTES,
        _ => api.limits.body_bytes,
    };
    match process_once(&api, &caller, limit, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn process_once(
    api: &Api,
    caller: &Caller,
    limit: usize,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(guard) = IdempotencyGuard::begin(api, caller, request.headers())? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = read_body(body, limit, api.limits.body_timeout).await?;
    let mut fingerprint = Fingerprint::new(&parts.method, &parts.uri);
    fingerprint.headers(&parts.headers);
    fingerprint.update(&body);
    let fingerprint = fingerprint.finish();
    // A client that loses its connection repeats the request and must find the response.
    let task = api.detached.spawn(async move {
        let key = guard.reserve().await?;
        if let Some(answer) = key.replay(fingerprint, None)? {
            return Ok(answer);
        }
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        key.complete(Some(fingerprint), Ok(response), false).await
    });
    task.join().await
}
