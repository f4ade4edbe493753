//! The HTTP service behind `promoflow serve`.
//!
//! This is the only place that knows HTTP. Each resource has a module with its routes, its JSON
//! shapes and its `router`. They share:
//!
//! | module | contents |
//! | --- | --- |
//! | `options` | options and limits of the service |
//! | `error` | errors of the service as a whole |
//! | `server` | listening, TLS, graceful shutdown |
//! | `listener` | accepting connections, write timeouts |
//! | `connections` | connection limits and eviction |
//! | `descriptors` | limit of open files |
//! | `headers` | headers of every request and response |
//! | `tls` | the certificate and its renewal |
//! | `probe` | readiness probe for containers and supervisors |
//! | `auth` | authentication, scopes and rate limits |
//! | `cross_site` | protection against cross-site requests |
//! | `request` | queries, bodies and calls of the database |
//! | `query_params` | unknown query parameters |
//! | `media` | accepted media types |
//! | `pagination` | pagination |
//! | `problem` | errors in responses |
//! | `idempotency` | stored responses for the Idempotency-Key |
//! | `detached` | tasks that outlive their client |
//! | `openapi` | the OpenAPI document and its page |
//!
//! The event loop never calls the database on its own threads.
//!
//! ```
//! let document = promoflow_server::document();
//! assert!(document["paths"]["/api/v1/event"].is_object());
//! ```
//!
//! This crate is internal to Promoflow: its interface changes in any release. Programs depend on the
//! facade `promoflow` instead.
#![forbid(unsafe_code)]
#![allow(
    unused_qualifications,
    reason = "utoipa generates code with qualified paths"
)]

mod alerts;
mod auth;
mod blocks;
mod cloudevents;
mod code_detail;
mod codes;
mod connections;
mod contacts;
mod cross_site;
mod definitions;
mod descriptors;
mod detached;
mod error;
mod events;
mod headers;
mod health;
mod idempotency;
mod keys;
mod listener;
mod media;
mod messages;
mod metrics;
mod openapi;
mod options;
mod outbox;
mod pagination;
mod probe;
mod problem;
mod query_params;
mod request;
mod runs;
mod server;
mod test_run;
mod tls;
mod unsubscribe;
mod upload;
mod uploads;
mod workflows;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub use error::{ProbeError, ServeError};
pub use openapi::document;
pub use options::{Limits, Options, Tls};
pub use probe::probe;
pub use server::{check, serve};

use auth::{AccessRules, Keys, Rate, Rates, authorize};
use detached::DetachedTasks;
use media::MediaTypes;
use problem::{Kind, Problem};
use promoflow_installation::{EngineHandle, Promoflow};
use promoflow_model::key::Scope;
use promoflow_store::UploadId;
use query_params::KnownQueryParams;

/// Maximum number of events being submitted to the engine. Submitting does not wait for room in the
/// engine's queue, because waiting would block the event loop.
const MAX_CONCURRENT_EVENTS: usize = 192;

/// Maximum number of documents, such as workflows, parsed at one time. Parsing one takes many times
/// its size in memory.
const MAX_CONCURRENT_DOCUMENTS: usize = 4;

/// State shared by all handlers.
#[derive(Clone)]
struct Api(Arc<Inner>);

struct Inner {
    promoflow: Arc<Promoflow>,
    running: EngineHandle,
    keys: Keys,
    rates: Rates,
    limits: Limits,
    events: Arc<Semaphore>,
    /// Permits for uploads that stream a file.
    uploads: Arc<Semaphore>,
    /// Permits for uploads received as a whole, so that slow files do not block them.
    small_uploads: Arc<Semaphore>,
    /// Permits for parsing documents.
    documents: Arc<Semaphore>,
    /// Rows imported so far by each running upload.
    progress: Mutex<HashMap<UploadId, Arc<AtomicU64>>>,
    detached: DetachedTasks,
    /// Requests in progress with an Idempotency-Key: the API key's id and the Idempotency-Key.
    in_progress: Mutex<HashSet<(String, String)>>,
    /// Set once the service is shutting down.
    draining: AtomicBool,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    fn new(promoflow: Promoflow, limits: Limits) -> Result<Api, promoflow_installation::Error> {
        let running = promoflow.start()?;
        let keys = Keys::default();
        keys.refresh(&promoflow)?;
        Ok(Api(Arc::new(Inner {
            promoflow: Arc::new(promoflow),
            running,
            keys,
            rates: Rates::new(&limits),
            events: Arc::new(Semaphore::new(MAX_CONCURRENT_EVENTS)),
            uploads: Arc::new(Semaphore::new(limits.uploads.max(1))),
            small_uploads: Arc::new(Semaphore::new(limits.uploads.max(1))),
            documents: Arc::new(Semaphore::new(MAX_CONCURRENT_DOCUMENTS)),
            progress: Mutex::default(),
            detached: DetachedTasks::default(),
            in_progress: Mutex::default(),
            draining: AtomicBool::new(false),
            limits,
        })))
    }
}

/// Resources that require an API key.
struct RouteGroup {
    routes: OpenApiRouter<Api>,
    /// The scope required for changes; see [`AccessRules`].
    scope: Scope,
    rate: Rate,
    /// Store responses under the Idempotency-Key.
    stores_responses: bool,
}

/// Returns all resources, grouped by the scope and rate limit that apply to them.
fn route_groups() -> [RouteGroup; 7] {
    let group = |routes, scope, rate, stores_responses| RouteGroup {
        routes,
        scope,
        rate,
        stores_responses,
    };
    let codes = codes::router()
        .merge(uploads::router())
        .merge(alerts::forecast_router());
    let workflows = messages::router()
        .merge(workflows::router())
        .merge(runs::router())
        .merge(outbox::router())
        .merge(blocks::router())
        .merge(alerts::router())
        .merge(test_run::router());
    [
        // The Idempotency-Key of an event is its id.
        group(events::router(), Scope::Events, Rate::Events, false),
        group(cloudevents::router(), Scope::Events, Rate::Events, true),
        group(codes, Scope::Codes, Rate::Others, true),
        group(contacts::router(), Scope::Contacts, Rate::Others, true),
        group(workflows, Scope::Workflows, Rate::Others, true),
        // The secret of a new key must not be stored.
        group(keys::router(), Scope::Admin, Rate::Others, false),
        group(metrics::router(), Scope::Metrics, Rate::Others, false),
    ]
}

/// Builds the router with all routes.
fn router(api: Api) -> Router {
    let mut all = OpenApiRouter::new()
        .merge(health::router())
        .merge(unsubscribe::router());
    for group in route_groups() {
        let auth = AccessRules {
            api: api.clone(),
            scope: group.scope,
            rate: group.rate,
            query_params: KnownQueryParams::from_routes(&group.routes),
            media: MediaTypes::from_routes(&group.routes),
        };
        let mut routes = group.routes;
        if group.stores_responses {
            routes =
                routes.route_layer(from_fn_with_state(api.clone(), idempotency::store_response));
        }
        // The layer added last runs first.
        all = all.merge(routes.route_layer(from_fn_with_state(auth, authorize)));
    }
    let (router, _) = all.split_for_parts();
    router
        .merge(openapi::router())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), server::log_request))
        // Every handler limits its body itself and answers with a problem.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

async fn not_found() -> Problem {
    Problem::new(
        Kind::NotFound,
        "no resource at this path; see /docs/ for the API",
    )
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "this path does not support the method; see the header Allow",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}
