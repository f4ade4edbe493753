//! The HTTP service: `promoflow serve`.
//!
//! The one place that knows HTTP. A module a resource has its routes, its shapes and its
//! `router`; what they share:
//!
//! | module | holds |
//! | --- | --- |
//! | `options` | what a service is started with |
//! | `server` | listening, TLS, ending |
//! | `listener` | accepting connections, and waiting for their clients |
//! | `connections` | which connections there are, and which make room |
//! | `descriptors` | files that the process may have open |
//! | `headers` | headers of every request and answer |
//! | `tls` | the certificate |
//! | `probe` | asking a service whether it is ready |
//! | `gate` | keys, scopes, rates: who may come in, and what is asked of all |
//! | `origin` | browsers, and pages of other sites |
//! | `request` | queries, bodies and calls of the database |
//! | `query` | parameters that no operation knows |
//! | `media` | media types that no operation reads |
//! | `page` | listings in pages |
//! | `problem` | what clients are told of errors |
//! | `idempotency` | answers that are given again |
//! | `lasting` | work that outlives its client |
//! | `openapi` | the document that describes it all, and its page |
//!
//! Nothing of the database is called on a thread of the event loop.
#![allow(
    unused_qualifications,
    reason = "utoipa writes paths into the code that it makes"
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

/// Events on their way to the engine at one time: handing one over does not wait for room in its
/// queue, which would hold up the event loop.
const EVENTS_AT_ONCE: usize = 192;

/// Documents that are read at one time, such as workflows: each may be held many times over.
const DOCUMENTS_AT_ONCE: usize = 4;

/// What all handlers share.
#[derive(Clone)]
struct Api(Arc<Inner>);

struct Inner {
    promoflow: Arc<Promoflow>,
    running: Running,
    keys: Keys,
    rates: Rates,
    limits: Limits,
    events: Arc<Semaphore>,
    /// Turns of uploads whose file is on its way.
    uploads: Arc<Semaphore>,
    /// Turns of uploads that came as a whole, so that no slow file holds them up.
    calls: Arc<Semaphore>,
    /// Turns of documents that are read.
    documents: Arc<Semaphore>,
    /// Rows that the uploads on their way have taken.
    progress: Mutex<HashMap<UploadId, Arc<AtomicU64>>>,
    lasting: Lasting,
    /// Requests with an Idempotency-Key that are on their way: API key and that key.
    underway: Mutex<HashSet<(String, String)>>,
    /// The service was told to end.
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

/// Resources behind the gate.
struct Area {
    routes: OpenApiRouter<Api>,
    /// What changes need; see [`Gate`].
    scope: Scope,
    rate: Rate,
    /// Whether answers under an Idempotency-Key are remembered here.
    remembers: bool,
}

/// All resources, by what they ask of callers.
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
        // A secret is shown once, and not remembered.
        area(keys::router(), Scope::Admin, Rate::Others, false),
        area(metrics::router(), Scope::Metrics, Rate::Others, false),
    ]
}

/// All routes.
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
        // The last is the first that a request comes to.
        all = all.merge(routes.route_layer(from_fn_with_state(gate, guard)));
    }
    let (router, _) = all.split_for_parts();
    router
        .merge(openapi::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), server::log))
        // Every handler bounds its body itself, and says so as a problem.
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

async fn nothing_here() -> Problem {
    Problem::new(
        Kind::NotFound,
        "there is nothing at this path; /docs/ shows what there is",
    )
}

async fn not_allowed() -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        "this method does not fit this path; the header Allow names those that do",
    )
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::internal("a handler panicked").into_response()
}
