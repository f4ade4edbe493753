//! See `targets::reads_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_velocity_fuzz::targets::reads_json(bytes));
