//! The OpenAPI document, generated from the code, and the page that shows it.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::auth::allows_read_scope;
use super::problem::ProblemBody;
use super::{Api, health, not_found, route_groups, unsubscribe};
use promoflow_api_model::ErrorDetail;
use promoflow_model::key::Scope;

/// Path of the document.
const DOCUMENT_PATH: &str = "/api/openapi.json";

/// Content-Security-Policy of the page: it loads nothing from other sites.
const SELF_ONLY_CSP: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
                              script-src 'self'; img-src 'self' data:; object-src 'none'; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Promoflow",
        description = "Sends each promo code from a workflow exactly once."
    ),
    components(schemas(ProblemBody, ErrorDetail))
)]
struct ApiDoc;

/// Returns the OpenAPI 3.1 document of the service.
pub fn document() -> Value {
    let mut all = OpenApiRouter::<Api>::with_openapi(ApiDoc::openapi())
        .merge(health::router())
        .merge(unsubscribe::router());
    let mut requirements = HashMap::new();
    for group in route_groups() {
        let (scope, stores_responses) = (group.scope, group.stores_responses);
        let paths = group.routes.get_openapi().paths.paths.keys();
        requirements.extend(paths.map(|path| {
            (
                path.clone(),
                Requirements {
                    scope,
                    stores_responses,
                },
            )
        }));
        all = all.merge(group.routes);
    }
    let described = all.into_openapi();
    let mut document = serde_json::to_value(&described).unwrap_or_default();
    complete_document(&mut document, &requirements);
    document
}

/// Requirements of an area for the callers of its paths.
struct Requirements {
    scope: Scope,
    stores_responses: bool,
}

/// Returns the security requirements of an operation; each alternative is sufficient. Scopes are
/// listed where OpenAPI lists roles.
fn security(method: &str, scope: Scope) -> Value {
    let read_suffices = allows_read_scope(method == "get", scope).then_some(Scope::Read);
    let scopes: BTreeSet<Scope> = [scope, Scope::Admin]
        .into_iter()
        .chain(read_suffices)
        .collect();
    let lines = scopes.iter().flat_map(|scope| {
        ["basic", "bearer"].map(|scheme| {
            let mut line = Map::new();
            line.insert(scheme.to_owned(), json!([scope.name()]));
            Value::Object(line)
        })
    });
    lines.collect()
}

/// Adds security requirements and problem responses to all operations.
fn complete_document(document: &mut Value, requirements: &HashMap<String, Requirements>) {
    if let Some(info) = document["info"].as_object_mut() {
        info.remove("license");
    }
    document["components"]["securitySchemes"] = json!({
        "basic": {
            "type": "http", "scheme": "basic",
            "description": "Any user name, and an API key as the password."
        },
        "bearer": { "type": "http", "scheme": "bearer", "description": "An API key." }
    });
    document["security"] = json!([{ "basic": [] }, { "bearer": [] }]);
    document["components"]["responses"] = PROBLEMS
        .iter()
        .map(|(status, description)| {
            let mut response = json!({
                "description": description,
                "content": { "application/problem+json": {
                    "schema": { "$ref": "#/components/schemas/Problem" }
                } }
            });
            if *status == "401" {
                response["headers"] = json!({ "WWW-Authenticate": {
                    "description": "Supported authentication scheme.",
                    "schema": { "type": "string" }
                } });
            }
            if matches!(*status, "429" | "503") {
                response["headers"] = json!({ "Retry-After": {
                    "description": "Seconds to wait before retrying.",
                    "schema": { "type": "integer" }
                } });
            }
            ((*status).to_owned(), response)
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for (path, item) in paths {
        let Some(item) = item.as_object_mut() else {
            continue;
        };
        for (method, operation) in item {
            let requirements = requirements.get(path);
            if let Some(requirements) = requirements {
                operation["security"] = security(method, requirements.scope);
            }
            // The function's name alone is not unique across modules.
            if let (Some(tag), Some(id)) = (
                operation["tags"][0].as_str(),
                operation["operationId"].as_str(),
            ) {
                operation["operationId"] = json!(format!("{tag}-{id}"));
            }
            let stores_responses =
                requirements.is_some_and(|requirements| requirements.stores_responses);
            if let Some(description) = idempotency_description(path, method, stores_responses) {
                if operation["parameters"].is_null() {
                    operation["parameters"] = json!([]);
                }
                if let Some(parameters) = operation["parameters"].as_array_mut() {
                    parameters.push(json!({
                        "name": "Idempotency-Key", "in": "header", "required": false,
                        "description": description,
                        "schema": { "type": ["string", "null"] }
                    }));
                }
            }
            for (status, _) in PROBLEMS {
                if may_respond_with(path, method, status) {
                    let reference = format!("#/components/responses/{status}");
                    operation["responses"][*status] = json!({ "$ref": reference });
                }
            }
        }
    }
}

/// Returns the description of the header Idempotency-Key for operations that accept it.
fn idempotency_description(
    path: &str,
    method: &str,
    stores_responses: bool,
) -> Option<&'static str> {
    match path {
        "/api/v1/event" | "/api/v2/event" => {
            Some("Id of the event: 1 to 300 printable ASCII characters.")
        }
        _ if stores_responses && method == "post" => Some(
            "A repeated request with the same key gets the same response for 24 hours. 1 to 300 \
             printable ASCII characters.",
        ),
        _ => None,
    }
}

/// Descriptions of the problem responses, by status.
const PROBLEMS: &[(&str, &str)] = &[
    ("400", "The request is malformed or the event is invalid."),
    ("401", "A valid API key is needed."),
    (
        "403",
        "The API key does not allow this, or the request is cross-site.",
    ),
    ("404", "Not found."),
    ("405", "Method not allowed."),
    ("408", "The request body arrived too slowly."),
    ("409", "The request conflicts with stored data."),
    ("413", "The request body is too large."),
    ("415", "The media type is not supported."),
    ("422", "The content is invalid."),
    ("429", "Too many requests with this API key."),
    ("500", "Internal error."),
    ("503", "The service is unavailable."),
];

fn may_respond_with(path: &str, method: &str, status: &str) -> bool {
    let requires_key = path.starts_with("/api/") || path == "/metrics";
    match status {
        "500" => true,
        "503" => requires_key || path == "/readyz",
        "400" => true,
        "401" | "403" | "429" => requires_key,
        "404" => path.contains('{'),
        "405" => method == "delete" && path.starts_with("/api/v1/promocodes"),
        "415" => requires_key && method != "get",
        _ => requires_key && method == "post",
    }
}

/// Routes of the document and the page that shows it.
pub(super) fn router() -> Router<Api> {
    let config = Config::from(DOCUMENT_PATH)
        .validator_url("none")
        .try_it_out_enabled(true);
    let page: Router<Api> = SwaggerUi::new("/docs").config(config).into();
    let page = page.layer(map_response(replace_not_found));
    let security = HeaderValue::from_static(SELF_ONLY_CSP);
    page.layer(SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        security,
    ))
    .route(DOCUMENT_PATH, get(document_bytes))
}

/// Replaces 404 responses of the page with a problem.
async fn replace_not_found(response: Response) -> Response {
    match response.status() {
        StatusCode::NOT_FOUND => not_found().await.into_response(),
        _ => response,
    }
}

/// The serialized document and its ETag.
struct SerializedDocument {
    bytes: Bytes,
    etag: HeaderValue,
}

/// Generated once: it never changes and takes as long to generate as many events to process.
static SERIALIZED: LazyLock<SerializedDocument> = LazyLock::new(|| {
    let bytes = Bytes::from(document().to_string());
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let hex: String = digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    SerializedDocument {
        bytes,
        etag: HeaderValue::try_from(format!("\"{hex}\""))
            .unwrap_or(HeaderValue::from_static("\"\"")),
    }
});

async fn document_bytes(headers: HeaderMap) -> Response {
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .any(|tags| has_tag(tags.as_bytes(), SERIALIZED.etag.as_bytes()));
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], SERIALIZED.bytes.clone()).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, SERIALIZED.etag.clone());
    // It contains no secrets; clients revalidate it on each use.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Returns true if the list of entity tags contains the tag.
fn has_tag(tags: &[u8], tag: &[u8]) -> bool {
    tags.split(|byte| *byte == b',').any(|one| {
        let one = one.trim_ascii();
        one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag
    })
}
