//! reviewsd: a shop's ratings and reviews, served from one local store.

pub mod api;
pub mod backup;
pub mod cli;
mod clock;
pub mod cmd;
pub mod config;
#[cfg(test)]
mod corpus;
mod customer;
mod joined;
pub mod metrics;
pub mod model;
pub mod net;
pub mod record;
pub mod replication;
pub mod signals;
pub mod store;
pub mod systemd;
pub mod version;
