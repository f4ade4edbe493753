//! What the fuzzers share with the tests of the crate. `cargo xtask fuzz` builds and runs them.

#[path = "../../tests/targets/mod.rs"]
pub mod targets;

#[global_allocator]
static COUNTING: targets::measure::Counting = targets::measure::Counting;
