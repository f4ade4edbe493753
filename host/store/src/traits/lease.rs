//! Leases on available codes.

use promoflow_model::pool::CodeGroup;

use crate::{Leased, Position, Result};

/// Leases on available codes: they keep the processes that claim from one pool apart.
///
/// A lease is no claim and changes nothing in the pool. The commit decides who gets a code. The
/// leases of a process end with its [`Member`](crate::Member).
pub trait LeaseStore: Send + Sync {
    /// Leases the available codes of a code group after that position, in the order of claiming.
    /// Returns codes that this process has leased before again, and none that another process has
    /// leased.
    fn lease(
        &self,
        code_group: &CodeGroup,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Leased>;

    /// Ends the leases of this process on a code group.
    fn give_up(&self, code_group: &CodeGroup) -> Result<()>;

    /// Returns how often this process has changed the pool other than by a segment's commit. Free of
    /// cost; includes every change whose call has returned. Codes leased before may be out of order.
    fn pool_changes(&self) -> u64;
}
