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

use tokio::sync::oneshot;

/// Idle time after which a connection may be evicted.
const IDLE: Duration = Duration::from_secs(1);
/// Minimum interval between warnings that an address is at its limit.
const QUIET: Duration = Duration::from_secs(60);

/// All open connections.
pub(super) struct Connections {
    most: usize,
    most_of_one: usize,
    began: Instant,
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
    address: IpAddr,
    visit: Visit,
    end: oneshot::Sender<()>,
}

/// State of a connection, shared with its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// A request with a valid key was received.
    has_key: AtomicBool,
    /// Number of authenticated requests in progress.
    requests: AtomicUsize,
    /// Time of the last transferred byte, in milliseconds since the service started.
    last: AtomicU64,
}

/// A permit for a connection, released when dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(super) visit: Visit,
    /// Resolves when the connection is evicted.
    pub(super) end: oneshot::Receiver<()>,
}

/// Outcome of a request for a permit.
pub(super) enum Admission {
    /// The connection is admitted.
    Taken(Place),
    /// All connections are busy; try again.
    Full,
    /// The address has reached its limit and all of its connections are busy.
    Refused,
}

impl Connections {
    /// Creates the limits: for all connections and for those of one address.
    pub(super) fn new(most: usize, most_of_one: usize) -> Arc<Connections> {
        Arc::new(Connections {
            most: most.max(1),
            most_of_one: most_of_one.max(1),
            began: Instant::now(),
            open: Mutex::default(),
        })
    }

    /// Requests a permit for a connection from this address; may evict another connection.
    pub(super) fn admit(self: &Arc<Connections>, address: IpAddr) -> Admission {
        let address = whose(address);
        let now = self.now();
        let mut open = self.lock();
        let of_one = open.by_address.get(&address).copied().unwrap_or(0);
        if of_one >= self.most_of_one && !open.make_room(Some(address), now) {
            open.log(address, self.most_of_one);
            return Admission::Refused;
        }
        if open.by_age.len() >= self.most && !open.make_room(None, now) {
            return Admission::Full;
        }
        let number = open.next;
        open.next += 1;
        let visit = Visit::default();
        visit.0.last.store(now, Ordering::Relaxed);
        let (end, ended) = oneshot::channel();
        *open.by_address.entry(address).or_default() += 1;
        open.by_age.insert(
            number,
            Entry {
                address,
                visit: visit.clone(),
                end,
            },
        );
        Admission::Taken(Place {
            connections: Arc::clone(self),
            number,
            visit,
            end: ended,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Evicts the least important connection, of this address or of all.
    fn make_room(&mut self, of: Option<IpAddr>, now: u64) -> bool {
        let concerned = |entry: &Entry| of.is_none_or(|address| entry.address == address);
        let find = |open: &Open, fits: &dyn Fn(&Known) -> bool| {
            let mut all = open.by_age.iter();
            let found = all.find(|(_, entry)| concerned(entry) && fits(&entry.visit.0));
            found.map(|(number, _)| *number)
        };
        let strange = |known: &Known| !known.has_key.load(Ordering::Relaxed);
        let idle = |known: &Known| known.is_idle(now);
        let Some(number) = find(self, &strange).or_else(|| find(self, &idle)) else {
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

    fn log(&mut self, address: IpAddr, most: usize) {
        let now = Instant::now();
        if self.logged.is_none_or(|at| now - at >= QUIET) {
            self.logged = Some(now);
            tracing::warn!(
                "{address} has reached the limit of {most} connections for one address; closing \
                 further ones"
            );
        }
    }
}

impl Known {
    fn is_idle(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.last.load(Ordering::Relaxed));
        self.requests.load(Ordering::Relaxed) == 0 && u128::from(since) >= IDLE.as_millis()
    }
}

impl Visit {
    /// Marks an authenticated request as in progress until the result is dropped.
    pub(super) fn request(&self) -> Request {
        self.0.has_key.store(true, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        Request(self.clone())
    }
}

/// An authenticated request in progress.
pub(super) struct Request(Visit);

impl Drop for Request {
    fn drop(&mut self) {
        self.0.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place {
    /// Records that data was transferred.
    pub(super) fn used(&self) {
        let now = self.connections.now();
        self.visit.0.last.store(now, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.number);
    }
}

/// Returns the address by which connections are counted: a customer of a provider has a whole IPv6
/// /64 network.
fn whose(address: IpAddr) -> IpAddr {
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

    fn taken(connections: &Arc<Connections>, last: u8) -> Place {
        match connections.admit(address(last)) {
            Admission::Taken(place) => place,
            Admission::Full => panic!("full"),
            Admission::Refused => panic!("refused"),
        }
    }

    fn is_ended(place: &mut Place) -> bool {
        place.end.try_recv().is_ok()
    }

    #[test]
    fn evicts_the_oldest_without_a_key_and_never_one_with_a_request_in_progress() {
        let connections = Connections::new(3, 3);
        let mut with_key = taken(&connections, 1);
        let request = with_key.visit.request();
        let mut old = taken(&connections, 1);
        let mut young = taken(&connections, 1);
        let other = taken(&connections, 2);
        assert!(is_ended(&mut old) && !is_ended(&mut young) && !is_ended(&mut with_key));
        // All are busy.
        let (_young, _other) = (young.visit.request(), other.visit.request());
        assert!(matches!(connections.admit(address(3)), Admission::Full));
        drop(request);
        // A recently used connection is not idle.
        assert!(matches!(connections.admit(address(3)), Admission::Full));
        with_key.visit.0.last.store(0, Ordering::Relaxed);
        std::thread::sleep(IDLE);
        let _third = taken(&connections, 3);
        assert!(is_ended(&mut with_key));
    }

    #[test]
    fn limits_one_address_without_affecting_others() {
        let connections = Connections::new(10, 2);
        let mut other = taken(&connections, 2);
        let mut first = taken(&connections, 1);
        let second = taken(&connections, 1);
        let third = taken(&connections, 1);
        assert!(is_ended(&mut first) && !is_ended(&mut other));
        let _busy = (second.visit.request(), third.visit.request());
        assert!(matches!(connections.admit(address(1)), Admission::Refused));
        drop(second);
        let _next = taken(&connections, 1);
        let kept = connections.lock();
        assert_eq!((kept.by_age.len(), kept.by_address.len()), (3, 2));
    }

    #[test]
    fn counts_an_ipv6_network_as_one_address_and_a_mapped_one_as_ipv4() {
        let whose = |text: &str| whose(text.parse().unwrap());
        assert_eq!(whose("2001:db8::1"), whose("2001:db8::ffff:1"));
        assert_ne!(whose("2001:db8::1"), whose("2001:db8:0:1::1"));
        assert_eq!(whose("::ffff:192.0.2.1"), address(1));
        assert_ne!(whose("192.0.2.1"), whose("192.0.2.2"));
    }
}
