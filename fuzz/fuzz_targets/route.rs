//! Any bytes as a path.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reviewsd_fuzz::route(input));
