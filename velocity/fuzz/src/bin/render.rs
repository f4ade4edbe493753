//! See `targets::renders_within_its_caps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    promoflow_velocity_fuzz::targets::renders_within_its_caps(bytes)
});
