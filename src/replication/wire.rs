//! The wire protocol: requests, frames and refusals, as bytes and as values.
//!
//! Must not know stores, sockets or time, so that it can be fuzzed and simulated.

pub mod frame;
#[cfg(test)]
mod properties;
pub mod protocol;
