//! The subcommands, one a file: the wiring, and only that.

mod bar;
pub mod check_config;
pub mod describe;
pub mod erase;
pub mod export;
mod figures;
pub mod find;
pub mod import;
mod manifest;
mod place;
mod remote;
pub mod serve;
mod sources;
pub mod stats;
pub mod verify;
