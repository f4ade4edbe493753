//! The keys of a workflow file. The schema lists the same keys.

pub(super) const WORKFLOW: &[&str] = &["workflow", "name", "start", "stop", "steps"];
pub(super) const START: &[&str] = &["event", "where", "repeat", "skip-if-running"];
pub(super) const REPEAT: &[&str] = &["every"];
pub(super) const STOP: &[&str] = &["event"];
pub(super) const STEP: &[&str] = &["id", "block", "with", "ports"];
pub(super) const TEST: &[&str] = &[
    "param",
    "is",
    "equals",
    "not-equals",
    "contains",
    "not-contains",
    "one-of",
    "not-one-of",
    "starts-with",
    "not-starts-with",
    "ends-with",
    "not-ends-with",
    "greater-than",
    "at-least",
    "less-than",
    "at-most",
];
/// The prefix of the tests that are negations.
pub(super) const NOT: &str = "not-";
pub(super) const ALL: &str = "all";
pub(super) const ANY: &str = "any";
