//! See `promoflow_fuzz::components`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_fuzz::components(bytes));
