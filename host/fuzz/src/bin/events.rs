//! See `promoflow_fuzz::events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_fuzz::events(bytes));
