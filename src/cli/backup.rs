//! The words of the commands that keep stores elsewhere and bring them back.
//!
//! Must not do anything. Invariant: what is configured need not be given.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueHint};

use super::Assignment;
use crate::config::Time;
use crate::model::calendar::parse_rfc3339;

/// What of the configuration is to be in force.
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

/// The rules of the backups that stay.
#[derive(Debug, Clone, Args)]
pub struct KeepArgs {
    /// Keep so many of the latest backups, and remove others [default: `backup.keep`; 0 is all]
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// Keep backups that are not older, as in 30d [default: `backup.keep_for`; 0s is all]
    #[arg(long, value_name = "TIME")]
    pub keep_for: Option<Time>,
}

/// The help of `reviewsd backup`.
pub(super) const BACKUP: &str = "Keep a copy of a store elsewhere, of a server that runs or of one \
that does not.

A backup is the state of the store at one instant. Files that an earlier backup has are not written again. \
The server goes on taking writes meanwhile; it is asked on its operator's port, at the rate of \
replication.bootstrap_rate at most. Without --data and --server it is the store of the configuration: its \
server is asked where one runs, and otherwise the store is opened.

A target belongs to one store. Another store, and a server that was replaced by another one, are refused there \
until --accept-store names them. What --keep and --keep-for keep is counted for each store.

With --follow, what is committed is shipped as it comes, so that a machine which is lost takes with it what \
was committed in the last backup.segment_time. That begins with a backup, goes on where it stopped, waits for \
a target that is away, and backs up again when the server no longer has what comes next, or when the latest \
backup is as old as backup.snapshot_every; what neither --keep nor --keep-for keeps goes then. Small segments \
of the log are merged into larger ones when they are an hour old.

A bucket is reached with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and what else the tools of AWS \
know of the environment; AWS_ENDPOINT_URL names another server than Amazon's, and AWS_ALLOW_HTTP=true allows \
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
  0  the backup is there and durable; with --follow, it was asked to end and shipped what there was
  1  it is not, and one sentence on standard error says why and what to do
  2  the command line or the configuration is wrong

Documents:
  /usr/share/doc/reviewsd/docs/operating/backups.md")]
pub struct BackupArgs {
    /// Directory or `s3://BUCKET/PREFIX` for the backups [default: `backup.to`]
    #[arg(long, value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub to: Option<String>,

    /// Directory of the store, which no server has open
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "follow"])]
    pub data: Option<PathBuf>,

    /// Operator's address of the server that has the store open
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// Back up this store although the target holds another one, or a later epoch of it
    #[arg(
        long,
        value_name = "ID",
        long_help = "Back up the store of this id (32 hexadecimal digits) although the target holds the \
                     backups of another one, or has seen a later epoch of it. Needed once: from then on \
                     the target belongs to that store. The backups that are there stay.",
        conflicts_with = "follow"
    )]
    pub accept_store: Option<StoreId>,

    /// Ship what is committed from now on, until it is asked to end
    #[arg(long)]
    pub follow: bool,

    /// Which backups stay
    #[command(flatten)]
    pub keep: KeepArgs,

    /// What of the configuration is to be in force
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The help of `reviewsd backups`.
pub(super) const BACKUPS: &str = "List the backups that there are.

The latest comes first. \"Reaches\" is how far `reviewsd restore --at` can go from there: to where the backup \
was taken, or to the end of what was shipped since.

With --check everything that a restore may need is read back and held against its hashes: all of the target \
is fetched once. What is missing or damaged is named on standard error, an object a line.";

/// `reviewsd backups`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd backups
  reviewsd backups --in /mnt/backups
  reviewsd backups --in s3://shop-backups/reviews --json | jq '.backups[0]'
  reviewsd backups --in /mnt/backups --check

Exit codes:
  0  it is listed; with --check, everything is there as it was written
  1  it is not, and standard error says what is wrong
  2  the command line or the configuration is wrong

Documents:
  /usr/share/doc/reviewsd/docs/operating/backups.md")]
pub struct BackupsArgs {
    /// Directory or `s3://BUCKET/PREFIX` with the backups [default: `backup.to`]
    #[arg(long = "in", value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub target: Option<String>,

    /// Write JSON
    #[arg(long)]
    pub json: bool,

    /// Read everything back and hold it against its hashes
    #[arg(long, conflicts_with = "json")]
    pub check: bool,

    /// What of the configuration is to be in force
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The help of `reviewsd restore`.
pub(super) const RESTORE: &str = "Make a store out of a backup.

The store is put together in a directory that has nothing else in it. Every file is held against its hash, \
every commit against the one before, and at the end all of it is recounted as `reviewsd verify` does; only \
then there is a store that can be served. An interrupted restore goes on when it is run again.

Without --at the store is restored as far as there is anything: to the latest backup, and from there to the \
end of what was shipped. With --at it is restored as it was then: after the last commit that is not past it. \
Where there are backups of several stores it is the one that the target belonged to at that moment, in its \
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
  0  the store is there, and sound
  1  it is not, and one sentence on standard error says why and what to do
  2  the command line or the configuration is wrong

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/restore.md")]
pub struct RestoreArgs {
    /// Directory or `s3://BUCKET/PREFIX` with the backups [default: `backup.to`]
    #[arg(long, value_name = "TARGET", value_hint = ValueHint::DirPath)]
    pub from: Option<String>,

    /// Directory for the store, with nothing in it; made where there is none
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data: PathBuf,

    /// Restore what there was then: a time like 2026-11-21T09:30:00Z, or a sequence number
    #[arg(long, value_name = "TIME|SEQ")]
    pub at: Option<Moment>,

    /// Begin with this backup instead of the one that fits
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,

    /// Restore this store, where there are backups of several
    #[arg(long, value_name = "ID", conflicts_with = "backup")]
    pub store: Option<StoreId>,

    /// Do not recount at the end
    #[arg(long)]
    pub quick: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,

    /// What of the configuration is to be in force
    #[command(flatten)]
    pub settings: WhereArgs,
}

/// The id of a store, as every command that tells of one writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub u128);

impl FromStr for StoreId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let id = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
        id.map(Self).ok_or(
            "the id of a store has 32 hexadecimal digits; `reviewsd backups` and `reviewsd position` \
             tell it",
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
