//! What clients are told of errors: RFC 9457 problem details.
//!
//! A client decides by `type` and `status`, a person reads `detail`. What is wrong inside goes to
//! the log and never to the client.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use promoflow_document::{Diagnostic, Severity};
use promoflow_model::pool::RowError;
use promoflow_store::StoreError;

/// What every `type` begins with.
pub(super) const TYPES: &str = "urn:promoflow:problem:";
/// Faults that one answer tells.
const MOST_FAULTS: usize = 100;

/// The kinds of problems. The names are part of the interface: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    InvalidRequest,
    InvalidEvent,
    NoValidKey,
    ScopeMissing,
    CrossSite,
    NotFound,
    MethodNotAllowed,
    CodesAreNotDeleted,
    BodyTooSlow,
    EventConflict,
    IdempotencyConflict,
    IdempotencyReused,
    WrongState,
    BodyTooLarge,
    UnsupportedMediaType,
    RefusedContent,
    TooManyRequests,
    Internal,
    Unavailable,
}

impl Kind {
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Kind::InvalidRequest => (
                S::BAD_REQUEST,
                "invalid-request",
                "The request is malformed",
            ),
            Kind::InvalidEvent => (S::BAD_REQUEST, "invalid-event", "The event is refused"),
            Kind::NoValidKey => (S::UNAUTHORIZED, "no-valid-key", "A valid API key is needed"),
            Kind::ScopeMissing => (
                S::FORBIDDEN,
                "scope-missing",
                "The API key does not allow this",
            ),
            Kind::CrossSite => (
                S::FORBIDDEN,
                "cross-site",
                "Pages of other sites may not ask this",
            ),
            Kind::NotFound => (S::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "This cannot be done here",
            ),
            Kind::CodesAreNotDeleted => (
                S::METHOD_NOT_ALLOWED,
                "codes-are-not-deleted",
                "A promo code cannot be deleted",
            ),
            Kind::BodyTooSlow => (
                S::REQUEST_TIMEOUT,
                "body-too-slow",
                "The body came too slowly",
            ),
            Kind::EventConflict => (S::CONFLICT, "event-conflict", "Another event has this id"),
            Kind::IdempotencyConflict => (
                S::CONFLICT,
                "idempotency-conflict",
                "A request with this Idempotency-Key is on its way",
            ),
            Kind::IdempotencyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Another request had this Idempotency-Key",
            ),
            Kind::WrongState => (S::CONFLICT, "wrong-state", "It is not in a state for this"),
            Kind::BodyTooLarge => (
                S::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "The body is too large",
            ),
            Kind::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The body is in a format that is not read here",
            ),
            Kind::RefusedContent => (
                S::UNPROCESSABLE_ENTITY,
                "refused-content",
                "The content is refused",
            ),
            Kind::TooManyRequests => (
                S::TOO_MANY_REQUESTS,
                "too-many-requests",
                "Too many requests with this API key",
            ),
            Kind::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "The service failed"),
            Kind::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "unavailable",
                "The service cannot do this now",
            ),
        }
    }
}

/// One fault of a body.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(super) struct Fault {
    /// The field, as the body names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "keyValue")]
    pub(super) field: Option<String>,
    /// The field in the body, where several have it: `promocodes[2]`, `[1].discount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "[1].discount")]
    pub(super) path: Option<String>,
    /// The line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// The character within the line, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<u64>,
    /// What was found and what is expected.
    pub(super) detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

impl From<&Diagnostic> for Fault {
    fn from(one: &Diagnostic) -> Fault {
        Fault {
            field: None,
            path: None,
            line: Some(one.line.into()),
            column: Some(one.column.into()),
            detail: one.message.clone(),
            hint: one.hint.clone(),
        }
    }
}

impl From<&RowError> for Fault {
    fn from(one: &RowError) -> Fault {
        Fault {
            field: (!one.field.is_empty()).then(|| one.field.clone()),
            path: one.path.clone(),
            line: Some(one.line),
            column: one.column,
            detail: one.message.clone(),
            ..Fault::default()
        }
    }
}

/// The faults of a file that refuse it.
pub(super) fn faults(diagnostics: &[Diagnostic]) -> Vec<Fault> {
    let errors = diagnostics.iter();
    let errors = errors.filter(|one| one.severity == Severity::Error);
    errors.take(MOST_FAULTS).map(Fault::from).collect()
}

/// A problem as it is written.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// What kind of problem it is: a URI that never changes.
    #[serde(rename = "type")]
    #[schema(example = "urn:promoflow:problem:invalid-event")]
    kind: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened, and what to do.
    detail: String,
    /// The field at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Each fault with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
}

/// A problem on its way to a client.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    detail: String,
    field: Option<String>,
    errors: Vec<Fault>,
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

    /// With the field at fault.
    pub(super) fn field(mut self, field: impl Into<String>) -> Problem {
        let field = field.into();
        self.field = (!field.is_empty()).then_some(field);
        self
    }

    /// With more of what happened, and what to do.
    pub(super) fn and(mut self, more: &str) -> Problem {
        self.detail = format!("{}; {more}", self.detail);
        self
    }

    /// With each fault; those beyond a hundred are left out. Where all are of one field, it is
    /// the field at fault.
    pub(super) fn errors(mut self, errors: Vec<Fault>) -> Problem {
        self.errors = errors;
        self.errors.truncate(MOST_FAULTS);
        let first = self.errors.first().and_then(|one| one.field.clone());
        if self.errors.iter().all(|one| one.field == first) {
            self.field = self.field.or(first);
        }
        self
    }

    /// Of one item of a list: its fields are told from there.
    pub(super) fn within(mut self, item: usize) -> Problem {
        let inside = |field: &Option<String>| match field {
            Some(field) => Some(format!("[{item}].{field}")),
            None => Some(format!("[{item}]")),
        };
        self.detail = format!("[{item}]: {}", self.detail);
        self.field = inside(&self.field);
        for fault in &mut self.errors {
            fault.field = inside(&fault.field);
        }
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.push((name, value));
        self
    }

    /// With how long to wait before trying again.
    pub(super) fn retry_after(self, seconds: u64) -> Problem {
        self.header(header::RETRY_AFTER, seconds.max(1).into())
    }

    /// There is no `what` of that name.
    pub(super) fn unknown(what: &str, id: &str) -> Problem {
        let id: String = id.chars().take(100).collect();
        Problem::new(Kind::NotFound, format!("there is no {what} `{id}`"))
    }

    /// The cause goes to the log, not to the client.
    pub(super) fn internal(cause: impl std::fmt::Display) -> Problem {
        tracing::error!("a request failed: {cause}");
        Problem::new(
            Kind::Internal,
            "the service met an error that is none of yours; its log tells more",
        )
    }

    /// It may work later.
    pub(super) fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Unavailable, detail).retry_after(1)
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Problem {
        match error.chain().find_map(|cause| cause.downcast_ref()) {
            Some(StoreError::Busy { .. }) => {
                tracing::warn!("{error:#}");
                Problem::unavailable("the database is busy; try again")
            }
            Some(StoreError::Full) => {
                tracing::error!("{error:#}");
                Problem::unavailable(
                    "the disk of the service is full; try again once there is room",
                )
            }
            Some(StoreError::Outdated { .. }) => {
                tracing::error!("{error:#}");
                Problem::unavailable("another release has taken the database over; try again there")
            }
            _ => Problem::internal(format_args!("{error:#}")),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        anyhow::Error::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, name, title) = self.kind.told();
        let body = ProblemBody {
            kind: format!("{TYPES}{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            field: self.field,
            errors: self.errors,
        };
        // Texts and numbers always become JSON.
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
    fn what_may_work_later_says_so_and_nothing_internal_gets_out() {
        let of = |error: StoreError| Problem::from(error).into_response();
        for error in [StoreError::Full, StoreError::Busy { seconds: 120 }] {
            let response = of(error);
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(response.headers().contains_key(header::RETRY_AFTER));
        }
        let problem = Problem::from(StoreError::Engine("/var/lib/x.db: odd".into()));
        assert!(!problem.detail.contains("/var"), "{}", problem.detail);
        let status = problem.into_response().status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
