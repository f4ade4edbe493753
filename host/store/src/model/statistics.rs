//! Counts of the pool and the launch history.

use std::collections::HashMap;

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::CodeGroup;

/// A place in the history of claims. Only the engine that made it understands its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMark(pub Vec<i64>);

/// The codes of a code group, counted by state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeGroupCount {
    /// The type and discount.
    pub code_group: CodeGroup,
    /// Unclaimed and not expired.
    pub available: u64,
    /// Claimed.
    pub used: u64,
    /// Retired.
    pub retired: u64,
    /// Unclaimed and expired.
    pub expired: u64,
    /// Available, but expiring soon.
    pub expiring: u64,
}

/// The counts of all code groups at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Every code group that ever had a code.
    pub code_groups: Vec<CodeGroupCount>,
    /// The place in the history of claims at that moment.
    pub mark: ClaimMark,
    /// The pool generation at the time.
    pub generation: u64,
}

/// Claims of a period, by code group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCount {
    /// The number of claims; code groups without any are left out.
    pub code_groups: HashMap<CodeGroup, u64>,
    /// The place after the last claim included.
    pub mark: ClaimMark,
}

/// Claims since a time, by code group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCountSince {
    /// The number of claims; code groups without any are left out.
    pub code_groups: HashMap<CodeGroup, u64>,
    /// The time since which these are all claims: the requested time, or a later one if the first
    /// claim ever is later or older claims were not counted.
    pub from: Timestamp,
}

/// The number of runs by state, and of pending deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStatistics {
    /// Runs that may continue.
    pub running: u64,
    /// Runs that continue later.
    pub waiting: u64,
    /// Runs that completed.
    pub completed: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Runs that a person or an event cancelled.
    pub cancelled: u64,
    /// Deliveries that are pending.
    pub deliveries: u64,
}
