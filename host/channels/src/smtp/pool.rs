//! A pool of idle connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::Error;
use super::server::Server;

/// Time after which an idle connection is closed.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// Interval at which idle connections are checked.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The idle connections to one server, at most one per sending thread.
#[derive(Default)]
pub(super) struct Pool {
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    connections: Vec<(Instant, Connection)>,
    /// True if a thread closes idle connections.
    has_sweeper: bool,
}

impl Pool {
    /// Returns a connection: a pooled one, which the server may have closed, or a new one.
    pub(super) fn take(&self, server: &Server) -> Result<Connection, Error> {
        let pooled = self.lock().connections.pop();
        match pooled {
            Some((_, connection)) => Ok(connection),
            None => Connection::open(server),
        }
    }

    /// Returns a new connection in place of one that the server had closed. The pooled ones are
    /// older, so they are closed as well.
    pub(super) fn replace(&self, server: &Server) -> Result<Connection, Error> {
        let _closed = std::mem::take(&mut self.lock().connections);
        Connection::open(server)
    }

    /// Returns a connection to the pool.
    pub(super) fn keep(self: &Arc<Pool>, connection: Connection) {
        if connection.is_worn() {
            return;
        }
        let mut state = self.lock();
        state.connections.push((Instant::now(), connection));
        if !state.has_sweeper {
            let pool = Arc::downgrade(self);
            let thread = thread::Builder::new().name("smtp-idle".into());
            // Without the thread, connections stay open until the server closes them.
            state.has_sweeper = thread.spawn(move || sweep(&pool)).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes idle connections until none are left.
fn sweep(pool: &Weak<Pool>) {
    loop {
        thread::sleep(SWEEP_INTERVAL);
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut state = pool.lock();
        let (idle, used) = std::mem::take(&mut state.connections)
            .into_iter()
            .partition(|(since, _)| since.elapsed() >= MAX_IDLE);
        state.connections = used;
        state.has_sweeper = !state.connections.is_empty();
        let is_done = !state.has_sweeper;
        drop(state);
        // Closed without the lock, so that senders do not wait.
        let _ended: Vec<(Instant, Connection)> = idle;
        if is_done {
            return;
        }
    }
}
