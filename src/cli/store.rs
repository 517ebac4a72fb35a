//! The words of the commands that look after a store.
//!
//! Must not do anything. Invariant: a command that works on a store as well as on a server that has it
//! open names exactly one of the two.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ReportFormat, Timestamp};
use crate::model::ClientHash;

/// The place of the store, and the way to ask it.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct StoreArgs {
    /// The one or the other.
    #[command(flatten)]
    pub at: StoreLocation,

    /// The certificates for a server with https://.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Where the store is.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct StoreLocation {
    /// Directory of the store, which no server has open
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Operator's address of the server that has the store open
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// The files of TLS with a server.
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// Certificate of the authority that signed the server's, where its address begins with https://
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,

    /// Certificate to show to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// The help of `reviewsd verify`.
pub(super) const VERIFY: &str = "Recount everything in a store, and mend what does not add up.

Lists are held against reviews, summaries against reviews, owners, ranks and counts against what they \
count, and every value is decoded. Ends with 0 when the store is sound, and with 1 after listing what \
differs.

With --repair, what is derived is made anew from what it is derived from: from reviews, the names of \
characteristics and the catalogue. A part of the store that the disk has damaged is named, and what is \
behind it is looked at all the same. A value that cannot be decoded is moved to DIR/set-aside.txt, and \
nothing is removed before it is there. A repair that is cut off is finished by the next one.";

/// `reviewsd verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd verify --data /var/lib/reviewsd
  reviewsd verify --data /var/lib/reviewsd --repair
  reviewsd verify --data ./data --report json --quiet | jq .differences

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md")]
pub struct VerifyArgs {
    /// Directory of the store, which no server has open
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Mend what differs
    #[arg(long)]
    pub repair: bool,

    /// How the report is written to standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

/// `reviewsd stats`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd stats --data ./data
  reviewsd stats --server http://127.0.0.1:8081
  reviewsd stats --server http://127.0.0.1:8081 --json | jq .families

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md")]
pub struct StatsArgs {
    /// Where the store is
    #[command(flatten)]
    pub place: StoreArgs,

    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The ten files that `reviewsd import` reads.
    Csv,
    /// A JSON object a line: reviews, characteristics, products, styles, relations.
    Jsonl,
    /// The template of Judge.me's import: reviews that are not reported.
    Judgeme,
    /// The product review feed of Google, schema 2.3: reviews that are not reported, without addresses.
    Google,
}

/// The help of `reviewsd export`.
pub(super) const EXPORT: &str = "Write a store as CSV or JSON files.

The CSV files are those that `reviewsd import` reads, and importing them gives an equal store. They hold \
all that the store does, e-mail addresses included, so the new directory is its owner's alone to read. \
The directory must not be there: it appears when all files in it are whole.

The files for Judge.me and Google are for these alone: they have no products, no characteristics and no \
votes, and leave out reviews that are reported.

A store that is served can be exported as well, with --server: each review is then as it was at some \
moment of the export.

A part of the store that the disk has damaged ends the export. With --skip-damaged it goes on behind it, and \
names what is missing on standard error and in export.json; a store that does not open, because a file of it \
is damaged, is read as far as that goes.";

/// `reviewsd export`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd export --data ./data --format csv --out ./csv
  reviewsd export --server http://127.0.0.1:8081 --format jsonl --out ./json
  reviewsd export --data ./data --format judgeme --ids ids.csv --out ./judgeme
  reviewsd export --data ./data --format google --publisher 'A Shop' --product-url 'https://shop.example/p/{id}' --out ./feed
  reviewsd import --csv ./csv --data ./copy

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md
  /usr/share/doc/reviewsd/docs/using/importing.md")]
pub struct ExportArgs {
    /// Where the store is
    #[command(flatten)]
    pub place: StoreArgs,

    /// How to write it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,

    /// Directory of the files, which must not be there yet
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// CSV of handles and ids, as the import keeps it: products are named by their handles as well
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,

    /// For Google: the name of the shop
    #[arg(long, value_name = "NAME", required_if_eq("format", "google"))]
    pub publisher: Option<String>,

    /// For Google: the address of a product's page, with {id} or {handle} in it
    #[arg(long, value_name = "URL", required_if_eq("format", "google"))]
    pub product_url: Option<String>,

    /// Go on behind damaged parts of a store that is here, and name what is missing; ends with 3 then
    #[arg(long, conflicts_with = "server")]
    pub skip_damaged: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

/// The help of `reviewsd find`.
pub(super) const FIND: &str = "Show what is held of a person.

Addresses are compared without spaces around them and in any case of the letters A to Z, and otherwise \
as they are.";

/// `reviewsd find`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd find --data ./data --email ana@example.org
  reviewsd find --server http://127.0.0.1:8081 --email ana@example.org --json

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/erase-a-person.md")]
pub struct FindArgs {
    /// Where the store is
    #[command(flatten)]
    pub place: StoreArgs,

    /// The person's address
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,

    /// Write one JSON object a review
    #[arg(long)]
    pub json: bool,
}

/// The reviews of a person.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct PersonArgs {
    /// All reviews with this address
    #[arg(long, value_name = "ADDRESS")]
    pub email: Option<String>,

    /// The review with this id
    #[arg(long, value_name = "ID")]
    pub review: Option<u64>,
}

/// The reported reviews that are meant.
#[derive(Debug, Clone, Args)]
#[group(id = "which", required = true, multiple = true)]
pub struct ReportedArgs {
    /// Reviews that were reported at this time or later, like 2026-11-21T09:30:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,

    /// Reviews that were reported before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,

    /// Reviews that this client reported: its hash, as the log and the reports have it, or its address
    #[arg(long, value_name = "HASH|ADDRESS", value_parser = client)]
    pub reporter: Option<String>,

    /// All reported reviews, also those of which nobody knows when and by whom they were reported
    #[arg(long, conflicts_with_all = ["since", "until", "reporter"])]
    pub all: bool,
}

/// A text that names a client.
fn client(text: &str) -> Result<String, &'static str> {
    let is_one = text.parse::<ClientHash>().is_ok() || text.parse::<IpAddr>().is_ok();
    let wrong = "a client is named by 16 hexadecimal digits or by its IP address";
    is_one.then(|| text.to_owned()).ok_or(wrong)
}

/// The help of `reviewsd restore-reported`.
pub(super) const RESTORE_REPORTED: &str = "Show reported reviews in the lists again.

A report hides a review from every list at once. When many were reported in bad faith, this brings back \
those that one client reported, that were reported at some time, or all. Given together, the words narrow \
each other. Says first how many reviews of how many products would come back, and who reported most of \
them, and asks, unless --yes is given.

A client is known by a hash of its address, of an IPv6 address by that of its /64. Of reviews that were \
reported to an earlier build, or imported, neither client nor time is known: they come back with --all alone.

It works in batches, each of them whole: when it is interrupted, run it again. To make a store out of a \
backup is `reviewsd restore`.";

/// `reviewsd restore-reported`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd restore-reported --server http://127.0.0.1:8081 --all --dry-run
  reviewsd restore-reported --server http://127.0.0.1:8081 --reporter 5d1f3c0a9b7e2468
  reviewsd restore-reported --data ./data --since 2026-11-21T09:30:00Z --until 2026-11-21T09:31:00Z --yes

Documents:
  /usr/share/doc/reviewsd/docs/operating/moderation.md")]
pub struct RestoreReportedArgs {
    /// Where the store is
    #[command(flatten)]
    pub place: StoreArgs,

    /// Which reviews
    #[command(flatten)]
    pub which: ReportedArgs,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Say how many there are, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The help of `reviewsd erase`.
pub(super) const ERASE: &str = "Remove a person's reviews, or one review, for good.

A review leaves every list, summary and file of the store; its id is not given again. The files that held \
it are rewritten before the command ends. What was copied elsewhere stays there: CSV files, backups, \
exports, rejects.csv.

Asks before it erases, unless --yes is given.";

/// `reviewsd erase`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd erase --data ./data --email ana@example.org --dry-run
  reviewsd erase --server http://127.0.0.1:8081 --email ana@example.org --yes
  reviewsd erase --data ./data --review 5

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/erase-a-person.md")]
pub struct EraseArgs {
    /// Where the store is
    #[command(flatten)]
    pub place: StoreArgs,

    /// Which reviews
    #[command(flatten)]
    pub whose: PersonArgs,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Say what would be erased, and erase nothing
    #[arg(long)]
    pub dry_run: bool,
}
