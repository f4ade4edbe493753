//! See `promoflow_fuzz::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_fuzz::documents(bytes));
