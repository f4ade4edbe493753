//! Checks that the pool has codes for a type and discount. A type in another case, or one without
//! codes, is most likely a typo.

use super::CodeGroup;
use promoflow_document::{closest, quoted};

/// The reason why no code of a code group can be claimed at present, for the author who names
/// another group or uploads codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeGroupWarning {
    /// The problem.
    pub why: String,
    /// The suggested fix.
    pub hint: String,
}

/// Checks a code group. `code_groups` are the groups that ever had a code; `is_available` returns true
/// for a group with an available code.
pub fn code_group_warning(
    code_group: &CodeGroup,
    code_groups: &[CodeGroup],
    is_available: &mut dyn FnMut(&CodeGroup) -> bool,
) -> Option<CodeGroupWarning> {
    if code_groups.contains(code_group) && is_available(code_group) {
        return None;
    }
    let code_type = quoted(&code_group.code_type);
    let warning = |why: String, hint: String| Some(CodeGroupWarning { why, hint });
    let mut discounts: Vec<u8> = code_groups
        .iter()
        .filter(|one| one.code_type == code_group.code_type && one.discount != code_group.discount)
        .filter(|one| is_available(one))
        .map(|one| one.discount)
        .collect();
    discounts.sort_unstable();
    if code_groups.contains(code_group) || !discounts.is_empty() {
        let discount = code_group.discount;
        let why = format!("no codes of the type {code_type} with the discount {discount} are left");
        let why = match code_groups.contains(code_group) {
            true => why,
            false => {
                format!(
                    "the pool has no codes of the type {code_type} with the discount {discount}"
                )
            }
        };
        let discounts: Vec<String> = discounts.iter().map(u8::to_string).collect();
        return warning(
            why,
            match discounts.is_empty() {
                true => "upload more with `promoflow codes import`".to_owned(),
                false => format!("there are codes with the discount {}", discounts.join(", ")),
            },
        );
    }
    let why = format!("the pool has no codes of the type {code_type}");
    let types = || code_groups.iter().map(|one| one.code_type.as_str());
    let folded = code_group.code_type.to_lowercase();
    let same = types().find(|other| other.to_lowercase().trim() == folded.trim());
    if let Some(other) = same {
        let hint = format!(
            "the pool has the type {}; case and spaces matter",
            quoted(other)
        );
        return warning(why, hint);
    }
    let hint = match closest(&code_group.code_type, types()) {
        Some(other) => format!("did you mean {}?", quoted(other)),
        None => "upload some with `promoflow codes import`, or check the type".to_owned(),
    };
    warning(why, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_group(code_type: &str, discount: u8) -> CodeGroup {
        CodeGroup {
            code_type: code_type.to_owned(),
            discount,
        }
    }

    fn findings(asked: &CodeGroup) -> Option<String> {
        let code_groups = [
            code_group("Birthday", 10),
            code_group("Birthday", 20),
            code_group("spent", 5),
        ];
        let mut available = |one: &CodeGroup| one.code_type != "spent";
        let warning = code_group_warning(asked, &code_groups, &mut available)?;
        Some(format!("{}; {}", warning.why, warning.hint))
    }

    #[test]
    fn suggests_groups_that_have_codes() {
        assert_eq!(findings(&code_group("Birthday", 10)), None);
        for (asked, expected) in [
            (
                code_group("birthday", 10),
                "the pool has the type `Birthday`",
            ),
            (code_group("Birthdy", 10), "did you mean `Birthday`?"),
            (
                code_group("winter", 10),
                "no codes of the type `winter`; upload",
            ),
            (
                code_group("Birthday", 15),
                "with the discount 15; there are codes with the discount 10, 20",
            ),
            (
                code_group("spent", 5),
                "with the discount 5 are left; upload more",
            ),
        ] {
            let findings = findings(&asked).unwrap();
            assert!(findings.contains(expected), "{findings}");
        }
    }
}
