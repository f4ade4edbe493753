//! See `promoflow::fuzzing::smtp_replies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| promoflow::fuzzing::smtp_replies(bytes));
