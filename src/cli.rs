//! The command line: its words and their help.
//!
//! Must not do anything. Invariant: a flag has the name of the configuration key that it replaces.

mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{ByteSize, Dialect};
pub use store::{
    EraseArgs, ExportArgs, ExportFormat, FindArgs, Place, StatsArgs, VerifyArgs, Whose,
};

/// A shop's ratings and reviews, served from one binary and a local store.
#[derive(Debug, Parser)]
#[command(
    name = "reviewsd",
    version,
    arg_required_else_help = true,
    after_help = "Examples:
  reviewsd import --csv ./csv --data ./data
  reviewsd serve --data ./data
  curl 'http://127.0.0.1:8080/reviews?product_id=1'"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a store from a shop's CSV files.
    Import(ImportArgs),
    /// Answer HTTP requests from a store.
    Serve(ServeArgs),
    /// Make a copy the primary.
    Promote(PromoteArgs),
    /// Tell how far a store is, and whom it follows.
    Position(PositionArgs),
    /// Recount everything in a store, and mend what does not add up.
    Verify(VerifyArgs),
    /// Tell how large a store is.
    Stats(StatsArgs),
    /// Write a store as CSV or JSON files.
    Export(ExportArgs),
    /// Show what is held of a person.
    Find(FindArgs),
    /// Remove a person's reviews, or one review, for good.
    Erase(EraseArgs),
}

/// `reviewsd import`
#[derive(Debug, Args)]
#[command(
    long_about = "Make a store from a shop's CSV files.

The new store is built beside the old one and takes its place in one step at the very end: whatever \
happens before leaves the old store as it was. Every row that is repaired, skipped or rejected is \
counted in the report that closes the import.",
    after_help = "Examples:
  reviewsd import --csv ./csv --data ./data
  reviewsd import --csv ./csv --data ./data --replace --rejects rejects.csv
  reviewsd import --csv ./csv --data ./data --quiet --report json > report.json"
)]
pub struct ImportArgs {
    /// Directory with the CSV files; a file that is missing is reported and passed over
    #[arg(long, value_name = "DIR")]
    pub csv: PathBuf,

    /// Directory of the store; made where there is none
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Replace the store that is there
    #[arg(long)]
    pub replace: bool,

    /// Memory for reading, sorting and joining; what does not fit goes to the disk meanwhile
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory: ByteSize,

    /// Give up once more rows than this are rejected
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_rejects: u64,

    /// File for the rejected rows, with file, line, field and reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// How the closing report is written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `reviewsd serve`
#[derive(Debug, Args)]
#[command(
    long_about = "Answer HTTP requests from a store.

An empty or missing data directory is served as an empty store. SIGTERM and SIGINT end the server \
once the requests under way are answered; a second signal ends it at once.",
    after_help = "Examples:
  reviewsd serve --data ./data
  reviewsd serve --data /var/lib/reviewsd --listen 0.0.0.0:8080 --memory 400MiB
  reviewsd serve --config /etc/reviewsd.toml --dialect greenfield
  reviewsd serve --config /etc/reviewsd.toml --follow http://10.0.0.1:8081"
)]
pub struct ServeArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,

    /// Address of the operator's port [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,

    /// Memory for the store [default: 40 % of the machine's or the cgroup's]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,

    /// Configuration file; flags count more
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// How values are spelled in the answers [default: atelier]
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,

    /// Be a read-only copy of the server with this operator's port, like `http://10.0.0.1:8081`
    #[arg(long, value_name = "URL")]
    pub follow: Option<String>,
}

/// `reviewsd promote`
#[derive(Debug, Args)]
#[command(
    long_about = "Make a copy the primary.

To be run on the copy that is furthest (see reviewsd position), once it is stopped and the old \
primary is surely gone. The store begins a new epoch: copies that follow it refuse the old primary \
from then on. What the old primary acknowledged and had not sent is not in it.",
    after_help = "Examples:
  reviewsd promote --data /var/lib/reviewsd"
)]
pub struct PromoteArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// `reviewsd position`
#[derive(Debug, Args)]
#[command(
    long_about = "Tell how far a store is, and whom it follows.

The server must be stopped; one that runs tells the same on its operator's port, at /replication. Of \
two copies the one with the higher epoch is further, and within an epoch the one with the higher \
sequence number. Two stores with the same id and the same position hold the same.",
    after_help = "Examples:
  reviewsd position --data /var/lib/reviewsd
  reviewsd position --data /var/lib/reviewsd --contents"
)]
pub struct PositionArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Read everything, and tell rows and a hash of each family
    #[arg(long)]
    pub contents: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
