//! Leases: the next codes of each code group, held in memory and given to staged claims in order.
//!
//! A lease is not a claim: a code leaves the pool only when the segment's commit deletes it, and a
//! crash loses nothing but the leases. If other processes execute too, the store keeps their leases
//! apart, and says if a code group is empty only because others hold its last codes. The poller notices uploads, changes and retirements by other processes; a claim
//! before that is rejected by the commit if its code is no longer in the pool.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;
use promoflow_store::{
    AvailableCode, ChangedGroups, LeaseStore, Leased, Position, Result, StagedClaim, Store,
};

/// Numbers of codes read at once: first a few, so that a single event starts fast, then up to the
/// maximum.
const FIRST_READ: usize = 16;
const MAX_READ: usize = 1024;
/// Time that a claim waits for codes that other segments have staged, or other processes leased.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Interval at which it looks again for codes that other processes had leased.
const OTHERS_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum numbers of code groups, and of windows per group, in memory: events may ask for any type
/// and any number of days.
const MAX_GROUPS: usize = 4_096;
const MAX_WINDOWS: usize = 16;

/// The result of taking a code from the leases.
#[derive(Debug)]
pub(super) enum LeaseOutcome {
    /// This code.
    Code(AvailableCode),
    /// No code matches, and none can come back.
    Exhausted,
    /// Other segments have staged all matching codes, or other processes hold them, and waiting
    /// longer could deadlock.
    Busy,
}

/// The available codes, as a test run sees them: it leases none.
pub(super) struct UnleasedCodes(pub(super) Arc<dyn Store>);

impl LeaseStore for UnleasedCodes {
    fn lease(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Leased> {
        let codes = self.0.available_codes(code_group, after, limit)?;
        Ok(Leased {
            end: codes.len() < limit,
            others: false,
            codes,
        })
    }

    fn give_up(&self, _: &CodeGroup) -> Result<()> {
        Ok(())
    }

    fn pool_changes(&self) -> u64 {
        self.0.pool_changes()
    }
}

pub(super) struct Leases {
    store: Arc<dyn LeaseStore>,
    table: Mutex<LeaseTable>,
    settled: Condvar,
}

#[derive(Default)]
struct LeaseTable {
    /// The number of this process's pool changes that the windows include.
    changes: u64,
    code_groups: HashMap<CodeGroup, GroupLeases>,
}

impl LeaseTable {
    /// Drops all windows if this process has changed the pool since they were read.
    fn see_changes(&mut self, changes: u64) {
        if self.changes != changes {
            self.changes = changes;
            for code_group in self.code_groups.values_mut() {
                code_group.windows.clear();
            }
        }
    }

    /// Drops the code groups without staged codes if there are too many groups.
    fn make_room(&mut self, store: &dyn LeaseStore) {
        if self.code_groups.len() < MAX_GROUPS {
            return;
        }
        self.code_groups.retain(|code_group, leases| {
            let is_needed = !leases.staged.is_empty();
            if !is_needed && let Err(error) = store.give_up(code_group) {
                // They end by themselves at the latest when this process does.
                tracing::warn!("cannot give up leases: {error}");
            }
            is_needed
        });
    }
}

#[derive(Default)]
struct GroupLeases {
    /// Positions of the codes given to segments that are not committed yet.
    staged: BTreeSet<Position>,
    /// The windows by the selector's days: each value needs a different part of the group.
    windows: HashMap<u32, Window>,
}

/// A contiguous part of a code group, without the codes that were given to segments.
struct Window {
    /// The earliest expiry that the window covers.
    from: Timestamp,
    codes: BTreeMap<Position, String>,
    /// The last position that was read.
    to: Option<Position>,
    /// True if the group has no code after `to`.
    end: bool,
    /// True if other processes had leased codes of the group while it was read.
    others: bool,
    next_read: usize,
}

impl Window {
    fn new(from: Timestamp) -> Window {
        Window {
            from,
            codes: BTreeMap::new(),
            to: None,
            end: false,
            others: false,
            next_read: FIRST_READ,
        }
    }

    fn covers(&self, position: Position) -> bool {
        position.expires >= self.from && (self.end || Some(position) <= self.to)
    }
}

impl GroupLeases {
    fn take(&mut self, days: u32, needed: Timestamp) -> Option<AvailableCode> {
        let window = self.windows.get(&days)?;
        if window.from > needed {
            // The clock was set back: codes before the window come first.
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
        code.map(|code| AvailableCode { position, code })
    }

    /// Reads the next codes into a window. Returns false if the window had reached the end of the
    /// group before.
    fn read_next(
        &mut self,
        store: &dyn LeaseStore,
        code_group: &CodeGroup,
        days: u32,
        needed: Timestamp,
    ) -> Result<bool> {
        if self.windows.len() >= MAX_WINDOWS && !self.windows.contains_key(&days) {
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
        // Codes that expire too early are dropped or never read. The window then starts later, so
        // that it is read again if the clock is set back.
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
        let leased = store.lease(code_group, Some(after), window.next_read)?;
        window.end = leased.end;
        window.others |= leased.others;
        window.next_read = (window.next_read * 4).min(MAX_READ);
        if let Some(last) = leased.codes.last() {
            window.to = Some(last.position);
        }
        let staged = &self.staged;
        window.codes.extend(
            leased
                .codes
                .into_iter()
                .filter(|code| !staged.contains(&code.position))
                .map(|code| (code.position, code.code)),
        );
        Ok(true)
    }

    /// If other processes have leased codes of the group, drops the window, so that the group is
    /// read again, and returns true.
    fn forget_if_others(&mut self, days: u32) -> bool {
        let others = self.windows.get(&days).is_some_and(|window| window.others);
        if others {
            self.windows.remove(&days);
        }
        others
    }
}

impl Leases {
    pub(super) fn new(store: Arc<dyn LeaseStore>) -> Leases {
        Leases {
            store,
            table: Mutex::default(),
            settled: Condvar::new(),
        }
    }

    fn table(&self) -> MutexGuard<'_, LeaseTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next code of a group that expires at `needed` or later.
    ///
    /// `own` are the codes that the segment, or another segment of the same commit request, has
    /// staged. They cannot come back while it waits. A segment that holds codes never blocks on
    /// others, to avoid deadlock.
    pub(super) fn take(
        &self,
        code_group: &CodeGroup,
        days: u32,
        needed: Timestamp,
        own: &[Position],
    ) -> Result<LeaseOutcome> {
        let until = Instant::now() + MAX_WAIT;
        let mut table = self.table();
        loop {
            table.see_changes(self.store.pool_changes());
            if !table.code_groups.contains_key(code_group) {
                table.make_room(&*self.store);
                table
                    .code_groups
                    .insert(code_group.clone(), GroupLeases::default());
            }
            let Some(group_leases) = table.code_groups.get_mut(code_group) else {
                continue;
            };
            if let Some(code) = group_leases.take(days, needed) {
                return Ok(LeaseOutcome::Code(code));
            }
            // Keep the lock here: otherwise a code committed between this read and the next line
            // would look available.
            if group_leases.read_next(&*self.store, code_group, days, needed)? {
                continue;
            }
            let mut staged = group_leases.staged.iter();
            let is_staged =
                staged.any(|position| position.expires >= needed && !own.contains(position));
            let others = group_leases.forget_if_others(days);
            if !is_staged && !others {
                return Ok(LeaseOutcome::Exhausted);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !own.is_empty() || left.is_zero() {
                return Ok(LeaseOutcome::Busy);
            }
            let most = match others {
                true => left.min(OTHERS_INTERVAL),
                false => left,
            };
            table = self
                .settled
                .wait_timeout(table, most)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Removes the codes of a committed segment from the leases.
    pub(super) fn committed(&self, claims: &[StagedClaim]) {
        self.settle(claims, |_, _| ());
    }

    /// Makes the codes of a discarded segment available again.
    pub(super) fn give_back(&self, claims: &[StagedClaim]) {
        self.settle(claims, |code_group, claim| {
            for window in code_group.windows.values_mut() {
                if window.covers(claim.code.position) {
                    window
                        .codes
                        .insert(claim.code.position, claim.code.code.clone());
                }
            }
        });
    }

    /// Drops the windows of a segment whose commit result is unknown, so that the pool is read
    /// again.
    pub(super) fn forget(&self, claims: &[StagedClaim]) {
        self.settle(claims, |code_group, _| code_group.windows.clear());
    }

    /// Drops all leases, for when it is unknown what is staged. If a code is given out twice as a
    /// result, one of the two commits is rejected.
    pub(super) fn forget_all(&self) {
        self.table().code_groups.clear();
        self.settled.notify_all();
    }

    fn settle(&self, claims: &[StagedClaim], then: impl Fn(&mut GroupLeases, &StagedClaim)) {
        if claims.is_empty() {
            return;
        }
        let mut table = self.table();
        for claim in claims {
            if let Some(code_group) = table.code_groups.get_mut(&claim.code_group) {
                code_group.staged.remove(&claim.code.position);
                then(code_group, claim);
            }
        }
        drop(table);
        self.settled.notify_all();
    }

    /// Drops the windows of code groups that were changed other than by a segment's commit: the
    /// order of their codes may be wrong, so they are read again.
    pub(super) fn pool_changed(&self, changed: &ChangedGroups) {
        if *changed == ChangedGroups::NONE {
            return;
        }
        let mut table = self.table();
        match changed {
            ChangedGroups::Only(code_groups) => {
                for code_group in code_groups {
                    if let Some(leases) = table.code_groups.get_mut(code_group) {
                        leases.windows.clear();
                    }
                }
            }
            ChangedGroups::All => {
                for leases in table.code_groups.values_mut() {
                    leases.windows.clear();
                }
            }
        }
        drop(table);
        self.settled.notify_all();
    }
}

#[cfg(test)]
mod tests;
