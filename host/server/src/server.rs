//! Listening and graceful shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_server::tls_rustls::RustlsAcceptor;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;

use super::connections::{ConnectionState, Connections};
use super::listener::{LimitedListener, Peer};
use super::request::check_uri;
use super::tls::{load_certificate, reload_on_change};
use super::{Api, Limits, Options, ServeError, auth, descriptors, headers, router};
use promoflow_installation::{Error, Promoflow};
use promoflow_store::StoreError;

/// Buffer size for the head of a request; hyper may read twice as much. A client can make the
/// service hold this memory before it has authenticated.
const HEAD_BUFFER_BYTES: usize = 64 << 10;

/// Serves until the process receives SIGTERM or SIGINT. Then it stops accepting connections,
/// finishes the requests in progress within [`Options::drain`], and shuts the engine down.
/// `on_listening` is called with the address once the service accepts connections.
pub fn serve(
    promoflow: Promoflow,
    options: Options,
    on_listening: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    promoflow.mark_uploads_interrupted()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("http")
        .build()
        .map_err(|source| ServeError::System {
            what: "start the threads of the HTTP service",
            source,
        })?;
    let api = Api::new(promoflow, options.limits.clone())?;
    let served = runtime.block_on(async {
        let served = run(&api, &options, on_listening).await;
        // Tasks whose client has disconnected are not tied to any connection.
        let _in_time = tokio::time::timeout(options.drain, api.detached.wait()).await;
        served
    });
    // Uploads whose client is still connected have ended with their connections.
    runtime.shutdown_timeout(options.drain);
    api.running.shut_down();
    served
}

/// Checks the certificate and private key without starting the service.
pub fn check(options: &Options) -> Result<(), ServeError> {
    let Some(tls) = &options.tls else {
        return Ok(());
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServeError::System {
            what: "start a thread",
            source,
        })?
        .block_on(load_certificate(tls))
        .map(drop)
}

async fn run(
    api: &Api,
    options: &Options,
    on_listening: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    // Before listening, so that no signal is lost once clients can connect.
    let shutdown = ShutdownSignal::new().map_err(|source| ServeError::System {
        what: "listen for signals",
        source,
    })?;
    let tls = match &options.tls {
        Some(tls) => {
            let config = load_certificate(tls).await?;
            tokio::spawn(reload_on_change(config.clone(), tls.clone()));
            Some(config)
        }
        None => None,
    };
    let listen = |source| ServeError::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let handle = Handle::new();
    let (ending, end, drain) = (api.clone(), handle.clone(), options.drain);
    let ended = tokio::spawn(async move {
        let why = tokio::select! {
            () = shutdown.wait() => {
                tracing::info!("shutdown requested");
                None
            }
            why = watch_database(&ending) => Some(why),
        };
        ending.draining.store(true, Ordering::SeqCst);
        end.graceful_shutdown(Some(drain));
        why
    });
    on_listening(address);
    let limited = LimitedListener {
        inner: listener,
        connections: connection_limits(&options.limits),
        pause: options.limits.body_timeout,
    };
    let server = Server::<Peer>::from_listener(limited).handle(handle);
    let service = router(api.clone()).into_make_service_with_connect_info::<ConnectionState>();
    match tls {
        Some(config) => {
            let handshake =
                RustlsAcceptor::new(config).handshake_timeout(options.limits.header_timeout);
            let server = with_header_timeout(server.acceptor(handshake), &options.limits);
            server.serve(service).await
        }
        None => {
            with_header_timeout(server, &options.limits)
                .serve(service)
                .await
        }
    }
    .map_err(ServeError::Ended)?;
    // The server runs until this task has ended it.
    match ended
        .await
        .map_err(|error| ServeError::Ended(error.into()))?
    {
        Some(why) => Err(why.into()),
        None => Ok(()),
    }
}

/// Returns the connection limits, lowered if the process may not open enough files.
fn connection_limits(limits: &Limits) -> Arc<Connections> {
    let files = descriptors::raise_limit();
    let max_connections = descriptors::max_connections(limits.connections, files);
    if max_connections < limits.connections {
        tracing::warn!(
            "the process may open only {} files: of {} connections it accepts {max_connections}; raise the \
             limit (`ulimit -Hn`, LimitNOFILE)",
            files.unwrap_or_default(),
            limits.connections
        );
    }
    let max_per_address = limits
        .connections_per_address
        .unwrap_or(max_connections.div_ceil(2));
    Connections::new(max_connections, max_per_address)
}

/// Configures the server to time out while it reads the head of a request. Must be called last:
/// setting another acceptor resets `http1_only`, and detecting the protocol has no timeout.
fn with_header_timeout<Acceptor>(
    server: Server<Peer, Acceptor>,
    limits: &Limits,
) -> Server<Peer, Acceptor> {
    let mut server = server.http1_only();
    let mut http = server.http_builder().http1();
    http.timer(TokioTimer::new())
        .max_buf_size(HEAD_BUFFER_BYTES)
        .header_read_timeout(limits.header_timeout);
    server
}

/// A signal that asks the process to shut down.
#[cfg(unix)]
struct ShutdownSignal {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl ShutdownSignal {
    fn new() -> io::Result<ShutdownSignal> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(ShutdownSignal {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct ShutdownSignal;

#[cfg(not(unix))]
impl ShutdownSignal {
    fn new() -> io::Result<ShutdownSignal> {
        Ok(ShutdownSignal)
    }

    async fn wait(self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Watches for changes that other processes make to the database: new or revoked keys, and an
/// upgrade by another release. Returns the reason why this process must stop.
async fn watch_database(api: &Api) -> Error {
    loop {
        tokio::time::sleep(auth::REFRESH_INTERVAL).await;
        let api = api.clone();
        let result = tokio::task::spawn_blocking(move || {
            api.promoflow.check_schema()?;
            api.keys.refresh(&api.promoflow)
        });
        let Ok(Err(error)) = result.await else {
            continue;
        };
        if matches!(error, Error::Store(StoreError::Outdated { .. })) {
            return error;
        }
        tracing::error!("cannot read the database: {error}");
    }
}

/// Logs and counts each request. Uses the route's pattern, because the path itself may contain a
/// promo code.
pub(super) async fn log_request(State(api): State<Api>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let checked = headers::check_host(&request).and_then(|()| check_uri(request.uri()));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    headers::add_security_headers(response.headers_mut());
    let (route, status) = (path.as_deref().unwrap_or("-"), response.status().as_u16());
    let elapsed = began.elapsed();
    let requests = &api.promoflow.metrics().requests;
    requests.answered(method_label(&method), route, status, elapsed);
    tracing::info!(
        %method,
        path = route,
        status,
        micros = elapsed.as_micros(),
        "request"
    );
    response
}

/// Returns the method's label in the metrics. Unknown methods share one label, since clients can
/// send any.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => method.as_str(),
        _ => "other",
    }
}
