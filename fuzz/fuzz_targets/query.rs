//! Any bytes as a path with its parameters.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reviewsd_fuzz::query(input));
