//! See `targets::renders_within_limits`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    promoflow_velocity_fuzz::targets::renders_within_limits(bytes)
});
