//! The command line: the words a caller may use, their bounds and defaults.
//!
//! Owns no behaviour and must not know what the commands do with the values.
//! A value that gets past this file is within the bounds written here.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::load::{self, Target};

/// Makes test data for reviewsd, loads a server, and serves the answer it is measured against.
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
    /// Send a server requests at a planned rate, and say how it answered.
    Load(Box<LoadArgs>),
    /// Measure again what others published, beside their stack on the same machine.
    Scenario(ScenarioArgs),
}

#[derive(Args)]
pub(crate) struct GenArgs {
    /// The number of products; all other rows follow from it.
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

/// Flags stand in place of what the workload's file says.
#[derive(Args)]
#[command(after_help = load::shipped())]
pub(crate) struct LoadArgs {
    /// The server: http://HOST:PORT, and perhaps a path that stands before those of the API.
    #[arg(value_name = "URL")]
    pub(crate) target: Target,
    /// The requests to send: a file, or the name of one of the workloads below.
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) workload: String,
    /// Requests a second, at even distances, whether or not answers come; several are kept in turn.
    #[arg(
        long,
        visible_alias = "steps",
        value_name = "N,N,…",
        value_delimiter = ',',
        conflicts_with = "closed"
    )]
    pub(crate) rate: Option<Vec<f64>>,
    /// No rate: each connection asks again when it is answered.
    #[arg(long)]
    pub(crate) closed: bool,
    /// The time, such as 15s; of each step, where there are several.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// The time before the measurement begins; 0s for none.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) warm_up: Option<Duration>,
    /// The number of connections.
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
    /// Products there are: the last id that is asked for.
    #[arg(long, value_name = "N")]
    pub(crate) products: Option<u64>,
    /// Reviews there are: the last id that is voted for or reported.
    #[arg(long, value_name = "N")]
    pub(crate) reviews: Option<u64>,
    /// The same seed sends the same requests.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// Write all figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Exit with 1 when any request failed or the rate was not held.
    #[arg(long)]
    pub(crate) fail_on_errors: bool,
}

#[derive(Args)]
pub(crate) struct ScenarioArgs {
    /// One of those that --list names, or all.
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub(crate) name: Option<String>,
    /// Name the scenarios, with what was published, and end.
    #[arg(long)]
    pub(crate) list: bool,
    /// The number of products.
    #[arg(long, value_name = "N", default_value_t = 1_000_011, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) products: u64,
    /// The time for which each figure is measured.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) seconds: Duration,
    /// The directory for CSV files, stores and packages between runs [default: bench, beside the program, or
    /// /var/tmp/reviewsd-bench where only root may enter there].
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Import again, also what the work directory has from before.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Write RESULTS.md here, and plots and raw figures into results/ below.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The server that is measured [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    pub(crate) reviewsd: Option<PathBuf>,
    /// The sources of the peers.
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers"))]
    pub(crate) peers: PathBuf,
}

/// The number asked for, or one thread per core.
pub(crate) fn threads_or_cores(asked: Option<NonZero<usize>>) -> usize {
    asked
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get)
}
