//! The command line: its words and their help.
//!
//! Must not do anything. Invariant: a flag has the name of the configuration key that it replaces.

mod backup;
mod describe;
mod import;
mod init;
mod rejects;
mod store;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};

use crate::config::{ByteSize, DialectConfig, address};
use crate::version;
pub use backup::{
    BackupArgs, BackupsArgs, KeepArgs, Moment, RestoreArgs, StoreId, Timestamp, WhereArgs,
};
pub use describe::{CompletionsArgs, ManArgs, Shell};
pub use import::{FILES, ImportArgs, MergeArgs, ShopFormat};
pub use init::{HostName, InitArgs, Layout};
pub use rejects::MaxRejects;
pub use store::{
    EraseArgs, ExportArgs, ExportFormat, FindArgs, PersonArgs, ReportedArgs, RestoreReportedArgs,
    StatsArgs, StoreArgs, StoreLocation, TrustArgs, VerifyArgs,
};
pub use token::{
    TokenAction, TokenAddArgs, TokenArgs, TokenFileArgs, TokenListArgs, TokenRemoveArgs,
};

/// A shop's ratings and reviews, served from one binary and a local store.
#[derive(Debug, Parser)]
#[command(
    name = "reviewsd",
    version = version::WHOLE,
    arg_required_else_help = true,
    after_help = "Examples:
  reviewsd import --csv ./csv --data ./data
  reviewsd serve --data ./data
  curl 'http://127.0.0.1:8080/reviews?product_id=1'

Exit codes:
  0    success; a server was stopped
  1    failure; one sentence on standard error says why and what to do
  2    the command line or the configuration is invalid
  3    partial success: parts of the store cannot be read, and are listed
  130  an import was interrupted, or a server was stopped by a second Ctrl-C
  141  the reader of the output closed it, as in `| head`
  143  a server was stopped by a second SIGTERM

Documents:
  /usr/share/doc/reviewsd/docs/README.md

Each command has examples in its own help: reviewsd help serve."
)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the files of a new installation.
    #[command(long_about = init::INIT)]
    Init(InitArgs),
    /// Make a store from a shop's CSV files.
    #[command(long_about = import::IMPORT)]
    Import(ImportArgs),
    /// Answer HTTP requests from a store.
    #[command(long_about = SERVE)]
    Serve(ServeArgs),
    /// Promote a replica to primary.
    Promote(PromoteArgs),
    /// Let a replica take another store than its own.
    Follow(FollowArgs),
    /// Show the position of a store, and the primary that it follows.
    Position(PositionArgs),
    /// Verify a store, and repair it.
    #[command(long_about = store::VERIFY)]
    Verify(VerifyArgs),
    /// Show the size of a store.
    Stats(StatsArgs),
    /// Write a store as CSV or JSON files.
    #[command(long_about = store::EXPORT)]
    Export(ExportArgs),
    /// Show all reviews of a person.
    #[command(long_about = store::FIND)]
    Find(FindArgs),
    /// Show reported reviews in the lists again.
    #[command(long_about = store::RESTORE_REPORTED)]
    RestoreReported(RestoreReportedArgs),
    /// Erase all reviews of a person, or one review.
    #[command(long_about = store::ERASE)]
    Erase(EraseArgs),
    /// Back up a store to a directory or a bucket.
    #[command(long_about = backup::BACKUP)]
    Backup(BackupArgs),
    /// List backups.
    #[command(long_about = backup::BACKUPS)]
    Backups(BackupsArgs),
    /// Restore a store from a backup.
    #[command(long_about = backup::RESTORE)]
    Restore(RestoreArgs),
    /// Manage the tokens of the admin API.
    #[command(long_about = token::TOKEN)]
    Token(TokenArgs),
    /// Check the configuration, and show each value with its source.
    #[command(long_about = CHECK_CONFIG)]
    CheckConfig(CheckConfigArgs),
    /// Diagnose a server and its surroundings.
    #[command(long_about = DOCTOR)]
    Doctor(DoctorArgs),
    /// Print the completions for a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages.
    Man(ManArgs),
}

impl Cli {
    /// The command line's description of itself.
    #[must_use]
    pub fn described() -> clap::Command {
        Self::command()
    }
}

impl Command {
    /// True if it writes reviews, or may; the others write descriptions of the program.
    #[must_use]
    pub fn handles_reviews(&self) -> bool {
        !matches!(
            self,
            Self::Init(_) | Self::CheckConfig(_) | Self::Completions(_) | Self::Man(_)
        )
    }
}

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The help of `reviewsd serve`.
const SERVE: &str = "Answer HTTP requests from a store.

An empty or missing data directory is served as an empty store. SIGTERM and SIGINT stop the server \
after the requests in flight; a second signal stops it at once. SIGHUP reads the \
configuration again: settings that can change at run time take effect, and the log names those that need a \
restart. An invalid configuration changes nothing.

Every key of the configuration can be set in four places, the first of which wins: a \
flag (--set net.idle_time_max=90s; some keys have flags of their own), the environment \
(REVIEWSD_NET_IDLE_TIME_MAX=90s; lists with commas), the file, and the defaults.";

/// `reviewsd serve`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd serve --data ./data
  reviewsd serve --data /var/lib/reviewsd --listen 0.0.0.0:8080 --memory 400MiB
  reviewsd serve --config ./reviewsd.toml --dialect greenfield
  reviewsd serve --data ./data --set writes.vote_window=24h
  reviewsd serve --data ./replica --follow http://10.0.0.1:8081
  reviewsd serve --data ./data --new
  REVIEWSD_STORE_DATA=./data REVIEWSD_NET_LISTEN=[::]:8080 reviewsd serve

Exit codes:
  0    it was stopped
  1    it could not start, a write failed, or a full disk has space again; one sentence says why and what
       to do
  2    the command line or the configuration is invalid
  130  a second Ctrl-C stopped it at once
  143  a second SIGTERM stopped it at once

Documents:
  /usr/share/doc/reviewsd/docs/operating/configuration.md
  /usr/share/doc/reviewsd/docs/operating/replicas.md")]
pub struct ServeArgs {
    /// Begin a new epoch: this store becomes the primary's, even if replicas have later writes. For one
    /// start, by hand; never in a unit
    #[arg(long, conflicts_with = "follow")]
    pub new: bool,

    /// The settings of the configuration.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Open a store that lacks acknowledged writes, and give them up: a primary begins a new epoch and
    /// skips ids, a replica fetches them again
    #[arg(long)]
    pub accept_loss: bool,
}

/// The flags of the configuration.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: Option<String>,

    /// Address of the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// Address of the admin API [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub admin: Option<SocketAddr>,

    /// Memory for the store [default: 65 % of the machine's or the cgroup's]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,

    /// Dialect of the responses [default: atelier]
    #[arg(long, value_enum)]
    pub dialect: Option<DialectConfig>,

    /// Be a read-only replica of the primary with this admin API, like `http://10.0.0.1:8081`
    #[arg(long, value_name = "URL")]
    pub follow: Option<String>,

    /// Any key of the configuration.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        help = "Any key of the configuration, as in --set net.idle_time_max=90s; may be repeated"
    )]
    pub set: Vec<Assignment>,

    /// Configuration file [default: /etc/reviewsd/reviewsd.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `KEY=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (key, value) = text
            .split_once('=')
            .ok_or("a key and its value are written KEY=VALUE")?;
        Ok(Self {
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }
}

/// The help of `reviewsd check-config`.
const CHECK_CONFIG: &str =
    "Check the configuration, and show each value with its source.

Takes the flags of `reviewsd serve`, and finds the errors that it would find. The output is a \
configuration file with the same settings. A setting that is valid but does not fit this machine, such as \
more memory than it has, is a warning on standard error. Nothing is opened, and no port is used.";

/// `reviewsd check-config`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd check-config
  reviewsd check-config --config ./reviewsd.toml --data ./data
  reviewsd check-config --data /var/lib/reviewsd > reviewsd.toml

Exit codes:
  0  the configuration is valid
  1  it is valid, but could not be printed
  2  it or the command line is invalid; one sentence on standard error says where and why

Documents:
  /usr/share/doc/reviewsd/docs/operating/configuration.md")]
pub struct CheckConfigArgs {
    /// The settings of the configuration.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// The help text of `reviewsd doctor`.
const DOCTOR: &str = "Diagnose a server and its surroundings.

Takes the flags of `reviewsd serve`, and checks owners and modes of files, secrets, ports, memory, \
free space, file descriptors, the age of backups, the clocks of other servers, whether the store lacks \
acknowledged writes or takes none, whether systemd units are enabled that should not be, and whether two \
machines serve or back up the same store. A server whose admin API needs a token is asked with the one in \
REVIEWSD_TOKEN. Changes nothing, starts nothing, and runs as any user: checks that \
the user has no permission for are listed.";

/// `reviewsd doctor`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd doctor --data /var/lib/reviewsd
  reviewsd doctor --config /etc/reviewsd/replica-1.toml --data /var/lib/reviewsd-replica-1
  reviewsd doctor --data /var/lib/reviewsd --json

Exit codes:
  0  no problem was found
  1  problems were found, and printed with what to do
  2  the command line or the configuration is invalid

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md")]
pub struct DoctorArgs {
    /// The settings to check.
    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `reviewsd promote`
#[derive(Debug, Args)]
#[command(
    long_about = "Promote a replica to primary.

Run it on the replica with the latest position (see reviewsd position), after stopping the replica and \
making sure that the old primary is down. The store begins a new epoch: replicas that follow it reject \
the old primary from then on. Writes that the old primary acknowledged and did not replicate are not in it.",
    after_help = "Examples:
  reviewsd promote --data /var/lib/reviewsd

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/primary-lost.md"
)]
pub struct PromoteArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Promote a store that lacks acknowledged writes, and give them up
    #[arg(long)]
    pub accept_loss: bool,
}

/// `reviewsd follow`
#[derive(Debug, Args)]
#[command(
    long_about = "Let a replica take another store than its own.

A replica never deletes its store because its primary has another one: it goes on serving, reports on \
/readyz and in its log that it stopped following, and names the id of the other store. If that is the \
right one, this command lets the replica fetch it; the replica's own store is moved to diverged-… in its \
data directory. Run it while the replica runs, or before it is started.",
    after_help = "Examples:
  reviewsd follow --data /var/lib/reviewsd --accept-store 5c1d6a0e8f3b4a7d9e2f1b0c3d4e5f60

Documents:
  /usr/share/doc/reviewsd/docs/operating/replicas.md
  /usr/share/doc/reviewsd/docs/runbooks/primary-came-back-empty.md"
)]
pub struct FollowArgs {
    /// Directory of the replica's store
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Id of the store to take, from the replica's log or /replication of the primary
    #[arg(long, value_name = "ID", value_parser = store_id)]
    pub accept_store: u128,
}

/// Reads the id of a store.
fn store_id(text: &str) -> Result<u128, &'static str> {
    let id = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok());
    id.flatten()
        .ok_or("an id of a store is 32 hexadecimal digits")
}

/// `reviewsd position`
#[derive(Debug, Args)]
#[command(
    long_about = "Show the position of a store, and the primary that it follows.

The server must be stopped; a running server reports the same at /replication of its admin API. Of two \
replicas the one with the higher epoch is ahead, and within an epoch the one with the higher \
sequence number. Two stores with the same id and the same position have the same contents.",
    after_help = "Examples:
  reviewsd position --data /var/lib/reviewsd
  reviewsd position --data /var/lib/reviewsd --contents

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/primary-lost.md"
)]
pub struct PositionArgs {
    /// Directory of the store
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Read everything, and show rows and a hash of each family
    #[arg(long)]
    pub contents: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::described().debug_assert();
    }

    #[test]
    fn what_a_command_does_is_told_in_its_help() {
        let mut program = Cli::described();
        let serve = program.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        assert!(help.contains("SIGHUP reads"), "{help}");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::described().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let example = format!("Examples:\n  reviewsd {} ", command.get_name());
            let name = command.get_name();
            assert!(help.starts_with(example.trim_end()), "{name}: {help}");
        }
    }
}
