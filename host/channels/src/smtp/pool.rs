//! Connections that are kept for the next mail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::Error;
use super::server::Server;

/// How long a connection is kept that nobody uses.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// How often it is looked for such connections.
const LOOK: Duration = Duration::from_secs(5);

/// Connections to one server. There are as many as threads that send.
#[derive(Default)]
pub(super) struct Pool {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    connections: Vec<(Instant, Connection)>,
    /// Whether a thread looks after them.
    is_swept: bool,
}

impl Pool {
    /// A connection on which the server answers: one that was kept, or another.
    pub(super) fn take(&self, server: &Server) -> Result<Connection, Error> {
        let kept = self.lock().connections.pop();
        if let Some((_, mut connection)) = kept {
            if connection.is_alive() {
                return Ok(connection);
            }
            // It was restarted, or has had enough of us: so it is with the others.
            let _others = std::mem::take(&mut self.lock().connections);
        }
        Connection::open(server)
    }

    /// Keeps a connection for a while.
    pub(super) fn keep(self: &Arc<Pool>, connection: Connection) {
        let mut kept = self.lock();
        kept.connections.push((Instant::now(), connection));
        if !kept.is_swept {
            let pool = Arc::downgrade(self);
            let thread = thread::Builder::new().name("smtp-idle".into());
            // Without it they are kept until the server hangs up.
            kept.is_swept = thread.spawn(move || sweep(&pool)).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends connections that nobody uses, until there are none.
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
        // Whoever sends meanwhile does not wait for their end.
        let _ended: Vec<(Instant, Connection)> = idle;
        if is_done {
            return;
        }
    }
}
