//! See `promoflow_fuzz::uploads_as_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_fuzz::uploads_as_json(bytes));
