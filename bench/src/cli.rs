//! The command line: the words a caller may use, their bounds and defaults.
//!
//! Owns no behaviour and must not know what the commands do with the values.
//! A value that gets past this file is within the bounds written here.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use clap::{Args, Parser, Subcommand};

/// Makes test data for reviewsd, and serves the answer it is measured against.
#[derive(Parser)]
#[command(name = "reviewsd-bench", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a shop's ten CSV files, at any size.
    Gen(GenArgs),
    /// Serve one fixed body with bare hyper, the fastest a server can be.
    Floor(FloorArgs),
}

#[derive(Args)]
pub(crate) struct GenArgs {
    /// How many products the shop has; all other rows follow from it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) products: u64,
    /// Directory for the files; it is created, and files of these names are replaced.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The same seed and size give the same bytes.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Threads that render rows [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

#[derive(Args)]
pub(crate) struct FloorArgs {
    /// Address to listen on; port 0 takes a free one and prints it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// File whose bytes answer every request.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: PathBuf,
    /// Threads that serve [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
}

/// The number asked for, or one thread per core.
pub(crate) fn threads_or_cores(asked: Option<NonZero<usize>>) -> usize {
    asked
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get)
}
