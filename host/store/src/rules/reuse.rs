//! The reuse of claims: by a contact, who keeps one code of each code group.

use promoflow_model::clock::Timestamp;

use crate::{ClaimId, ReusableClaim, StagedReuse};

/// Returns true if a staged reuse is still valid: the contact keeps the claim that the segment
/// found, and its code has not expired, unless the segment replaces it. `kept`: the claim that the
/// contact keeps now.
pub fn is_valid(reuse: &StagedReuse, kept: Option<&ReusableClaim>, now: Timestamp) -> bool {
    let is_usable =
        reuse.replaced_by.is_some() || kept.is_some_and(|claim| claim.code.position.expires > now);
    is_usable && kept.map(|claim| claim.id) == reuse.found
}

/// What to record of a staged reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The contact keeps this claim of the segment from now on.
    Keeps(ClaimId),
    /// The run uses this earlier claim.
    Uses(ClaimId),
    /// Nothing.
    Nothing,
}

/// Returns what to record of a staged reuse. `claims`: the claims of the segment, in order.
pub fn recorded(reuse: &StagedReuse, claims: &[ClaimId]) -> Recorded {
    match reuse.replaced_by {
        Some(index) => match claims.get(index) {
            Some(claim) => Recorded::Keeps(*claim),
            None => Recorded::Nothing,
        },
        None => reuse.found.map_or(Recorded::Nothing, Recorded::Uses),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AvailableCode, Position};
    use promoflow_model::pool::CodeGroup;

    const NOW: Timestamp = Timestamp(10);

    fn reuse(found: Option<i64>, replaced_by: Option<usize>) -> StagedReuse {
        StagedReuse {
            contact: "ann".into(),
            code_group: CodeGroup {
                code_type: "General".into(),
                discount: 0,
            },
            found: found.map(ClaimId),
            replaced_by,
        }
    }

    #[test]
    fn p1_a_kept_code_is_reused_or_replaced_only_if_nobody_did_meanwhile() {
        let kept = |id, expires| ReusableClaim {
            id: ClaimId(id),
            code: AvailableCode {
                position: Position {
                    expires: Timestamp(expires),
                    id: 1,
                },
                code: "A".into(),
            },
            at: Timestamp(0),
        };
        let (valid, expired, other) = (kept(1, 11), kept(1, 10), kept(2, 11));
        for (found, replaced_by, now_kept, expected) in [
            (Some(1), None, Some(&valid), true),
            (Some(1), None, Some(&expired), false),
            (Some(1), None, Some(&other), false),
            (Some(1), None, None, false),
            (None, None, None, false),
            (None, Some(0), None, true),
            (None, Some(0), Some(&valid), false),
            (Some(1), Some(0), Some(&valid), true),
            (Some(1), Some(0), Some(&expired), true),
            (Some(1), Some(0), Some(&other), false),
            (Some(1), Some(0), None, false),
        ] {
            let reuse = reuse(found, replaced_by);
            let is_valid = is_valid(&reuse, now_kept, NOW);
            assert_eq!(is_valid, expected, "{reuse:?} {now_kept:?}");
        }
    }

    #[test]
    fn a_new_claim_is_kept_and_an_earlier_one_is_used() {
        let claims = [ClaimId(7), ClaimId(8)];
        let recorded = |found, replaced_by| recorded(&reuse(found, replaced_by), &claims);
        assert_eq!(recorded(None, Some(1)), Recorded::Keeps(ClaimId(8)));
        assert_eq!(recorded(Some(1), Some(0)), Recorded::Keeps(ClaimId(7)));
        assert_eq!(recorded(Some(1), Some(2)), Recorded::Nothing);
        assert_eq!(recorded(Some(1), None), Recorded::Uses(ClaimId(1)));
        assert_eq!(recorded(None, None), Recorded::Nothing);
    }
}
