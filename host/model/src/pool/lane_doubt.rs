//! Checks that the pool has codes for a type and discount. A type in another case, or one without
//! codes, is most likely a typo.

use super::Lane;
use promoflow_document::{closest, shown};

/// The reason why no code of a code group can be claimed at present, for the author who names
/// another group or uploads codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDoubt {
    /// The problem.
    pub why: String,
    /// The suggested fix.
    pub hint: String,
}

/// Checks a code group. `lanes` are the groups that ever had a code; `is_available` returns true
/// for a group with an available code.
pub fn lane_doubt(
    lane: &Lane,
    lanes: &[Lane],
    is_available: &mut dyn FnMut(&Lane) -> bool,
) -> Option<LaneDoubt> {
    if lanes.contains(lane) && is_available(lane) {
        return None;
    }
    let code_type = shown(&lane.code_type);
    let doubt = |why: String, hint: String| Some(LaneDoubt { why, hint });
    let mut discounts: Vec<u8> = lanes
        .iter()
        .filter(|one| one.code_type == lane.code_type && one.discount != lane.discount)
        .filter(|one| is_available(one))
        .map(|one| one.discount)
        .collect();
    discounts.sort_unstable();
    if lanes.contains(lane) || !discounts.is_empty() {
        let discount = lane.discount;
        let why = format!("no codes of the type {code_type} with the discount {discount} are left");
        let why = match lanes.contains(lane) {
            true => why,
            false => {
                format!(
                    "the pool has no codes of the type {code_type} with the discount {discount}"
                )
            }
        };
        let discounts: Vec<String> = discounts.iter().map(u8::to_string).collect();
        return doubt(
            why,
            match discounts.is_empty() {
                true => "upload more with `promoflow codes import`".to_owned(),
                false => format!("there are codes with the discount {}", discounts.join(", ")),
            },
        );
    }
    let why = format!("the pool has no codes of the type {code_type}");
    let types = || lanes.iter().map(|one| one.code_type.as_str());
    let folded = lane.code_type.to_lowercase();
    let same = types().find(|other| other.to_lowercase().trim() == folded.trim());
    if let Some(other) = same {
        let hint = format!(
            "the pool has the type {}; case and spaces matter",
            shown(other)
        );
        return doubt(why, hint);
    }
    let hint = match closest(&lane.code_type, types()) {
        Some(other) => format!("did you mean {}?", shown(other)),
        None => "upload some with `promoflow codes import`, or check the type".to_owned(),
    };
    doubt(why, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(code_type: &str, discount: u8) -> Lane {
        Lane {
            code_type: code_type.to_owned(),
            discount,
        }
    }

    fn told(asked: &Lane) -> Option<String> {
        let lanes = [lane("Birthday", 10), lane("Birthday", 20), lane("spent", 5)];
        let mut available = |one: &Lane| one.code_type != "spent";
        let doubt = lane_doubt(asked, &lanes, &mut available)?;
        Some(format!("{}; {}", doubt.why, doubt.hint))
    }

    #[test]
    fn suggests_groups_that_have_codes() {
        assert_eq!(told(&lane("Birthday", 10)), None);
        for (asked, expected) in [
            (lane("birthday", 10), "the pool has the type `Birthday`"),
            (lane("Birthdy", 10), "did you mean `Birthday`?"),
            (lane("winter", 10), "no codes of the type `winter`; upload"),
            (
                lane("Birthday", 15),
                "with the discount 15; there are codes with the discount 10, 20",
            ),
            (
                lane("spent", 5),
                "with the discount 5 are left; upload more",
            ),
        ] {
            let told = told(&asked).unwrap();
            assert!(told.contains(expected), "{told}");
        }
    }
}
