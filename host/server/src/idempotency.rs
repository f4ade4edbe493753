//! Idempotency-Key: a repeated request gets the same response for 24 hours.
//!
//! Only successful responses are stored; a repeated request that failed is processed again. For
//! events the key is the event's id instead, which is stored permanently.
//!
//! A response is stored in its own transaction after the change that it reports. If the process
//! dies between the two, a repeated request is processed again.

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
use promoflow_store::StoredResponse;

/// Lifetime of stored responses, in milliseconds.
const RESPONSE_LIFETIME_MS: i64 = 24 * 3_600_000;
/// Maximum size of a stored response in bytes. Only requests without effects, such as rendering a
/// message, have larger ones.
const MAX_RESPONSE_BYTES: u64 = 4 << 20;

/// A request in progress with an Idempotency-Key. Concurrent requests with the same key are
/// rejected.
pub(super) struct IdempotencyGuard {
    api: Api,
    /// The API key's id and the Idempotency-Key.
    key_pair: (String, String),
    /// The stored response, if any.
    previous: Option<StoredResponse>,
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

impl IdempotencyGuard {
    /// Begins a request; returns `None` without an Idempotency-Key.
    pub(super) async fn begin(
        api: &Api,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Option<IdempotencyGuard>, Problem> {
        let Some(under) = idempotency_key(headers)? else {
            return Ok(None);
        };
        let key_pair = (caller.0.id.clone(), under);
        {
            let mut all = api
                .in_progress
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if !all.insert(key_pair.clone()) {
                let detail = "a request with this Idempotency-Key is in progress";
                return Err(Problem::new(Kind::IdempotencyConflict, detail).retry_after(1));
            }
        }
        let mut guard = IdempotencyGuard {
            api: api.clone(),
            key_pair: key_pair.clone(),
            previous: None,
        };
        guard.previous = api
            .run_blocking(move |promoflow| {
                Ok(promoflow.stored_response(&key_pair.0, &key_pair.1, RESPONSE_LIFETIME_MS)?)
            })
            .await?;
        Ok(Some(guard))
    }

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

    /// Stores a successful response and returns it. With `echo` its body equals the request's and
    /// is not stored.
    pub(super) async fn store_response(
        self,
        fingerprint: [u8; 32],
        response: Response,
        echo: bool,
    ) -> Response {
        if !response.status().is_success() || self.previous.is_some() {
            return response;
        }
        let (parts, body) = response.into_parts();
        // The client gets the response even if it cannot be stored.
        let (body, stored) = match body.size_hint().exact() {
            _ if echo => (body, Vec::new()),
            Some(length) if length <= MAX_RESPONSE_BYTES => {
                match to_bytes(body, usize::MAX).await {
                    Ok(bytes) => (Body::from(bytes.clone()), bytes.into()),
                    Err(error) => return Problem::internal(error).into_response(),
                }
            }
            _ => return Response::from_parts(parts, body),
        };
        let text = |name: HeaderName| {
            let value = parts.headers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let answer = StoredResponse {
            fingerprint,
            status: parts.status.as_u16(),
            content_type: text(header::CONTENT_TYPE),
            location: text(header::LOCATION),
            body: stored,
        };
        let (key, under) = self.key_pair.clone();
        let put = move |promoflow: &Promoflow| {
            if let Err(error) =
                promoflow.store_response(&key, &under, &answer, RESPONSE_LIFETIME_MS)
            {
                tracing::error!("cannot store the response for an Idempotency-Key: {error:#}");
            }
            Ok(())
        };
        match self.api.run_blocking(put).await {
            Ok(()) => Response::from_parts(parts, body),
            Err(problem) => problem.into_response(),
        }
    }
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
    let Some(guard) = IdempotencyGuard::begin(api, caller, request.headers()).await? else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let body = read_body(body, limit, api.limits.body_timeout).await?;
    let mut fingerprint = Fingerprint::new(&parts.method, &parts.uri);
    fingerprint.headers(&parts.headers);
    fingerprint.update(&body);
    let fingerprint = fingerprint.finish();
    if let Some(answer) = guard.replay(fingerprint, None)? {
        return Ok(answer);
    }
    // A client that loses its connection repeats the request and must find the response.
    let task = api.detached.spawn(async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        Ok(guard.store_response(fingerprint, response, false).await)
    });
    task.join().await
}
