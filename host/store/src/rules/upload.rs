//! What a row of an upload may change of a code that the pool already has.

use promoflow_model::clock::Timestamp;
use promoflow_model::pool::{Calendar, CodeGroup};

use crate::RowOutcome;

/// The values of a code, as stored or as a line states them. `G` is the engine's name of a code
/// group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeValues<G> {
    /// The type and discount.
    pub code_group: G,
    /// The expiry.
    pub expires: Timestamp,
    /// True if the code is retired, or is to be.
    pub in_use: bool,
}

/// The change of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeChange {
    /// Nothing differs.
    None,
    /// An available code gets another code group or expiry. Not if it was claimed meanwhile.
    Move,
    /// An available code is retired, with the values of the row. Not if it was claimed meanwhile.
    Retire,
    /// A retired code gets other values and stays retired.
    MoveRetired,
}

/// Returns what a row changes of a stored code. Only whether the code is available is left to the
/// engine: a used code never changes. An upload does not reinstate a retired code.
pub fn change<G: PartialEq>(stored: &CodeValues<G>, stated: &CodeValues<G>) -> CodeChange {
    let moves = stated.code_group != stored.code_group || stated.expires != stored.expires;
    match (stored.in_use, stated.in_use, moves) {
        (false, true, _) => CodeChange::Retire,
        (false, false, true) => CodeChange::Move,
        (true, _, true) => CodeChange::MoveRetired,
        (_, _, false) => CodeChange::None,
    }
}

/// The value in which two lines about one code differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The type or the discount.
    CodeGroup,
    /// The expiry.
    Expires,
    /// Whether it is in use.
    InUse,
}

/// Returns how a line contradicts an earlier line of the same upload; `None` if it does not.
pub fn contradiction<G: PartialEq>(
    earlier: &CodeValues<G>,
    stated: &CodeValues<G>,
) -> Option<Difference> {
    if stated.code_group != earlier.code_group {
        Some(Difference::CodeGroup)
    } else if stated.expires != earlier.expires {
        Some(Difference::Expires)
    } else if stated.in_use != earlier.in_use {
        Some(Difference::InUse)
    } else {
        None
    }
}

/// Returns the outcome of a line that contradicts an earlier one. `earlier`: the values of
/// that line; `stated`: the code group of this one.
pub fn conflict(
    difference: Difference,
    earlier: &CodeValues<CodeGroup>,
    stated: &CodeGroup,
    calendar: Calendar,
) -> RowOutcome {
    let group = &earlier.code_group;
    let (field, earlier) = match difference {
        Difference::CodeGroup if stated.code_type == group.code_type => {
            ("discount", group.discount.to_string())
        }
        Difference::CodeGroup => ("type", group.code_type.clone()),
        Difference::Expires => {
            let expires = calendar.format_expiry(earlier.expires);
            ("expirationDate", expires.unwrap_or_default())
        }
        Difference::InUse => ("inUse", earlier.in_use.to_string()),
    };
    RowOutcome::Conflict { field, earlier }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(code_group: u8, expires: i64, in_use: bool) -> CodeValues<u8> {
        CodeValues {
            code_group,
            expires: Timestamp(expires),
            in_use,
        }
    }

    #[test]
    fn p6_changes_only_what_is_stated_and_never_reinstates() {
        let available = values(1, 10, false);
        let retired = values(1, 10, true);
        let moved = [values(2, 10, false), values(1, 11, false)];
        assert_eq!(change(&available, &available), CodeChange::None);
        assert_eq!(change(&available, &retired), CodeChange::Retire);
        assert_eq!(change(&available, &values(2, 10, true)), CodeChange::Retire);
        assert_eq!(change(&retired, &retired), CodeChange::None);
        assert_eq!(change(&retired, &available), CodeChange::None);
        for stated in moved {
            assert_eq!(change(&available, &stated), CodeChange::Move);
            assert_eq!(change(&retired, &stated), CodeChange::MoveRetired);
        }
    }

    #[test]
    fn lines_contradict_by_the_first_value_that_differs() {
        let earlier = values(1, 10, false);
        let compare = |stated| contradiction(&earlier, &stated);
        assert_eq!(compare(earlier), None);
        assert_eq!(compare(values(2, 11, true)), Some(Difference::CodeGroup));
        assert_eq!(compare(values(1, 11, true)), Some(Difference::Expires));
        assert_eq!(compare(values(1, 10, true)), Some(Difference::InUse));
    }
}
