//! Changes that a watch notices.

use promoflow_model::pool::CodeGroup;

/// The things that may have changed, besides runs and deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// True if messages or workflows were applied, or the calendar was set.
    pub config: bool,
    /// The code groups of which codes were added, changed or removed other than by a segment's
    /// commit. Codes read earlier may be out of order.
    pub pool: ChangedGroups,
}

impl Changes {
    /// Everything.
    pub const ALL: Changes = Changes {
        config: true,
        pool: ChangedGroups::All,
    };
}

/// Code groups that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedGroups {
    /// These.
    Only(Vec<CodeGroup>),
    /// Any.
    All,
}

impl ChangedGroups {
    /// No code group.
    pub const NONE: ChangedGroups = ChangedGroups::Only(Vec::new());
}
