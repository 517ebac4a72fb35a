//! The subcommands, one a file: the wiring, and only that.

pub mod import;
pub mod position;
pub mod promote;
pub mod serve;
