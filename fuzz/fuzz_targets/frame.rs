//! Any bytes as what a primary sends, in any pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reviewsd_fuzz::frame(input));
