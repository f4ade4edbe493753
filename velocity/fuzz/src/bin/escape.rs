//! See `targets::escapes_values`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow_velocity_fuzz::targets::escapes_values(bytes));
