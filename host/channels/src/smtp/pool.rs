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
const LOOK: Duration = Duration::from_secs(5);

/// The idle connections to one server, at most one per sending thread.
#[derive(Default)]
pub(super) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    connections: Vec<(Instant, Connection)>,
    /// True if a thread closes idle connections.
    is_swept: bool,
}

impl Pool {
    /// Returns a live connection: a pooled one, or a new one.
    pub(super) fn take(&self, server: &Server) -> Result<Connection, Error> {
        let kept = self.lock().connections.pop();
        if let Some((_, mut connection)) = kept {
            if connection.is_alive() {
                return Ok(connection);
            }
            // The server was restarted or closed idle connections; the others are closed as well.
            let _others = std::mem::take(&mut self.lock().connections);
        }
        Connection::open(server)
    }

    /// Returns a connection to the pool.
    pub(super) fn keep(self: &Arc<Pool>, connection: Connection) {
        let mut kept = self.lock();
        kept.connections.push((Instant::now(), connection));
        if !kept.is_swept {
            let pool = Arc::downgrade(self);
            let thread = thread::Builder::new().name("smtp-idle".into());
            // Without the thread, connections stay open until the server closes them.
            kept.is_swept = thread.spawn(move || sweep(&pool)).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes idle connections until none are left.
fn sweep(pool: &Weak<Pool>) {
    loop {
        thread::sleep(LOOK);
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut kept = pool.lock();
        let (idle, used) = std::mem::take(&mut kept.connections)
            .into_iter()
            .partition(|(since, _)| since.elapsed() >= MAX_IDLE);
        kept.connections = used;
        kept.is_swept = !kept.connections.is_empty();
        let is_done = !kept.is_swept;
        drop(kept);
        // Closed without the lock, so that senders do not wait.
        let _ended: Vec<(Instant, Connection)> = idle;
        if is_done {
            return;
        }
    }
}
