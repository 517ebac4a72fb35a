//! Any bytes as a batch of another store.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| reviewsd_fuzz::commit(input));
