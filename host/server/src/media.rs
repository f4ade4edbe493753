//! Rejects media types that an operation does not accept. The accepted ones come from each
//! operation's OpenAPI description.
//!
//! A page of another site can make a browser send the media types of forms, or a body without a
//! type, without a CORS preflight. These are rejected wherever no form is expected.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::cross_site::is_safe;
use super::problem::{Kind, Problem};
use super::request::media_type;

/// Media types that forms send (WHATWG Fetch: the CORS-safelisted values of Content-Type).
const FORM_MEDIA_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// Media types accepted by the operations of a group of routes.
#[derive(Clone)]
pub(super) struct MediaTypes(Arc<HashMap<(Method, String), Vec<String>>>);

impl MediaTypes {
    /// Collects the media types of these routes.
    pub(super) fn from_routes(routes: &OpenApiRouter<Api>) -> MediaTypes {
        let mut known = HashMap::new();
        for (path, item) in &routes.get_openapi().paths.paths {
            for (method, operation) in [
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    known.insert((method, path.clone()), media_types(operation));
                }
            }
        }
        MediaTypes(Arc::new(known))
    }

    /// Rejects an unsafe request whose body has no media type, or a form's media type that the
    /// operation does not accept.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        if is_safe(request.method()) {
            return Ok(());
        }
        let path = request.extensions().get::<MatchedPath>();
        let path = path.map_or(String::new(), |path| path.as_str().to_owned());
        // The fallback answers methods that are not allowed.
        let Some(accepted) = self.0.get(&(request.method().clone(), path)) else {
            return Ok(());
        };
        let refused = match media_type(request.headers()) {
            Some(found) => FORM_MEDIA_TYPES.contains(&found.as_str()) && !accepted.contains(&found),
            None => !request.body().is_end_stream(),
        };
        if !refused {
            return Ok(());
        }
        let detail = match accepted.as_slice() {
            [] => "this request takes no body; send neither a body nor a Content-Type".to_owned(),
            accepted => format!("the Content-Type must be {}", accepted.join(" or ")),
        };
        Err(Problem::new(Kind::UnsupportedMediaType, detail))
    }
}

fn media_types(operation: &Operation) -> Vec<String> {
    match &operation.request_body {
        Some(RefOr::T(body)) => body.content.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
