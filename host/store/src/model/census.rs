//! What the pool and the launch history amount to.

use std::collections::HashMap;

use super::ClaimId;
use promoflow_model::clock::Timestamp;
use promoflow_model::pool::Lane;

/// How many codes of a lane there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneCount {
    /// The type and discount.
    pub lane: Lane,
    /// Free, and not expired.
    pub available: u64,
    /// Claimed.
    pub used: u64,
    /// Set aside.
    pub retired: u64,
    /// Free, but expired.
    pub expired: u64,
    /// Available, and expiring soon.
    pub expiring: u64,
}

/// All lanes, counted at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Each lane that ever had a code.
    pub lanes: Vec<LaneCount>,
    /// The last claim that is counted in.
    pub last: ClaimId,
    /// The pool's generation that was counted.
    pub generation: u64,
}

/// Claims of a stretch of time, by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// How many, where there were any.
    pub lanes: HashMap<Lane, u64>,
    /// The last claim that is counted in.
    pub last: ClaimId,
}

/// Claims since a moment, by lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedSince {
    /// How many, where there were any.
    pub lanes: HashMap<Lane, u64>,
    /// From when on they are all that were made: that moment, or a later one where the first claim
    /// ever came later or older ones were not counted.
    pub from: Timestamp,
}

/// How many runs and deliveries there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that may go on.
    pub running: u64,
    /// Runs that go on later.
    pub waiting: u64,
    /// Runs that are done.
    pub completed: u64,
    /// Runs that ended by an error.
    pub failed: u64,
    /// Runs that a person or an event ended.
    pub cancelled: u64,
    /// Deliveries that are still to be made.
    pub deliveries: u64,
}
