//! See `promoflow::fuzzing::components`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow::fuzzing::components(bytes));
