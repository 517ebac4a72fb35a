//! The command line of backups and restores.
//!
//! Must not do anything. Invariant: a flag whose value is configured is optional.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};

use super::Assignment;
use crate::config::Time;
use crate::model::calendar::parse_rfc3339;

/// The configuration of a command that serves nothing.
#[derive(Debug, Clone, Args)]
pub struct WhereArgs {
    /// Configuration file [default: /etc/reviewsd/reviewsd.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Any key of the configuration.
    #[arg(
        long,
        value_name = "KEY=VALUE",
        help = "Any key of the configuration, as in --set backup.segment_time=1s; may be repeated"
    )]
    pub set: Vec<Assignment>,
}

/// The retention of backups.
#[derive(Debug, Clone, Args)]
pub struct KeepArgs {
    /// Retain this many of the latest backups, and delete others [default: `backup.keep`; 0 is all]
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// Retain backups that are not older, as in 30d [default: `backup.keep_for`; 0s is all]
    #[arg(long, value_name = "TIME")]
    pub keep_for: Option<Time>,
}

/// The help of `reviewsd backup`.
pub(super) const BACKUP: &str = "Back up a store to a directory or a \
bucket.

A backup is the state of the store at one instant. Files that an earlier backup has are not written again. \
A server takes writes meanwhile; the backup reads from its admin API, at the rate of \
replication.bootstrap_rate at most. Without --data and --server, the store of the configuration is backed up: \
from its server if that runs, and otherwise from its directory.

A target belongs to one store. A backup of another store, or from a primary that was replaced, is rejected \
until --accept-store names the store. --keep and --keep-for count the backups of each store.

With --follow, commits are shipped continuously, so that the loss of a machine loses at most the commits of \
the last backup.segment_time. It begins with a backup, resumes where it stopped, waits for \
a target that is unavailable, and takes another backup when the server no longer has the next commit, or when \
the latest backup is as old as backup.snapshot_every; backups that neither --keep nor --keep-for retains are \
deleted then. Small segments of the log are merged into larger ones when they are an hour old.

The credentials of a bucket are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and the other variables \
of AWS's tools; AWS_ENDPOINT_URL names another server than Amazon's, and AWS_ALLOW_HTTP=true allows \
one without TLS.";

/// `reviewsd backup`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd backup --to /mnt/backups --keep 7 --keep-for 30d
  reviewsd backup --server http://127.0.0.1:8081 --to s3://shop-backups/reviews
  reviewsd backup --data ./data --to ./backups
  reviewsd backup --to s3://shop-backups/reviews --follow
  reviewsd backup --to /mnt/backups --accept-store 4d1b0a5f0f3c4e6e9a2b7c8d9e0f1a2b
  AWS_ENDPOINT_URL=https://minio.example reviewsd backup --to s3://backups/reviews

Exit codes:
  0  the backup is complete and durable; with --follow, it was stopped and shipped every commit
  1  it is not; one sentence on standard error says why and what to do
  2  the command line or the configuration is invalid

Documents:
  /usr/share/doc/reviewsd/docs/operating/backups.md")]
pub struct BackupArgs {
    /// Directory or `s3://BUCKET/PREFIX` for the backups [default: `backup.to`]
    #[arg(long, value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub to: Option<String>,

    /// Directory of a store that no server has open
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "follow"])]
    pub data: Option<PathBuf>,

    /// Admin API of the server that has the store open
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// File with a token of the server's admin API [default: the token in `REVIEWSD_TOKEN`, or the file `replication.token_file`]
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub token_file: Option<PathBuf>,

    /// Back up this store although the target belongs to another one, or to a later epoch of it
    #[arg(
        long,
        value_name = "ID",
        long_help = "Back up the store of this id (32 hexadecimal digits) although the target belongs to \
                     another one, or to a later epoch of it. Needed once: from then on \
                     the target belongs to that store. Existing backups are retained.",
        conflicts_with = "follow"
    )]
    pub accept_store: Option<StoreId>,

    /// Ship commits continuously, until the command is stopped
    #[arg(long)]
    pub follow: bool,

    /// The retention of backups
    #[command(flatten)]
    pub keep: KeepArgs,

    /// The configuration
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The help of `reviewsd backups`.
pub(super) const BACKUPS: &str = "List backups.

The latest comes first. \"Reaches\" is the latest time that `reviewsd restore --at` can restore from there: \
that of the backup, or of the last commit that was shipped since.

With --check everything that a restore may need is read and its hashes are verified: all of the target \
is fetched once. Missing and damaged objects are listed on standard error, one per line.";

/// `reviewsd backups`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd backups
  reviewsd backups --in /mnt/backups
  reviewsd backups --in s3://shop-backups/reviews --json | jq '.backups[0]'
  reviewsd backups --in /mnt/backups --check

Exit codes:
  0  the backups are listed; with --check, they are complete and intact
  1  they are not; standard error says why
  2  the command line or the configuration is invalid

Documents:
  /usr/share/doc/reviewsd/docs/operating/backups.md")]
pub struct BackupsArgs {
    /// Directory or `s3://BUCKET/PREFIX` with the backups [default: `backup.to`]
    #[arg(long = "in", value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub target: Option<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// Read everything, and verify its hashes
    #[arg(long, conflicts_with = "json")]
    pub check: bool,

    /// The configuration
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The help of `reviewsd restore`.
pub(super) const RESTORE: &str = "Restore a store from a backup.

The store is restored into an empty directory. The hash of every file is verified, and that every \
commit follows the one before; at the end the store is verified as `reviewsd verify` does, and only \
then it can be served. An interrupted restore resumes when it is run again.

Without --at the latest state is restored: that of the latest backup, and every commit that was shipped \
since. With --at the state of that time is restored: after the last commit that is not later. \
If there are backups of several stores, it is the store that the target belonged to at that time, in its \
highest epoch.";

/// `reviewsd restore`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd restore --from /mnt/backups --data ./restored
  reviewsd restore --from s3://shop-backups/reviews --data /var/lib/reviewsd
  reviewsd restore --from ./backups --data ./then --at 2026-11-21T09:30:00Z
  reviewsd restore --from ./backups --data ./then --at 123456
  reviewsd restore --from ./backups --data ./one --backup 20261121T120059.123Z-1a2b3c4d

Exit codes:
  0  the store is restored, and sound
  1  it is not; one sentence on standard error says why and what to do
  2  the command line or the configuration is invalid

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/restore.md")]
pub struct RestoreArgs {
    /// Directory or `s3://BUCKET/PREFIX` with the backups [default: `backup.to`]
    #[arg(long, value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub from: Option<String>,

    /// Empty directory for the store; created if missing
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,

    /// Restore the state of this time, like 2026-11-21T09:30:00Z, or sequence number
    #[arg(long, value_name = "TIME|SEQ")]
    pub at: Option<Moment>,

    /// Begin with this backup instead of the latest suitable one
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,

    /// Restore this store, if there are backups of several
    #[arg(long, value_name = "ID", conflicts_with = "backup")]
    pub store: Option<StoreId>,

    /// Do not verify the store at the end
    #[arg(long)]
    pub quick: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,

    /// The configuration
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The id of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub u128);

impl FromStr for StoreId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        id.map(Self).ok_or(
            "the id of a store has 32 hexadecimal digits; `reviewsd backups` and `reviewsd position` \
             show it",
        )
    }
}

/// A point in the history of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The number of the last row.
    Seq(u64),
    /// Milliseconds since 1970.
    Time(i64),
}

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seq) = text.parse() {
            return Ok(Self::Seq(seq));
        }
        let time = text.parse().map(|Timestamp(ms)| Self::Time(ms));
        time.map_err(|_| {
            "it is a sequence number, or a time with its zone, like 2026-11-21T09:30:00Z or \
             2026-11-21T10:30:00+01:00"
        })
    }
}

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp(pub i64);

impl FromStr for Timestamp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_rfc3339(text).map(Self).ok_or(
            "it is a time with its zone, like 2026-11-21T09:30:00Z or 2026-11-21T10:30:00+01:00",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_id_is_all_of_it() {
        let text = "00000000000000000000000000000abc";
        assert_eq!(text.parse(), Ok(StoreId(0xabc)));
        for text in ["", "abc", "+0000000000000000000000000000abc", &text[1..]] {
            assert!(text.parse::<StoreId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_is_a_number_or_a_time_with_its_zone() {
        for (text, at) in [
            ("0", Moment::Seq(0)),
            ("123456", Moment::Seq(123_456)),
            ("2023-11-14T22:13:20Z", Moment::Time(1_700_000_000_000)),
            ("2023-11-14T22:13:20.123Z", Moment::Time(1_700_000_000_123)),
            ("2023-11-14 23:13:20+01:00", Moment::Time(1_700_000_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(at), "{text}");
        }
        for text in ["", "now", "-1", "2023-11-14", "2023-11-14T22:13:20", "1.5"] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
