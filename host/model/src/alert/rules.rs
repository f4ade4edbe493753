//! The rules of an installation, and which of them is for a lane.

use std::collections::BTreeSet;

use super::{Kind, Rule, Subject};
use crate::pool::Lane;

/// The rules of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// These rules. What says more comes first: a rule for a type and discount stands before one
    /// for the type, that before one for a discount, and that before one for everything.
    pub fn new(mut rules: Vec<Rule>) -> Rules {
        rules.sort_by_key(|rule| (rule.code_type.is_none(), rule.discount.is_none()));
        Rules(rules)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The webhooks that any of them names.
    pub fn webhooks(&self) -> BTreeSet<&str> {
        let named = self.0.iter().flat_map(|rule| &rule.webhooks);
        named.map(String::as_str).collect()
    }

    /// Whether any watches this.
    pub fn watch(&self, kind: Kind) -> bool {
        self.0.iter().any(|rule| rule.kind == kind)
    }

    /// The rules for a lane, one of each kind at most.
    pub fn of(&self, lane: &Lane) -> impl Iterator<Item = &Rule> {
        let of_kind = |kind| {
            let mut rules = self.0.iter();
            rules.find(|rule| rule.kind == kind && rule.is_for(lane))
        };
        Kind::ALL.into_iter().filter_map(of_kind)
    }

    /// The rule that judges what an alert is about.
    pub fn judging(&self, subject: &Subject) -> Option<&Rule> {
        self.of(&subject.lane)
            .find(|rule| rule.kind == subject.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_says_most_is_the_one_for_a_lane() {
        let rule = |kind, code_type: Option<&str>, discount, warning| Rule {
            kind,
            code_type: code_type.map(str::to_owned),
            discount,
            warning,
            alarm: 0,
            within_days: 7,
            webhooks: Vec::new(),
        };
        let rules = Rules::new(vec![
            rule(Kind::Left, None, None, 1),
            rule(Kind::Left, None, Some(10), 2),
            rule(Kind::Left, Some("a"), None, 3),
            rule(Kind::Left, Some("a"), Some(10), 4),
            rule(Kind::RunsDry, Some("b"), None, 5),
        ]);
        for (code_type, discount, wanted) in [
            ("a", 10, vec![4]),
            ("a", 5, vec![3]),
            ("c", 10, vec![2]),
            ("c", 5, vec![1]),
            ("b", 5, vec![1, 5]),
        ] {
            let lane = Lane {
                code_type: code_type.to_owned(),
                discount,
            };
            let found: Vec<u32> = rules.of(&lane).map(|rule| rule.warning).collect();
            assert_eq!(found, wanted, "{lane:?}");
        }
    }
}
