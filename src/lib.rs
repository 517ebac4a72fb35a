//! reviewsd: a shop's ratings and reviews, served from one local store.

pub mod cli;
pub mod cmd;
pub mod config;
mod figures;
mod node;
pub mod signals;
pub mod systemd;
mod token_file;
pub mod version;

// The layers, by the names that they have everywhere.
pub use {::api, ::backup, ::metrics, ::model, ::net, ::policy, ::replication, ::store};
