//! The words of the commands that look after a store.
//!
//! Must not do anything. Invariant: a command that works on a store as well as on a server that has it
//! open names exactly one of the two.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ReportFormat, Timestamp};
use crate::model::ClientHash;

/// A store in a directory, or behind a server.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub struct StoreArgs {
    /// The one or the other.
    #[command(flatten)]
    pub at: StoreLocation,

    /// The token, and the certificates for a server with https://.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// The location of a store.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct StoreLocation {
    /// Directory of a store that no server has open
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Admin API of the server that has the store open
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// The files by which a server is trusted, and trusts the command.
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// File with a token of the server's admin API [default: the token in `REVIEWSD_TOKEN`]
    #[arg(long, value_name = "FILE", requires = "server")]
    pub token_file: Option<PathBuf>,

    /// CA file to verify the server's certificate with, for https://
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,

    /// Client certificate, for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// Private key of the client certificate
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

/// The help of `reviewsd verify`.
pub(super) const VERIFY: &str = "Verify a store, and repair it.

Lists, summaries, owners, ranks and counts are compared with the reviews and the catalogue, and every value \
is decoded. Ends with 0 if the store is sound, and with 1 after listing the issues.

With --repair, derived rows are rebuilt from reviews, the names of characteristics and the catalogue. A part \
of the store that the disk has damaged is named, and the rest behind it is verified. A value that cannot be \
decoded is moved to the quarantine, DIR/set-aside.txt, and is not removed before it is there. An interrupted \
repair is finished by the next one.";

/// `reviewsd verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd verify --data /var/lib/reviewsd
  reviewsd verify --data /var/lib/reviewsd --repair
  reviewsd verify --data ./data --report json --quiet | jq .differences

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md")]
pub struct VerifyArgs {
    /// Directory of a store that no server has open
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,

    /// Repair the issues
    #[arg(long)]
    pub repair: bool,

    /// Format of the report on standard output
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
    /// The store
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

The CSV files are those that `reviewsd import` reads, and importing them gives an equal store. They have \
everything in the store, including e-mail addresses, so only the owner can read the new directory. \
The directory must not exist: it appears when all files in it are complete.

The files for Judge.me and Google are for these alone: they have no products, no characteristics and no \
votes, and leave out reviews that are reported.

With --server, a store is exported while it is served: each review is then as it was at some \
time during the export.

A part of the store that the disk has damaged ends the export. With --skip-damaged the export continues behind \
it, and lists the missing rows on standard error and in export.json; a store that does not open because one of \
its files is damaged is read as far as possible.";

/// `reviewsd export`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd export --data ./data --format csv --out ./csv
  reviewsd export --server http://127.0.0.1:8081 --format jsonl --out ./json
  reviewsd export --data ./data --format judgeme --ids ids.csv --out ./judgeme
  reviewsd export --data ./data --format google --publisher 'A Shop' --product-url 'https://shop.example/p/{id}' --out ./feed
  reviewsd import --csv ./csv --data ./again

Documents:
  /usr/share/doc/reviewsd/docs/operating/maintenance.md
  /usr/share/doc/reviewsd/docs/using/importing.md")]
pub struct ExportArgs {
    /// The store
    #[command(flatten)]
    pub place: StoreArgs,

    /// Format of the files
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ExportFormat::Csv)]
    pub format: ExportFormat,

    /// Directory for the files, which must not exist
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

    /// Skip damaged parts of a store in a directory, and list the missing rows; ends with 3 then
    #[arg(long, conflicts_with = "server")]
    pub skip_damaged: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

/// The help of `reviewsd find`.
pub(super) const FIND: &str = "Show all reviews of a person.

Addresses are compared without surrounding spaces, and ignoring the case of the letters A to Z.";

/// `reviewsd find`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd find --data ./data --email ana@example.org
  reviewsd find --server http://127.0.0.1:8081 --email ana@example.org --json

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/erase-a-person.md")]
pub struct FindArgs {
    /// The store
    #[command(flatten)]
    pub place: StoreArgs,

    /// The person's address
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,

    /// Write one JSON object per review
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

/// The selected reported reviews.
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

    /// All reported reviews, including those without a known time and reporter
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

A report hides a review from every list at once. When many were reported in bad faith, this restores \
those that one client reported, those reported at some time, or all. Several options select the reviews \
that match all of them. Prints how many reviews of how many products would be restored, and the most \
frequent reporters, and asks for confirmation unless --yes is given.

A client is identified by a hash of its address, or of the /64 of its IPv6 address. For reviews that were \
reported to an earlier build, or imported, neither client nor time is known: only --all restores them.

It works in atomic batches: when it is interrupted, run it again. To restore a store from a \
backup, use `reviewsd restore`.";

/// `reviewsd restore-reported`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd restore-reported --server http://127.0.0.1:8081 --all --dry-run
  reviewsd restore-reported --server http://127.0.0.1:8081 --reporter 5d1f3c0a9b7e2468
  reviewsd restore-reported --data ./data --since 2026-11-21T09:30:00Z --until 2026-11-21T09:31:00Z --yes

Documents:
  /usr/share/doc/reviewsd/docs/operating/moderation.md")]
pub struct RestoreReportedArgs {
    /// The store
    #[command(flatten)]
    pub place: StoreArgs,

    /// Which reviews
    #[command(flatten)]
    pub which: ReportedArgs,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Print how many there are, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// The help of `reviewsd erase`.
pub(super) const ERASE: &str = "Erase all reviews of a person, or one review.

A review is removed from every list, summary and file of the store; its id is not reused. The files that had \
it are rewritten before the command ends. It stays in files outside of the store: CSV files, backups, \
exports, rejects.csv.

Asks for confirmation, unless --yes is given.";

/// `reviewsd erase`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd erase --data ./data --email ana@example.org --dry-run
  reviewsd erase --server http://127.0.0.1:8081 --email ana@example.org --yes
  reviewsd erase --data ./data --review 5

Documents:
  /usr/share/doc/reviewsd/docs/runbooks/erase-a-person.md")]
pub struct EraseArgs {
    /// The store
    #[command(flatten)]
    pub place: StoreArgs,

    /// Which reviews
    #[command(flatten)]
    pub whose: PersonArgs,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Print what would be erased, and erase nothing
    #[arg(long)]
    pub dry_run: bool,
}
