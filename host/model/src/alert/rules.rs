//! The alert rules of an installation, and the choice of the rule for a code group.

use std::collections::BTreeSet;

use super::{Kind, Rule, Subject};
use crate::pool::CodeGroup;

/// The alert rules of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Creates the rule set. Specific rules come first: rules for a type and discount, then for a
    /// type, then for a discount, then for everything.
    pub fn new(mut rules: Vec<Rule>) -> Rules {
        rules.sort_by_key(|rule| (rule.code_type.is_none(), rule.discount.is_none()));
        Rules(rules)
    }

    /// Returns true if there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over all rules.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Returns the names of all webhooks in the rules.
    pub fn webhooks(&self) -> BTreeSet<&str> {
        let named = self.0.iter().flat_map(|rule| &rule.webhooks);
        named.map(String::as_str).collect()
    }

    /// Returns true if any rule watches this kind.
    pub fn has_kind(&self, kind: Kind) -> bool {
        self.0.iter().any(|rule| rule.kind == kind)
    }

    /// Returns the rules for a code group, at most one of each kind.
    pub fn of(&self, code_group: &CodeGroup) -> impl Iterator<Item = &Rule> {
        let of_kind = |kind| {
            let mut rules = self.0.iter();
            rules.find(|rule| rule.kind == kind && rule.applies_to(code_group))
        };
        Kind::ALL.into_iter().filter_map(of_kind)
    }

    /// Returns the rule for the subject of an alert.
    pub fn rule_for(&self, subject: &Subject) -> Option<&Rule> {
        self.of(&subject.code_group)
            .find(|rule| rule.kind == subject.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_rule_applies() {
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
            rule(Kind::Available, None, None, 1),
            rule(Kind::Available, None, Some(10), 2),
            rule(Kind::Available, Some("a"), None, 3),
            rule(Kind::Available, Some("a"), Some(10), 4),
            rule(Kind::Exhaustion, Some("b"), None, 5),
        ]);
        for (code_type, discount, wanted) in [
            ("a", 10, vec![4]),
            ("a", 5, vec![3]),
            ("c", 10, vec![2]),
            ("c", 5, vec![1]),
            ("b", 5, vec![1, 5]),
        ] {
            let code_group = CodeGroup {
                code_type: code_type.to_owned(),
                discount,
            };
            let found: Vec<u32> = rules.of(&code_group).map(|rule| rule.warning).collect();
            assert_eq!(found, wanted, "{code_group:?}");
        }
    }
}
