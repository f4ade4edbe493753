//! Shared code of the fuzzers and the tests of the crate. `cargo xtask fuzz` builds and runs the
//! fuzzers.

#[path = "../../tests/targets/mod.rs"]
pub mod targets;

#[global_allocator]
static COUNTING: targets::measure::Counting = targets::measure::Counting;
