//! `reviewsd export`: a store, here or behind a server, into a new directory of files.
//!
//! Invariants: memory does not grow with the store; the directory is there when all files in it are
//! whole and durable, and not before; 130 when it was interrupted, and nothing is left.

mod csv;
mod files;
mod google;
mod jsonl;
mod judgeme;
mod skipped;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::{ExportArgs, ExportFormat};
use crate::model::clock::now_ms;
use crate::model::moderation::ReviewState;
use crate::store::rows::{self, Row, SOURCES};
use crate::store::{self, Stats};

use super::Configured;
use super::INCOMPLETE;
use super::as_owner_of;
use super::bar::Bar;
use super::figures::{bytes, counted};
use super::manifest::{self, ExportManifest};
use super::out::out;
use super::store_target::{self, PageStart, StoreTarget};
use files::ExportDir;
use skipped::Skipped;

/// The exit code that shells report for a program ended by ^C.
const EXIT_INTERRUPTED: u8 = 130;

/// Takes the rows of a store, family after family, each in order of product.
trait Sink {
    /// Writes a row.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// Makes all files durable, and gives how many rows each has, and all bytes.
    fn finish(self: Box<Self>) -> io::Result<(BTreeMap<String, u64>, u64)>;

    /// The reviews that were left out, and why.
    fn left_out(&self) -> Option<String> {
        None
    }
}

/// Exports a store.
pub fn run(args: &ExportArgs) -> Result<ExitCode, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED.into(), Arc::clone(&stop))
            .and_then(|_| flag::register(signal, Arc::clone(&stop)))
            .map_err(Error::Start)?;
    }
    match export(args, &stop) {
        Err(Error::Interrupted) => {
            let out = args.out.display();
            // The exit code says the same.
            let _ = writeln!(io::stderr(), "reviewsd: interrupted: {out} was not created");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        result => result,
    }
}

fn export(args: &ExportArgs, stop: &AtomicBool) -> Result<ExitCode, Error> {
    let begun = Instant::now();
    if let Some(data) = &args.place.at.data {
        // The files are that user's as well, so that none of root's is in its way.
        as_owner_of(data)?;
    }
    // First of all: a wrong directory is an error before anything is locked.
    let target = ExportDir::begin(&args.out).map_err(Error::Write)?;
    let open = if args.skip_damaged {
        store_target::open_to_save
    } else {
        store_target::open
    };
    let place = open(&args.place, "reviewsd export")?;
    let before = place.stats()?;
    let (format, mut sink): (_, Box<dyn Sink>) = match args.format {
        ExportFormat::Csv => {
            let csv = csv::CsvFiles::create(target.path(), has_catalogue(&before));
            (manifest::CSV, Box::new(csv.map_err(Error::Write)?))
        }
        ExportFormat::Jsonl => {
            let jsonl = jsonl::JsonlFiles::create(target.path()).map_err(Error::Write)?;
            ("jsonl", Box::new(jsonl))
        }
        ExportFormat::Judgeme => {
            let handles = handles(args)?;
            let judgeme = judgeme::JudgemeFile::create(target.path(), handles);
            ("judgeme", Box::new(judgeme.map_err(Error::Write)?))
        }
        ExportFormat::Google => {
            let handles = handles(args)?;
            let google = google::GoogleFeed::create(target.path(), args, handles);
            ("google", Box::new(google.map_err(Error::Write)?))
        }
    };
    let total = SOURCES.iter().map(|family| rows_of(&before, family.name()));
    let bar = Bar::start("exporting", total.sum(), args.quiet);
    let mut skipped = args.skip_damaged.then(Skipped::default);
    copy(place.as_ref(), sink.as_mut(), stop, &bar, &mut skipped)?;
    drop(bar);
    let left_out = sink.left_out();
    let (rows, written) = sink.finish().map_err(Error::Write)?;
    // After the rows: a review that was added meanwhile has an id below the next one.
    let after = place.stats()?;
    if after.store_id != before.store_id {
        return Err(Error::OtherStore);
    }
    let all: u64 = rows.values().sum();
    let missing = skipped.map(|skipped| skipped.missing).unwrap_or_default();
    ExportManifest::new(format, &after, now_ms(), rows)
        // A concurrent write may or may not be in it.
        .with_all_of(&before, missing.clone())
        .write(target.path())
        .map_err(Error::Write)?;
    if stop.load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    target.publish().map_err(Error::Write)?;
    let said = writeln!(
        out(),
        "{}, {} in {:.1} s, in {}{}{}",
        counted(all, "row"),
        bytes(written),
        begun.elapsed().as_secs_f64(),
        args.out.display(),
        if args.format == ExportFormat::Google {
            ""
        } else {
            "; e-mail addresses are among them"
        },
        left_out.map_or(String::new(), |what| format!("; {what}")),
    );
    said.map_err(Error::Write)?;
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    for one in &missing {
        writeln!(io::stderr(), "{}", skipped::sentence(one)).map_err(Error::Write)?;
    }
    Ok(ExitCode::from(INCOMPLETE))
}

/// The handles of products, if a file has them.
fn handles(args: &ExportArgs) -> Result<BTreeMap<u64, String>, Error> {
    let Some(path) = &args.ids else {
        return Ok(BTreeMap::new());
    };
    reviewsd_import::handles(path).map_err(Error::Ids)
}

/// The numbers of reviews that were left out.
#[derive(Default)]
struct LeftOut {
    reported: u64,
    pending: u64,
    removed: u64,
    empty: u64,
}

impl LeftOut {
    /// Counts a review that is left out for its state.
    fn count(&mut self, state: ReviewState) {
        match state {
            ReviewState::Published => {}
            ReviewState::Pending => self.pending += 1,
            ReviewState::Hidden => self.reported += 1,
            ReviewState::Removed => self.removed += 1,
        }
    }

    /// The sentence on them.
    fn sentence(&self) -> Option<String> {
        let kinds = [
            (self.reported, "reported"),
            (self.pending, "pending"),
            (self.removed, "removed"),
            (self.empty, "without a text"),
        ];
        let kinds = kinds.into_iter().filter(|(reviews, _)| *reviews > 0);
        let said: Vec<_> = kinds
            .map(|(reviews, why)| format!("{} {why}", counted(reviews, "review")))
            .collect();
        (!said.is_empty()).then(|| format!("left out: {}", said.join(", ")))
    }
}

fn copy(
    place: &dyn StoreTarget,
    sink: &mut dyn Sink,
    stop: &AtomicBool,
    bar: &Bar,
    skipped: &mut Option<Skipped>,
) -> Result<(), Error> {
    let mut done = 0;
    for family in SOURCES {
        let mut at = PageStart::After(Vec::new());
        loop {
            let page = match (place.page(family, &at), &mut *skipped) {
                (Ok(page), _) => page,
                (Err(error), Some(skipped)) => match skipped.gap(place, family, &at, error)? {
                    Some(behind) => {
                        at = PageStart::At(behind);
                        continue;
                    }
                    None => break,
                },
                (Err(error), None) => return Err(error.into()),
            };
            let last = rows::each_or(family, &page, |key, row| {
                done += 1;
                match (row, &mut *skipped) {
                    (Ok(row), _) => sink.row(&row).map_err(Error::Write),
                    (Err(why), Some(skipped)) => {
                        skipped.damaged(family, key, &why);
                        Ok(())
                    }
                    (Err(why), None) => Err(why.into()),
                }
            })?;
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            bar.at(done);
            match last {
                Some(last) => at = PageStart::After(last),
                None => break,
            }
        }
    }
    Ok(())
}

fn rows_of(stats: &Stats, family: &str) -> u64 {
    let mut families = stats.families.iter();
    let found = families.find(|of| of.family == family);
    found.map_or(0, |found| found.rows)
}

/// True if there is a catalogue to write. Without one its files are left out where there are other
/// rows, which an import would take for orphans if there were an empty one.
fn has_catalogue(stats: &Stats) -> bool {
    let is_empty = |family: &&str| rows_of(stats, family) == 0;
    !is_empty(&"products") || ["summaries", "styles", "related"].iter().all(is_empty)
}

/// The reason nothing was exported.
#[derive(Debug)]
pub enum Error {
    /// The export was interrupted.
    Interrupted,
    /// Signals cannot be listened to.
    Start(io::Error),
    /// The store cannot be read.
    Place(store_target::Error),
    /// The server has another store than it had.
    OtherStore,
    /// The files cannot be written.
    Write(io::Error),
    /// The file of handles cannot be used.
    Ids(reviewsd_import::Error),
}

impl From<store_target::Error> for Error {
    fn from(error: store_target::Error) -> Self {
        Self::Place(error)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Place(error.into())
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Place(error) => error.is_misconfigured(),
            Self::Interrupted
            | Self::Start(_)
            | Self::OtherStore
            | Self::Write(_)
            | Self::Ids(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Start(source) => write!(f, "cannot start: {source}"),
            Self::Place(error) => error.fmt(f),
            Self::OtherStore => {
                f.write_str("the server has another store than at the start; please export again")
            }
            Self::Write(source) => write!(f, "cannot write the export: {source}"),
            Self::Ids(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
