//! See `promoflow::fuzzing::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow::fuzzing::events(bytes));
