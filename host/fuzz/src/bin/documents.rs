//! See `promoflow::fuzzing::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow::fuzzing::documents(bytes));
