//! The integration tests, one binary: each that there is links the whole store.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic in a test is its failure message, in a helper as well"
)]

mod backup;
mod chance;
mod contract;
mod crash;
mod documented;
mod formats;
mod import;
mod manners;
mod model;
mod moderation;
mod packaging;
mod permissions;
mod replication;
mod restarts;
mod rocks_assumptions;
mod serve;
mod support;
mod tidy;
mod writes;
