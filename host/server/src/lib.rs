//! The HTTP service behind `promoflow serve`.
//!
//! This is the only place that knows HTTP. Each resource has a module with its routes, its JSON
//! shapes and its `router`. They share:
//!
//! | module | contents |
//! | --- | --- |
//! | `options` | options and limits of the service |
//! | `server` | listening, TLS, graceful shutdown |
//! | `listener` | accepting connections, write timeouts |
//! | `connections` | connection limits and eviction |
//! | `descriptors` | limit of open files |
//! | `headers` | headers of every request and response |
//! | `tls` | the certificate and its renewal |
//! | `probe` | readiness probe for containers and supervisors |
//! | `gate` | authentication, scopes and rate limits |
//! | `origin` | protection against cross-site requests |
//! | `request` | queries, bodies and calls of the database |
//! | `query` | unknown query parameters |
//! | `media` | accepted media types |
//! | `page` | pagination |
//! | `problem` | errors in responses |
//! | `idempotency` | stored responses for the Idempotency-Key |
//! | `lasting` | tasks that outlive their client |
//! | `openapi` | the OpenAPI document and its page |
//!
//! The event loop never calls the database on its own threads.
#![allow(
    unused_qualifications,
    reason = "utoipa generates code with qualified paths"
)]

mod alerts;
mod blocks;
mod cloudevents;
mod code;
mod codes;
mod connections;
mod contacts;
mod descriptors;
mod events;
mod files;
mod gate;
mod headers;
mod health;
mod idempotency;
mod keys;
mod lasting;
mod listener;
mod media;
mod messages;
mod metrics;
mod openapi;
mod options;
mod origin;
mod outbox;
mod page;
mod probe;
mod problem;
mod query;
mod rehearsal;
mod request;
mod runs;
mod server;
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

pub use openapi::document;
pub use options::{Limits, Options, Tls};
pub use probe::probe;
pub use server::{check, serve};

use gate::{Gate, Keys, Rate, Rates, guard};
use lasting::Lasting;
use media::MediaTypes;
use problem::{Kind, Problem};
use promoflow_installation::{Promoflow, Running};
use promoflow_model::key::Scope;
use promoflow_store::UploadId;
use query::Queries;

/// Maximum number of events being submitted to the engine. Submitting does not wait for room in the
/// engine's queue, because waiting would block the event loop.
const EVENTS_AT_ONCE: usize = 192;

/// Maximum number of documents, such as workflows, parsed at one time. Parsing one takes many times
/// its size in memory.
const DOCUMENTS_AT_ONCE: usize = 4;

/// State shared by all handlers.
#[derive(Clone)]
struct Api(Arc<Inner>);

struct Inner {
    promoflow: Arc<Promoflow>,
    running: Running,
    keys: Keys,
    rates: Rates,
    limits: Limits,
    events: Arc<Semaphore>,
    /// Permits for uploads that stream a file.
    uploads: Arc<Semaphore>,
    /// Permits for uploads received as a whole, so that slow files do not block them.
    calls: Arc<Semaphore>,
    /// Permits for parsing documents.
    documents: Arc<Semaphore>,
    /// Rows imported so far by each running upload.
    progress: Mutex<HashMap<UploadId, Arc<AtomicU64>>>,
    lasting: Lasting,
    /// Requests in progress with an Idempotency-Key: the API key's id and the Idempotency-Key.
    underway: Mutex<HashSet<(String, String)>>,
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
    fn new(promoflow: Promoflow, limits: Limits) -> anyhow::Result<Api> {
        let running = promoflow.start()?;
        let keys = Keys::default();
        keys.refresh(&promoflow)?;
        Ok(Api(Arc::new(Inner {
            promoflow: Arc::new(promoflow),
            running,
            keys,
            rates: Rates::new(&limits),
            events: Arc::new(Semaphore::new(EVENTS_AT_ONCE)),
            uploads: Arc::new(Semaphore::new(limits.uploads.max(1))),
            calls: Arc::new(Semaphore::new(limits.uploads.max(1))),
            documents: Arc::new(Semaphore::new(DOCUMENTS_AT_ONCE)),
            progress: Mutex::default(),
            lasting: Lasting::default(),
            underway: Mutex::default(),
            draining: AtomicBool::new(false),
            limits,
        })))
    }
}

/// Resources that require an API key.
struct Area {
    routes: OpenApiRouter<Api>,
    /// The scope required for changes; see [`Gate`].
    scope: Scope,
    rate: Rate,
    /// Store responses under the Idempotency-Key.
    remembers: bool,
}

/// Returns all resources, grouped by the scope and rate limit that apply to them.
fn areas() -> [Area; 7] {
    let area = |routes, scope, rate, remembers| Area {
        routes,
        scope,
        rate,
        remembers,
    };
    let codes = codes::router()
        .merge(uploads::router())
        .merge(alerts::outlook_router());
    let workflows = messages::router()
        .merge(workflows::router())
        .merge(runs::router())
        .merge(outbox::router())
        .merge(blocks::router())
        .merge(alerts::router())
        .merge(rehearsal::router());
    [
        // The Idempotency-Key of an event is its id.
        area(events::router(), Scope::Events, Rate::Events, false),
        area(cloudevents::router(), Scope::Events, Rate::Events, true),
        area(codes, Scope::Codes, Rate::Others, true),
        area(contacts::router(), Scope::Contacts, Rate::Others, true),
        area(workflows, Scope::Workflows, Rate::Others, true),
        // The secret of a new key must not be stored.
        area(keys::router(), Scope::Admin, Rate::Others, false),
        area(metrics::router(), Scope::Metrics, Rate::Others, false),
    ]
}

/// Builds the router with all routes.
fn router(api: Api) -> Router {
    let mut all = OpenApiRouter::new()
        .merge(health::router())
        .merge(unsubscribe::router());
    for area in areas() {
        let gate = Gate {
            api: api.clone(),
            scope: area.scope,
            rate: area.rate,
            queries: Queries::of(&area.routes),
            media: MediaTypes::of(&area.routes),
        };
        let mut routes = area.routes;
        if area.remembers {
            routes = routes.route_layer(from_fn_with_state(api.clone(), idempotency::remember));
        }
        // The layer added last runs first.
        all = all.merge(routes.route_layer(from_fn_with_state(gate, guard)));
    }
    let (router, _) = all.split_for_parts();
    router
        .merge(openapi::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), server::log))
        // Every handler limits its body itself and answers with a problem.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

async fn nothing_here() -> Problem {
    Problem::new(
        Kind::NotFound,
        "no resource at this path; see /docs/ for the API",
    )
}

async fn not_allowed() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "this path does not support the method; see the header Allow",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}
