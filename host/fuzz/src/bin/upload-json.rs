//! See `promoflow::fuzzing::uploads_as_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow::fuzzing::uploads_as_json(bytes));
