//! Any bytes as a request's body.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reviewsd_fuzz::body(input));
