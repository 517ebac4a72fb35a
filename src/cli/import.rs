//! The words of `reviewsd import`.
//!
//! Must not do anything. Invariant: a flag that changes what becomes of an existing store says so.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{MaxRejects, ReportFormat, TrustArgs};
use crate::config::ByteSize;

/// The help of `reviewsd import`.
pub(super) const IMPORT: &str = "Make a store from a shop's CSV files.

The new store is built beside the old one and replaces it in one step at the very end: an import that \
fails before leaves the old store as it was. Every row that is repaired, skipped or rejected is \
counted in the report that closes the import.

With --replace the existing store is deleted. If it took writes since it was created, the import is rejected, \
unless the files are an export of that very store without a later write, or --discard-posted \
allows losing the writes. Review ids are never reused: the new store continues after those \
of the old one.

With --from the files are those of another program, such as the product export of Shopify and the reviews \
of Judge.me. Each is recognised by its columns; the mappings are TOML files, and --inspect begins one for \
any other CSV.

With --merge the files, or some of them, go into the store that is there, by --data or, while it is served, by --server: products, styles, skus and the shop's own reviews are added and changed, and with --prune removed where the files no longer have them. Reviews that customers posted, votes, reports and answers stay. An interrupted merge leaves whole products; running it again finishes it.";

/// The files that an import reads.
pub const FILES: [&str; 10] = [
    "product.csv",
    "reviews.csv",
    "characteristics.csv",
    "reviews_photos.csv",
    "characteristic_reviews.csv",
    "styles.csv",
    "skus.csv",
    "photos.csv",
    "features.csv",
    "related.csv",
];

/// `reviewsd import`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  reviewsd import --csv ./csv --data ./data
  reviewsd import --csv ./csv --data ./data --replace --rejects rejects.csv
  reviewsd import --csv ./csv --data ./data --quiet --report json > report.json
  reviewsd import --from shopify,judgeme --csv ./exports --ids ids.csv --data ./data
  reviewsd import --merge --csv ./csv --server http://127.0.0.1:8081
  reviewsd import --merge --prune --dry-run --csv ./csv --data ./data
  reviewsd import --inspect reviews.csv --out reviews.toml
  reviewsd import --from csv --map reviews.toml --csv reviews.csv --ids ids.csv --data ./data

Documents:
  /usr/share/doc/reviewsd/docs/using/your-own-csvs.md
  /usr/share/doc/reviewsd/docs/using/merging.md
  /usr/share/doc/reviewsd/docs/using/importing.md")]
pub struct ImportArgs {
    /// Directory with the CSV files; a missing file is reported and skipped. With --from, the directory of the other program's files, or one of them
    #[arg(long, value_name = "DIR", required_unless_present = "inspect")]
    pub csv: Option<PathBuf>,

    /// Directory of the store; created if missing
    #[arg(long, value_name = "DIR", required_unless_present_any = ["inspect", "server"])]
    pub data: Option<PathBuf>,

    /// The programs that the files are of, of which each file is recognised by its columns; csv is any with a mapping by --map
    #[arg(long, value_name = "PROGRAM", value_enum, value_delimiter = ',')]
    pub from: Vec<ShopFormat>,

    /// A mapping of columns to fields, as --inspect begins one; may be repeated
    #[arg(long, value_name = "FILE", requires = "from")]
    pub map: Vec<PathBuf>,

    /// CSV of handles and ids (handle, product id) of products that the files name by handle or SKU; ids that are made are added to it
    #[arg(long, value_name = "FILE", requires = "from")]
    pub ids: Option<PathBuf>,

    /// Import nothing: say what the columns of this CSV are taken for and why, as a mapping for --map
    #[arg(long, value_name = "FILE", conflicts_with_all = ["csv", "data", "from"])]
    pub inspect: Option<PathBuf>,

    /// File for that mapping, which must not be there yet; standard output without it
    #[arg(long, value_name = "FILE", requires = "inspect")]
    pub out: Option<PathBuf>,

    /// Replace the existing store, unless it took writes that the files do not have
    #[arg(long)]
    pub replace: bool,

    /// Replace it even if reviews, votes and answers are lost that were written since it was created
    #[arg(long, requires = "replace")]
    pub discard_posted: bool,

    /// Accept a file that has no row to store, or that is missing although the replaced store has such rows; may be repeated
    #[arg(long, value_name = "FILE", value_parser = FILES)]
    pub allow_empty: Vec<String>,

    /// Memory for reading, sorting and joining; larger data is spilled to disk
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub memory: ByteSize,

    /// Abort if more than N rows of all files, or P % (rounded up) of one file, are rejected [default: 1000,1%]
    #[arg(long, value_name = "N|P%", value_delimiter = ',')]
    pub max_rejects: Vec<MaxRejects>,

    /// File for the rejected rows, with file, line, field and reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,

    /// Format of the closing report on standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    pub report: ReportFormat,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,

    /// The flags of a merge.
    #[command(flatten)]
    pub merge: MergeArgs,
}

/// The flags of `reviewsd import --merge`.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct MergeArgs {
    /// Merge the files into the existing store: what they do not have stays
    #[arg(long, conflicts_with_all = ["replace", "from", "inspect"])]
    pub merge: bool,

    /// Remove what the files that are given no longer have, but never a review that a customer posted
    #[arg(long, requires = "merge")]
    pub prune: bool,

    /// Change nothing: report what would change, file by file
    #[arg(long, requires = "merge")]
    pub dry_run: bool,

    /// Remove more than 20 % of the products, styles, skus or reviews without asking
    #[arg(long, requires = "prune")]
    pub yes: bool,

    /// Admin API of the server that has the store open
    #[arg(long, value_name = "URL", requires = "merge", conflicts_with = "data")]
    pub server: Option<String>,

    /// The certificates for a server with https://.
    #[command(flatten)]
    pub trust: TrustArgs,
}

impl ImportArgs {
    /// The directory of the files, which is there where something is imported.
    #[must_use]
    pub fn csv(&self) -> &Path {
        self.csv.as_deref().unwrap_or(Path::new(""))
    }

    /// The directory of the store, which is there where something is imported.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new(""))
    }
}

/// The program that wrote files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShopFormat {
    /// The product export of Shopify.
    Shopify,
    /// The review export of Judge.me, or the template of its import.
    Judgeme,
    /// The product export of WooCommerce, and the reviews that its plugins export.
    Woocommerce,
    /// The review export of Yotpo, or the template of its import.
    Yotpo,
    /// Any CSV, with a mapping.
    Csv,
}
