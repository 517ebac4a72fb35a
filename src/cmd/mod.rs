//! The subcommands, one a file: the wiring, and only that.

mod bar;
pub mod erase;
pub mod export;
mod figures;
pub mod find;
pub mod import;
mod manifest;
mod place;
pub mod position;
pub mod promote;
mod remote;
pub mod serve;
pub mod stats;
pub mod verify;
