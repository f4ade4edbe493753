//! Leases: the next codes of each lane, held in memory and handed to staged claims in order.
//!
//! A lease is not a claim: nothing is taken before the segment's commit deletes the code from the
//! pool, and a crash forgets leases without a trace. One process executes on a database, so
//! nobody else leases; what others upload, change or retire meanwhile shows in the pool's
//! generation, or at the latest in the commit, which refuses a code that is no longer there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Lane;
use promoflow_store::{FreeCode, Position, Result, StagedClaim, Store};

/// Codes that are read at first, and at most, at once. Reading costs little and memory less; the
/// first are few so that a single event starts fast.
const FIRST_READ: usize = 16;
const LARGEST_READ: usize = 1024;
/// How long a claim waits for codes that other segments have staged.
const SETTLE: Duration = Duration::from_secs(1);
/// Lanes, and stretches of one, that are remembered: events may ask for any type and any days.
const MOST_LANES: usize = 4_096;
const MOST_WINDOWS: usize = 16;

/// What a claim met.
#[derive(Debug)]
pub(super) enum Taken {
    /// This code.
    Code(FreeCode),
    /// No code matches, and none is on its way back.
    Exhausted,
    /// All that match are staged by other segments, and waiting might be for ever.
    Contended,
}

pub(super) struct Leases {
    store: Arc<dyn Store>,
    book: Mutex<Book>,
    settled: Condvar,
    /// This process's changes of the pool that were looked at.
    changes: AtomicU64,
}

#[derive(Default)]
struct Book {
    /// The pool's generation that the windows were read from.
    generation: u64,
    lanes: HashMap<Lane, LaneBook>,
}

impl Book {
    /// Forgets the lanes of which nothing is staged, where there are very many.
    fn make_room(&mut self) {
        if self.lanes.len() >= MOST_LANES {
            self.lanes.retain(|_, lane| !lane.staged.is_empty());
        }
    }
}

#[derive(Default)]
struct LaneBook {
    /// Handed to segments that are not committed yet.
    staged: BTreeSet<Position>,
    /// By the selector's days: each asks for another part of the lane.
    windows: HashMap<u32, Window>,
}

/// A stretch of a lane without gaps, but for what was handed out.
struct Window {
    /// It begins with the first code that expires then or later.
    from: Timestamp,
    codes: BTreeMap<Position, String>,
    /// The last position that was read.
    to: Option<Position>,
    /// Nothing stood after `to`.
    end: bool,
    next_read: usize,
}

impl Window {
    fn new(from: Timestamp) -> Window {
        Window {
            from,
            codes: BTreeMap::new(),
            to: None,
            end: false,
            next_read: FIRST_READ,
        }
    }

    fn covers(&self, position: Position) -> bool {
        position.expires >= self.from && (self.end || Some(position) <= self.to)
    }
}

impl LaneBook {
    fn take(&mut self, days: u32, needed: Timestamp) -> Option<FreeCode> {
        let window = self.windows.get(&days)?;
        if window.from > needed {
            // The clock was set back: what stands before the window goes first.
            return None;
        }
        let first = Position {
            expires: needed,
            id: i64::MIN,
        };
        let position = *window.codes.range(first..).next()?.0;
        let mut code = None;
        for window in self.windows.values_mut() {
            code = window.codes.remove(&position).or(code);
        }
        self.staged.insert(position);
        code.map(|code| FreeCode { position, code })
    }

    /// Reads on. False where the window had reached the end of the lane before.
    fn read_on(
        &mut self,
        store: &dyn Store,
        lane: &Lane,
        days: u32,
        needed: Timestamp,
    ) -> Result<bool> {
        if self.windows.len() >= MOST_WINDOWS && !self.windows.contains_key(&days) {
            self.windows.clear();
        }
        let window = self
            .windows
            .entry(days)
            .or_insert_with(|| Window::new(needed));
        if window.from > needed {
            *window = Window::new(needed);
        }
        if window.end {
            return Ok(false);
        }
        // What no longer lasts long enough is dropped, or never read. The window begins later
        // then, so that it is read anew should the clock be set back.
        let first = Position {
            expires: needed,
            id: i64::MIN,
        };
        let lasting = window.codes.split_off(&first);
        if !window.codes.is_empty() || window.to.is_some_and(|to| to < first) {
            window.from = needed;
        }
        window.codes = lasting;
        let after = window.to.filter(|to| *to >= first).unwrap_or(first);
        let read = store.free_codes(lane, Some(after), window.next_read)?;
        window.end = read.len() < window.next_read;
        window.next_read = (window.next_read * 4).min(LARGEST_READ);
        if let Some(last) = read.last() {
            window.to = Some(last.position);
        }
        let staged = &self.staged;
        window.codes.extend(
            read.into_iter()
                .filter(|code| !staged.contains(&code.position))
                .map(|code| (code.position, code.code)),
        );
        Ok(true)
    }
}

impl Leases {
    pub(super) fn new(store: Arc<dyn Store>) -> Leases {
        Leases {
            store,
            book: Mutex::default(),
            settled: Condvar::new(),
            changes: AtomicU64::new(0),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next code of a lane that expires at `needed` or later. `own` are the codes that the
    /// segment's unit has staged itself: they do not come back while it waits, and who holds some
    /// does not wait for others, who might be waiting for them.
    pub(super) fn take(
        &self,
        lane: &Lane,
        days: u32,
        needed: Timestamp,
        own: &[Position],
    ) -> Result<Taken> {
        let until = Instant::now() + SETTLE;
        let changes = self.store.pool_changes();
        if self.changes.swap(changes, Ordering::SeqCst) != changes {
            self.refresh()?;
        }
        let mut book = self.book();
        loop {
            if !book.lanes.contains_key(lane) {
                book.make_room();
                book.lanes.insert(lane.clone(), LaneBook::default());
            }
            let Some(lane_book) = book.lanes.get_mut(lane) else {
                continue;
            };
            if let Some(code) = lane_book.take(days, needed) {
                return Ok(Taken::Code(code));
            }
            // The book stays locked meanwhile: otherwise a code that is committed between this
            // reading and the next line would look free.
            if lane_book.read_on(&*self.store, lane, days, needed)? {
                continue;
            }
            if !lane_book
                .staged
                .iter()
                .any(|position| position.expires >= needed && !own.contains(position))
            {
                return Ok(Taken::Exhausted);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !own.is_empty() || left.is_zero() {
                return Ok(Taken::Contended);
            }
            book = self
                .settled
                .wait_timeout(book, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The codes of a segment that was committed: they are gone.
    pub(super) fn committed(&self, claims: &[StagedClaim]) {
        self.settle(claims, |_, _| ());
    }

    /// The codes of a segment that was discarded: they may be taken again.
    pub(super) fn give_back(&self, claims: &[StagedClaim]) {
        self.settle(claims, |lane, claim| {
            for window in lane.windows.values_mut() {
                if window.covers(claim.code.position) {
                    window
                        .codes
                        .insert(claim.code.position, claim.code.code.clone());
                }
            }
        });
    }

    /// The codes of a segment of which nobody knows what became: the pool is asked anew.
    pub(super) fn forget(&self, claims: &[StagedClaim]) {
        self.settle(claims, |lane, _| lane.windows.clear());
    }

    /// Nobody knows what is staged: the pool is asked anew. Where a code is handed out twice so, one
    /// of the commits is refused.
    pub(super) fn forget_all(&self) {
        self.book().lanes.clear();
        self.settled.notify_all();
    }

    fn settle(&self, claims: &[StagedClaim], then: impl Fn(&mut LaneBook, &StagedClaim)) {
        if claims.is_empty() {
            return;
        }
        let mut book = self.book();
        for claim in claims {
            if let Some(lane) = book.lanes.get_mut(&claim.lane) {
                lane.staged.remove(&claim.code.position);
                then(lane, claim);
            }
        }
        drop(book);
        self.settled.notify_all();
    }

    /// Looks whether the pool was changed other than by commits of segments; what was read
    /// before may be out of order then, and is read anew.
    pub(super) fn refresh(&self) -> Result<()> {
        let generation = self.store.pool_generation()?;
        let mut book = self.book();
        if book.generation != generation {
            book.generation = generation;
            for lane in book.lanes.values_mut() {
                lane.windows.clear();
            }
            self.settled.notify_all();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
