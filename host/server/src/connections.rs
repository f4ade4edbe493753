//! Limits on open connections, and eviction in favour of new ones.
//!
//! Clients without a valid key cannot block the service. At the limit, the oldest connection
//! without a valid key is evicted, or else the oldest idle one. Each address may have only a part
//! of the connections, so that others remain for everyone else.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// Idle time after which a connection may be evicted.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// Minimum interval between warnings that an address is at its limit.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// All open connections.
pub(super) struct Connections {
    /// A permit for each further connection.
    room: Arc<Semaphore>,
    max_per_address: usize,
    started: Instant,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// In order of acceptance.
    by_age: BTreeMap<u64, Entry>,
    by_address: HashMap<IpAddr, usize>,
    logged: Option<Instant>,
}

struct Entry {
    _room: OwnedSemaphorePermit,
    address: IpAddr,
    state: ConnectionState,
    end: oneshot::Sender<()>,
}

/// State of a connection, shared with its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionState(Arc<Activity>);

#[derive(Debug, Default)]
struct Activity {
    /// A request with a valid key was received.
    has_key: AtomicBool,
    /// Number of authenticated requests in progress.
    requests: AtomicUsize,
    /// Time of the last transferred byte, in milliseconds since the service started.
    last: AtomicU64,
}

/// A permit for a connection, released when dropped.
pub(super) struct ConnectionPermit {
    connections: Arc<Connections>,
    number: u64,
    pub(super) state: ConnectionState,
    /// Resolves when the connection is evicted.
    pub(super) end: oneshot::Receiver<()>,
}

/// Outcome of a request for a permit.
pub(super) enum Admission {
    /// The connection is admitted.
    Admitted(ConnectionPermit),
    /// All connections are busy; try again.
    Full,
    /// The address has reached its limit and all of its connections are busy.
    Rejected,
}

impl Connections {
    /// Creates the limits: for all connections and for those of one address.
    pub(super) fn new(max_connections: usize, max_per_address: usize) -> Arc<Connections> {
        Arc::new(Connections {
            room: Arc::new(Semaphore::new(
                max_connections.clamp(1, Semaphore::MAX_PERMITS),
            )),
            max_per_address: max_per_address.max(1),
            started: Instant::now(),
            open: Mutex::default(),
        })
    }

    /// Requests a permit for a connection from this address; may evict another connection.
    pub(super) fn admit(self: &Arc<Connections>, address: IpAddr) -> Admission {
        let address = limited_address(address);
        let now = self.now();
        let mut open = self.lock();
        let from_address = open.by_address.get(&address).copied().unwrap_or(0);
        if from_address >= self.max_per_address && !open.evict(Some(address), now) {
            open.log(address, self.max_per_address);
            return Admission::Rejected;
        }
        let room = || Arc::clone(&self.room).try_acquire_owned();
        let Ok(room) = room().or_else(|full| match open.evict(None, now) {
            true => room(),
            false => Err(full),
        }) else {
            return Admission::Full;
        };
        let number = open.next;
        open.next += 1;
        let state = ConnectionState::default();
        state.0.last.store(now, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        *open.by_address.entry(address).or_default() += 1;
        open.by_age.insert(
            number,
            Entry {
                _room: room,
                address,
                state: state.clone(),
                end,
            },
        );
        Admission::Admitted(ConnectionPermit {
            connections: Arc::clone(self),
            number,
            state,
            end: ended,
        })
    }

    /// Waits until a connection has closed, or until a further one may have become idle.
    pub(super) async fn wait_for_room(&self) {
        let _room = timeout(IDLE_AFTER, self.room.acquire()).await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Evicts the least important connection, of this address or of all.
    fn evict(&mut self, of: Option<IpAddr>, now: u64) -> bool {
        let in_scope = |entry: &Entry| of.is_none_or(|address| entry.address == address);
        let find = |open: &Open, matches: &dyn Fn(&Activity) -> bool| {
            let mut all = open.by_age.iter();
            let found = all.find(|(_, entry)| in_scope(entry) && matches(&entry.state.0));
            found.map(|(number, _)| *number)
        };
        let without_key = |activity: &Activity| !activity.has_key.load(Ordering::Relaxed);
        let idle = |activity: &Activity| activity.is_idle(now);
        let Some(number) = find(self, &without_key).or_else(|| find(self, &idle)) else {
            return false;
        };
        if let Some(entry) = self.remove(number) {
            // It may just have closed.
            let _gone = entry.end.send(());
        }
        true
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.by_age.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&entry.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&entry.address);
            }
        }
        Some(entry)
    }

    fn log(&mut self, address: IpAddr, max_connections: usize) {
        let now = Instant::now();
        if self.logged.is_none_or(|at| now - at >= WARNING_INTERVAL) {
            self.logged = Some(now);
            tracing::warn!(
                "{address} has reached the limit of {max_connections} connections for one address; closing \
                 further ones"
            );
        }
    }
}

impl Activity {
    fn is_idle(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.last.load(Ordering::Relaxed));
        self.requests.load(Ordering::Relaxed) == 0 && u128::from(since) >= IDLE_AFTER.as_millis()
    }
}

impl ConnectionState {
    /// Marks an authenticated request as in progress until the result is dropped.
    pub(super) fn begin_request(&self) -> RequestGuard {
        self.0.has_key.store(true, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        RequestGuard(self.clone())
    }
}

/// An authenticated request in progress.
pub(super) struct RequestGuard(ConnectionState);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionPermit {
    /// Records that data was transferred.
    pub(super) fn touch(&self) {
        let now = self.connections.now();
        self.state.0.last.store(now, Ordering::Relaxed);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.lock().remove(self.number);
    }
}

/// Returns the address by which connections are counted: a customer of a provider has a whole IPv6
/// /64 network.
fn limited_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admitted(connections: &Arc<Connections>, last: u8) -> ConnectionPermit {
        match connections.admit(address(last)) {
            Admission::Admitted(permit) => permit,
            Admission::Full => panic!("full"),
            Admission::Rejected => panic!("refused"),
        }
    }

    fn is_evicted(permit: &mut ConnectionPermit) -> bool {
        permit.end.try_recv().is_ok()
    }

    #[test]
    fn evicts_the_oldest_without_a_key_and_never_one_with_a_request_in_progress() {
        let connections = Connections::new(3, 3);
        let mut with_key = admitted(&connections, 1);
        let request = with_key.state.begin_request();
        let mut old = admitted(&connections, 1);
        let mut young = admitted(&connections, 1);
        let other = admitted(&connections, 2);
        assert!(is_evicted(&mut old) && !is_evicted(&mut young) && !is_evicted(&mut with_key));
        // All are busy.
        let (_young, _other) = (young.state.begin_request(), other.state.begin_request());
        assert!(matches!(connections.admit(address(3)), Admission::Full));
        drop(request);
        // A recently used connection is not idle.
        assert!(matches!(connections.admit(address(3)), Admission::Full));
        with_key.state.0.last.store(0, Ordering::Relaxed);
        std::thread::sleep(IDLE_AFTER);
        let _third = admitted(&connections, 3);
        assert!(is_evicted(&mut with_key));
    }

    #[tokio::test]
    async fn a_closed_connection_makes_room_at_once() {
        let connections = Connections::new(1, 1);
        let first = admitted(&connections, 1);
        let _request = first.state.begin_request();
        assert!(matches!(connections.admit(address(2)), Admission::Full));
        let waiting = Instant::now();
        tokio::join!(connections.wait_for_room(), async { drop(first) });
        assert!(waiting.elapsed() < IDLE_AFTER);
        let _second = admitted(&connections, 2);
    }

    #[test]
    fn limits_one_address_without_affecting_others() {
        let connections = Connections::new(10, 2);
        let mut other = admitted(&connections, 2);
        let mut first = admitted(&connections, 1);
        let second = admitted(&connections, 1);
        let third = admitted(&connections, 1);
        assert!(is_evicted(&mut first) && !is_evicted(&mut other));
        let _busy = (second.state.begin_request(), third.state.begin_request());
        assert!(matches!(connections.admit(address(1)), Admission::Rejected));
        drop(second);
        let _next = admitted(&connections, 1);
        let kept = connections.lock();
        assert_eq!((kept.by_age.len(), kept.by_address.len()), (3, 2));
    }

    #[test]
    fn counts_an_ipv6_network_as_one_address_and_a_mapped_one_as_ipv4() {
        let limited_address = |text: &str| limited_address(text.parse().unwrap());
        assert_eq!(
            limited_address("2001:db8::1"),
            limited_address("2001:db8::ffff:1")
        );
        assert_ne!(
            limited_address("2001:db8::1"),
            limited_address("2001:db8:0:1::1")
        );
        assert_eq!(limited_address("::ffff:192.0.2.1"), address(1));
        assert_ne!(limited_address("192.0.2.1"), limited_address("192.0.2.2"));
    }
}
