//! Requests: queries, bodies, and calls of the database.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep, timeout};

use super::Api;
use super::problem::{Kind, Problem};
use promoflow_api_model::ErrorDetail;
use promoflow_installation::Promoflow;
use promoflow_model::pool::MAX_DISCOUNT;

/// Maximum bytes read of a rejected body.
pub(super) const MAX_DRAINED_BYTES: u64 = 4 << 20;
/// The same for clients without a valid key.
const MAX_DRAINED_BYTES_UNAUTHENTICATED: u64 = 64 << 10;
/// Maximum time to read a rejected body of such a client.
const UNAUTHENTICATED_DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum rate of a body or response in bytes per second, in addition to the allowed pause.
const MIN_BYTES_PER_SECOND: u64 = 4 << 10;
/// Maximum number of days in a query.
const MAX_DAYS: u32 = 36_500;

/// Query parameters; unknown ones are rejected.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<QueryParams<T>, Problem> {
        parse_query(&parts.uri, "query").map(QueryParams)
    }
}

/// Parses the query of a URI. `what` names its origin in error messages.
pub(super) fn parse_query<T: DeserializeOwned>(uri: &Uri, what: &str) -> Result<T, Problem> {
    match Query::try_from_uri(uri) {
        Ok(Query(params)) => Ok(params),
        Err(rejection) => {
            let text = rejection.body_text();
            let why = text.split_once(": ").map_or(text.as_str(), |(_, why)| why);
            // Messages about a parameter begin with its name.
            let field = why.split_once(": ").map_or("", |(field, _)| field);
            let detail = format!("the {what}: {why}");
            Err(Problem::new(Kind::InvalidRequest, detail).field(field))
        }
    }
}

/// Path parameters.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathParams<T>, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(place)) => Ok(PathParams(place)),
            Err(rejection) => Err(Problem::new(Kind::InvalidRequest, rejection.body_text())),
        }
    }
}

/// Deserializes a discount; rejects values that no code can have.
pub(super) fn deserialize_discount<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<u8>, D::Error> {
    let discount = Option::<u8>::deserialize(from)?;
    if discount.is_some_and(|discount| discount > MAX_DISCOUNT) {
        let expected = format!("expected a whole number from 0 to {MAX_DISCOUNT}");
        return Err(serde::de::Error::custom(expected));
    }
    Ok(discount)
}

/// Deserializes a number of days; rejects more than a century.
pub(super) fn deserialize_days<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<u32>, D::Error> {
    let days = Option::<u32>::deserialize(from)?;
    if days.is_some_and(|days| days > MAX_DAYS) {
        let expected = format!("expected a whole number from 0 to {MAX_DAYS}");
        return Err(serde::de::Error::custom(expected));
    }
    Ok(days)
}

/// Rejects a path or query that contains the character U+0000, which no stored text contains.
pub(super) fn check_uri(uri: &Uri) -> Result<(), Problem> {
    let text = uri.path_and_query().map_or("", |target| target.as_str());
    match text.contains("%00") {
        true => Err(Problem::new(
            Kind::InvalidRequest,
            "the path or a query parameter contains the character U+0000 (`%00`); remove it",
        )),
        false => Ok(()),
    }
}

/// Parses the number in a path. Anything else is not found.
pub(super) fn parse_id<T: std::str::FromStr>(what: &str, id: &str) -> Result<T, Problem> {
    id.parse().map_err(|_| Problem::not_found(what, id))
}

/// Total time that a client that sent or received this many bytes may keep the service waiting.
pub(super) fn max_wait(pause: Duration, bytes: u64) -> Duration {
    pause.saturating_add(Duration::from_secs(bytes / MIN_BYTES_PER_SECOND))
}

/// Body timeout: a client may pause, but not so often that it holds a connection for hours.
pub(super) struct BodyTimeout {
    pause: Duration,
    waited: Duration,
    bytes: u64,
    /// Start and deadline of the current wait.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl BodyTimeout {
    /// Creates a timeout that allows pauses of this length.
    pub(super) fn new(pause: Duration) -> BodyTimeout {
        BodyTimeout {
            pause,
            waited: Duration::ZERO,
            bytes: 0,
            waiting: None,
        }
    }

    /// Checks the result of polling the next chunk of a body.
    fn poll<T>(&mut self, next: Poll<T>, cx: &mut Context<'_>) -> Poll<Result<T, Problem>> {
        let Poll::Ready(next) = next else {
            let pause = self.pause;
            let (_, end) = self
                .waiting
                .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(pause))));
            ready!(end.as_mut().poll(cx));
            let detail = format!(
                "no part of the body arrived for {} seconds",
                pause.as_secs()
            );
            return Poll::Ready(Err(Problem::new(Kind::RequestTimeout, detail)));
        };
        if let Some((since, _)) = self.waiting.take() {
            self.waited += since.elapsed();
        }
        if self.waited > max_wait(self.pause, self.bytes) {
            let detail =
                format!("the body arrived at less than {MIN_BYTES_PER_SECOND} bytes per second");
            return Poll::Ready(Err(Problem::new(Kind::RequestTimeout, detail)));
        }
        Poll::Ready(Ok(next))
    }
}

/// Returns the next chunk of a body, or `None` at its end.
async fn next_chunk(
    body: &mut Body,
    body_timeout: &mut BodyTimeout,
) -> Result<Option<Bytes>, Problem> {
    poll_fn(|cx| poll_chunk(body, body_timeout, cx)).await
}

/// Polls the next chunk of a body; `None` at its end.
pub(super) fn poll_chunk(
    body: &mut Body,
    body_timeout: &mut BodyTimeout,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, Problem>> {
    loop {
        let next = Pin::new(&mut *body).poll_frame(cx);
        let frame = match ready!(body_timeout.poll(next, cx))? {
            None => return Poll::Ready(Ok(None)),
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                let detail = "the connection was closed before the end of the body";
                return Poll::Ready(Err(Problem::new(Kind::InvalidRequest, detail)));
            }
        };
        // A frame without data is a trailer.
        if let Ok(data) = frame.into_data() {
            body_timeout.bytes += data.len() as u64;
            return Poll::Ready(Ok(Some(data)));
        }
    }
}

/// A 413 response.
pub(super) fn too_large(limit: u64) -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("the body exceeds the limit of {limit} bytes"),
    )
}

/// Reads the rest of a rejected body, unless it is large. Many clients read no response before they
/// have sent everything, and would see a closed connection instead of the error.
pub(super) async fn drain(body: &mut Body, pause: Duration) {
    drain_bytes(body, MAX_DRAINED_BYTES, pause).await;
}

async fn drain_bytes(body: &mut Body, mut left: u64, pause: Duration) {
    if body.size_hint().lower() > left {
        return;
    }
    let mut body_timeout = BodyTimeout::new(pause);
    while let Ok(Some(data)) = next_chunk(body, &mut body_timeout).await {
        match left.checked_sub(data.len() as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The same for a client without a valid key: fewer bytes, and not for long.
pub(super) async fn drain_unauthenticated(body: &mut Body) {
    let drain = drain_bytes(
        body,
        MAX_DRAINED_BYTES_UNAUTHENTICATED,
        UNAUTHENTICATED_DRAIN_TIMEOUT,
    );
    // The rest is not read.
    let _in_time = timeout(UNAUTHENTICATED_DRAIN_TIMEOUT, drain).await;
}

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read_body(
    mut body: Body,
    limit: usize,
    pause: Duration,
) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    if body.size_hint().lower() > limit as u64 {
        drain(&mut body, pause).await;
        return Err(too_large(limit as u64));
    }
    let mut body_timeout = BodyTimeout::new(pause);
    while let Some(data) = next_chunk(&mut body, &mut body_timeout).await? {
        if bytes.len() + data.len() > limit {
            drain(&mut body, pause).await;
            return Err(too_large(limit as u64));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Returns the media type of a body in lowercase and without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media = text.split(';').next().unwrap_or_default();
    Some(media.trim().to_ascii_lowercase())
}

/// Rejects compressed bodies, which would otherwise be parsed as plain data.
pub(super) fn reject_content_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let coding = headers.get(header::CONTENT_ENCODING);
    match coding.is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        true => Ok(()),
        false => Err(Problem::new(
            Kind::UnsupportedMediaType,
            "Content-Encoding is not supported; send the body uncompressed",
        )
        .header(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        )),
    }
}

/// Rejects a body of another media type. A body without a media type is empty here, because
/// [`MediaTypes`](super::media::MediaTypes) has rejected the others.
pub(super) fn require_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    match media_type(headers) {
        Some(found) if !accepted.contains(&found.as_str()) => Err(Problem::new(
            Kind::UnsupportedMediaType,
            format!("the Content-Type must be {}", accepted.join(" or ")),
        )),
        _ => Ok(()),
    }
}

/// Parses a JSON object. Serde alone would also accept an array of the field values.
pub(super) fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => parse_json(bytes),
        _ => {
            // Report invalid JSON with its location.
            let _any: serde::de::IgnoredAny = parse_json(bytes)?;
            let detail = "the body: expected an object";
            Err(Problem::new(Kind::InvalidRequest, detail))
        }
    }
}

/// Parses a JSON body.
pub(super) fn parse_json<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).and_then(|value| {
        let ended = reader.end();
        ended.map(|()| value).map_err(|error| {
            let no_path = serde_path_to_error::Track::new().path();
            serde_path_to_error::Error::new(no_path, error)
        })
    });
    read.map_err(|error| {
        let path = error.path();
        let field = path.iter().next().map(|_| path.to_string());
        let error = error.inner();
        let place = |number: usize| (number > 0).then_some(number as u64);
        Problem::new(Kind::InvalidRequest, format!("the body: {error}")).errors(vec![ErrorDetail {
            field,
            line: place(error.line()),
            column: place(error.column()),
            detail: error.to_string(),
            ..ErrorDetail::default()
        }])
    })
}

impl Api {
    /// Runs `work` on a thread that may block.
    pub(super) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Promoflow) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let api = self.clone();
        tokio::task::spawn_blocking(move || work(&api.promoflow))
            .await
            .unwrap_or_else(|error| Err(Problem::internal(error)))
    }

    /// Waits for a permit to parse a document, which takes many times its size in memory.
    pub(super) async fn acquire_document_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.documents).acquire_owned();
        match tokio::time::timeout(self.limits.event_time, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Problem::unavailable(
                "too many documents are being read; retry later",
            )),
        }
    }

    /// Reads a body of at most [`Limits::body_bytes`](super::Limits::body_bytes).
    pub(super) async fn read_body(&self, body: Body) -> Result<Vec<u8>, Problem> {
        read_body(body, self.limits.body_bytes, self.limits.body_timeout).await
    }
}
