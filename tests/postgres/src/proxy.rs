//! A proxy between a program and a server, which breaks their connections in different ways.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::Error;
use crate::answers::Answers;

/// A proxy on a port of its own. It works for connections without TLS.
///
/// Its threads end with the connections that they serve; the port stays occupied until the process
/// ends.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// What the proxy does with data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Passes them on.
    #[default]
    Open,
    /// Keeps them, and the connections.
    Stalled,
    /// Has no connections.
    Cut,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the mode changes.
    changed: Condvar,
    /// How many answers to COMMIT are still to be swallowed.
    to_swallow: AtomicU64,
    swallowed: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    /// The two streams of each open connection.
    connections: HashMap<u64, [TcpStream; 2]>,
    last: u64,
}

impl Proxy {
    /// Starts a proxy for a port of this machine.
    pub fn start(target: u16) -> Result<Proxy, Error> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(Error::of("listen on an unused port"))?;
        let address = listener
            .local_addr()
            .map_err(Error::of("read the port of a proxy"))?;
        let shared = Arc::new(Shared::default());
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is down closes the connection, as a real one would refuse it.
                let _refused = of_listener.connect(client, target);
            }
        });
        Ok(Proxy {
            port: address.port(),
            shared,
        })
    }

    /// Returns the port on which the proxy listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes everything on, as at the start, and what was kept meanwhile first.
    pub fn open(&self) {
        self.shared.set(Mode::Open);
    }

    /// Keeps connections open but passes nothing on. New connections are accepted.
    pub fn stall(&self) {
        self.shared.set(Mode::Stalled);
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }

    /// Swallows the next answers that say that a transaction was committed: each time the connection
    /// is closed instead. Returns the number that earlier calls asked for and that did not occur.
    pub fn swallow_commits(&self, count: u64) -> u64 {
        self.shared.to_swallow.swap(count, Ordering::SeqCst)
    }

    /// Returns how many answers were swallowed.
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn set(&self, mode: Mode) {
        let mut state = self.state();
        state.mode = mode;
        if mode == Mode::Cut {
            for (_, streams) in state.connections.drain() {
                close(&streams);
            }
        }
        self.changed.notify_all();
    }

    fn connect(self: &Arc<Self>, client: TcpStream, target: u16) -> io::Result<()> {
        if self.state().mode == Mode::Cut {
            return Ok(());
        }
        let server = TcpStream::connect(("127.0.0.1", target))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let streams = [client.try_clone()?, server.try_clone()?];
        let mut state = self.state();
        if state.mode == Mode::Cut {
            return Ok(());
        }
        state.last += 1;
        let number = state.last;
        state.connections.insert(number, streams);
        drop(state);
        let (requests, answers) = (Arc::clone(self), Arc::clone(self));
        let (from, to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || requests.pass_on(number, from, to, None));
        thread::spawn(move || answers.pass_on(number, server, client, Some(Answers::default())));
        Ok(())
    }

    /// Passes data on in one direction until the connection ends.
    fn pass_on(
        &self,
        number: u64,
        mut from: TcpStream,
        mut to: TcpStream,
        mut answers: Option<Answers>,
    ) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let data = &buffer[..length];
            let commits = answers.as_mut().is_some_and(|one| one.has_commit(data));
            if commits && self.swallows() {
                break;
            }
            self.wait_while_stalled();
            if to.write_all(data).is_err() {
                break;
            }
        }
        if let Some(streams) = self.state().connections.remove(&number) {
            close(&streams);
        }
    }

    fn swallows(&self) -> bool {
        let one_less = |count: u64| count.checked_sub(1);
        let swallows = self
            .to_swallow
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok();
        self.swallowed
            .fetch_add(u64::from(swallows), Ordering::SeqCst);
        swallows
    }

    fn wait_while_stalled(&self) {
        let mut state = self.state();
        while state.mode == Mode::Stalled {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close(streams: &[TcpStream; 2]) {
    for stream in streams {
        // It may be closed already.
        let _closed = stream.shutdown(Shutdown::Both);
    }
}
