//! Error responses as RFC 9457 problem details.
//!
//! Programs use `type` and `status`; people read `detail`. Internal causes are logged and never
//! sent to the client.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use promoflow_api_model::ErrorDetail;
use promoflow_document::{Diagnostic, Severity};
use promoflow_store::StoreError;

/// Prefix of every `type`.
pub(super) const TYPE_PREFIX: &str = "urn:promoflow:problem:";
/// Maximum number of errors in one response.
const MAX_ERRORS: usize = 100;

/// Problem types. Their names are part of the API and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidRequest,
    InvalidEvent,
    Unauthenticated,
    InsufficientScope,
    CrossSite,
    NotFound,
    MethodNotAllowed,
    CodesAreNotDeleted,
    RequestTimeout,
    EventConflict,
    IdempotencyConflict,
    IdempotencyReused,
    InvalidState,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidContent,
    TooManyRequests,
    Internal,
    Unavailable,
}

impl Kind {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Kind::InvalidRequest => (
                S::BAD_REQUEST,
                "invalid-request",
                "The request is malformed",
            ),
            Kind::InvalidEvent => (S::BAD_REQUEST, "invalid-event", "The event is invalid"),
            Kind::Unauthenticated => (
                S::UNAUTHORIZED,
                "unauthenticated",
                "A valid API key is needed",
            ),
            Kind::InsufficientScope => (
                S::FORBIDDEN,
                "insufficient-scope",
                "The API key does not allow this",
            ),
            Kind::CrossSite => (
                S::FORBIDDEN,
                "cross-site",
                "Cross-site requests are not allowed",
            ),
            Kind::NotFound => (S::NOT_FOUND, "not-found", "Not found"),
            Kind::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Kind::CodesAreNotDeleted => (
                S::METHOD_NOT_ALLOWED,
                "codes-are-not-deleted",
                "A promo code cannot be deleted",
            ),
            Kind::RequestTimeout => (
                S::REQUEST_TIMEOUT,
                "request-timeout",
                "The request body arrived too slowly",
            ),
            Kind::EventConflict => (
                S::CONFLICT,
                "event-conflict",
                "Another event with this id exists",
            ),
            Kind::IdempotencyConflict => (
                S::CONFLICT,
                "idempotency-conflict",
                "A request with this Idempotency-Key is in progress",
            ),
            Kind::IdempotencyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "The Idempotency-Key was used for another request",
            ),
            Kind::InvalidState => (
                S::CONFLICT,
                "invalid-state",
                "The current state does not allow this",
            ),
            Kind::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The request body is too large",
            ),
            Kind::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The media type is not supported",
            ),
            Kind::InvalidContent => (
                S::UNPROCESSABLE_ENTITY,
                "invalid-content",
                "The content is invalid",
            ),
            Kind::TooManyRequests => (
                S::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests with this API key",
            ),
            Kind::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Kind::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "unavailable",
                "The service is unavailable",
            ),
        }
    }
}

/// Returns the errors among the diagnostics of a file.
pub(super) fn error_details(diagnostics: &[Diagnostic]) -> Vec<ErrorDetail> {
    let errors = diagnostics.iter();
    let errors = errors.filter(|one| one.severity == Severity::Error);
    errors.take(MAX_ERRORS).map(ErrorDetail::from).collect()
}

/// Problem details (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// Problem type: a URI that never changes.
    #[serde(rename = "type")]
    #[schema(example = "urn:promoflow:problem:invalid-event")]
    kind: String,
    /// Short summary of the problem type.
    title: String,
    /// HTTP status code.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// Description of the problem and how to fix it.
    detail: String,
    /// The invalid field, if there is exactly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Each error with its location.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorDetail>,
}

/// An error response.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    detail: String,
    field: Option<String>,
    errors: Vec<ErrorDetail>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            detail: detail.into(),
            field: None,
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Sets the invalid field.
    pub(super) fn field(mut self, field: impl Into<String>) -> Problem {
        let field = field.into();
        self.field = (!field.is_empty()).then_some(field);
        self
    }

    /// Appends to the detail.
    pub(super) fn append_detail(mut self, more: &str) -> Problem {
        self.detail = format!("{}; {more}", self.detail);
        self
    }

    /// Adds the errors, at most [`MAX_ERRORS`]. If all of them are about one field, it becomes the
    /// problem's field.
    pub(super) fn errors(mut self, errors: Vec<ErrorDetail>) -> Problem {
        self.errors = errors;
        self.errors.truncate(MAX_ERRORS);
        let first = self.errors.first().and_then(|one| one.field.clone());
        if self.errors.iter().all(|one| one.field == first) {
            self.field = self.field.or(first);
        }
        self
    }

    /// Prefixes the fields with the index of a list item.
    pub(super) fn at_index(mut self, item: usize) -> Problem {
        let prefixed = |field: &Option<String>| match field {
            Some(field) => Some(format!("[{item}].{field}")),
            None => Some(format!("[{item}]")),
        };
        self.detail = format!("[{item}]: {}", self.detail);
        self.field = prefixed(&self.field);
        for error in &mut self.errors {
            error.field = prefixed(&error.field);
        }
        self
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// Adds a Retry-After header.
    pub(super) fn retry_after(self, seconds: u64) -> Problem {
        self.header(header::RETRY_AFTER, seconds.max(1).into())
    }

    /// A 404 response for a `what` that does not exist.
    pub(super) fn not_found(what: &str, id: &str) -> Problem {
        let id: String = id.chars().take(100).collect();
        Problem::new(Kind::NotFound, format!("no {what} `{id}`"))
    }

    /// A 500 response; `cause` is logged and not sent to the client.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Problem {
        tracing::error!("request failed: {cause}");
        Problem::new(Kind::Internal, "internal error; see the server log")
    }

    /// A 503 response: the request may succeed later.
    pub(super) fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Unavailable, detail).retry_after(1)
    }
}

impl From<promoflow_installation::Error> for Problem {
    fn from(error: promoflow_installation::Error) -> Problem {
        match error {
            promoflow_installation::Error::Store(error) => error.into(),
            error => Problem::internal(error),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Busy { .. } => {
                tracing::warn!("{error}");
                Problem::unavailable("the database is busy; retry later")
            }
            StoreError::Full => {
                tracing::error!("{error}");
                Problem::unavailable("the server's disk is full; retry once space is available")
            }
            StoreError::Unreachable(_) => {
                tracing::error!("{error}");
                Problem::unavailable("the database cannot be reached; retry later")
            }
            StoreError::Unknown(_) => {
                tracing::error!("{error}");
                Problem::unavailable(
                    "it is unknown whether the change was stored; send the request again with the \
                     same Idempotency-Key, or look before you repeat it",
                )
            }
            StoreError::Outdated { .. } => {
                tracing::error!("{error}");
                Problem::unavailable(
                    "the database was upgraded by another release; send the \
                     request to that release",
                )
            }
            error => Problem::internal(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.parts();
        let body = ProblemBody {
            kind: format!("{TYPE_PREFIX}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            field: self.field,
            errors: self.errors,
        };
        // Serializing strings and numbers cannot fail.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_retryable_errors_and_hides_internal_causes() {
        let of = |error: StoreError| Problem::from(error).into_response();
        let unknown = StoreError::Unknown("connection closed".into());
        let unreachable = StoreError::Unreachable("connection refused".into());
        for error in [
            StoreError::Full,
            StoreError::Busy { seconds: 120 },
            unknown,
            unreachable,
        ] {
            let response = of(error);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
        let problem = Problem::from(StoreError::Engine("/var/lib/x.db: unexpected".into()));
        assert!(!problem.detail.contains("/var"), "{}", problem.detail);
        let status = problem.into_response().status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
