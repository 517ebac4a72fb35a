//! `reviewsd import`: CSV files through the importer into a new store, or into the one that is there.
//!
//! Invariant: a new store is made whole and ends with 0, or the old store is as it was and it ends with something
//! else; 130 when it was interrupted.

mod limits;
mod merge;
mod outcome;
mod shops;
mod sinks;
mod watch;

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use reviewsd_import::{ImportProgress, MEMORY_BYTES_MIN, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::ImportArgs;
use crate::config::ByteSize;
use crate::model::clock::now_ms;
use crate::store;
use crate::store::bulk::{Bulk, Replace};

use super::Configured;
use super::as_owner_of;
use super::figures::grouped;
use super::manifest::ExportManifest;
use outcome::ImportOutcome;
use sinks::{Catalogue, Reviews};
use watch::Watch;

/// The exit code that shells report for a program ended by ^C.
const EXIT_INTERRUPTED: u8 = 130;

/// The default file of rejected rows.
pub(super) const REJECTS_FILE: &str = "rejects.csv";

/// Makes a store from CSV files, or looks at one.
pub fn run(args: &ImportArgs) -> Result<ExitCode, Error> {
    if let Some(file) = &args.inspect {
        return shops::inspect(file, args.out.as_deref());
    }
    let progress = Arc::new(ImportProgress::default());
    stop_on_signals(&progress).map_err(Error::Start)?;
    if args.merge.merge {
        return merged(args, &progress);
    }
    match import(args, &progress) {
        // An interrupt takes precedence over any other error.
        Err(Error::Import(reviewsd_import::Error::Interrupted)) => {
            // The exit code says the same.
            let _ = writeln!(io::stderr(), "reviewsd: {}", interrupted(args));
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        result => result,
    }
}

fn merged(args: &ImportArgs, progress: &Arc<ImportProgress>) -> Result<ExitCode, Error> {
    if args.memory.0 < MEMORY_BYTES_MIN as u64 {
        return Err(Error::LittleMemory);
    }
    match merge::run(args, progress) {
        Err(error) if error.is_interruption() => {
            let sentence = "interrupted: what was merged by then is there, and running it again merges the rest";
            // The exit code says the same.
            let _ = writeln!(io::stderr(), "reviewsd: {sentence}");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        result => result.map_err(Error::Merge),
    }
}

fn import(args: &ImportArgs, progress: &Arc<ImportProgress>) -> Result<ExitCode, Error> {
    let memory = usize::try_from(args.memory.0).unwrap_or(usize::MAX);
    if memory < MEMORY_BYTES_MIN {
        return Err(Error::LittleMemory);
    }
    as_owner_of(args.data()).map_err(Error::Store)?;
    let shops = shops::options(args)?;
    // Files of other programs are no export of a store, even beside a manifest.
    let exported = match &shops {
        Some(_) => None,
        None => ExportManifest::read(args.csv()).map_err(Error::Manifest)?,
    };
    let begun = Instant::now();
    let exported_store = exported.as_ref().and_then(|of| of.saved_as.as_deref());
    let replace = match (args.replace, args.discard_posted) {
        (false, _) => Replace::Never,
        (true, false) => Replace::Saved {
            exported: exported_store,
        },
        (true, true) => Replace::Always,
    };
    let bulk = Bulk::begin(args.data(), "reviewsd import", replace).map_err(Error::Store)?;
    let allow_empty = limits::allow_empty(args);
    if shops.is_none() {
        limits::refuse_missing(args.csv(), bulk.old(), &allow_empty)?;
    }
    let options = Options {
        csv: args.csv().to_owned(),
        shops,
        spill_dir: bulk.place().to_owned(),
        memory,
        workers: available_parallelism().map_or(1, usize::from),
        rejects: rejects_of(args),
        rejects_max: limits::rejects_max(&args.max_rejects),
        allow_empty,
        exported: exported.is_some(),
    };
    if is_lost(args.data(), &options.rejects) {
        return Err(Error::LostRejects(options.rejects));
    }
    let watch = Watch::start(progress, args.quiet).map_err(Error::Start)?;
    let mut reviews = Reviews(bulk.reviews().map_err(Error::Store)?);
    let mut catalogue = Catalogue(bulk.catalogue().map_err(Error::Store)?);
    let report = reviewsd_import::run(&options, progress, &mut reviews, &mut catalogue)
        .map_err(Error::Import)?;
    let mut reviews = reviews.0.finish().map_err(Error::Store)?;
    if let Some(exported) = exported {
        reviews.go_on_from(exported.next_review_id, exported.next_photo_id);
    }
    let catalogue = catalogue.0.finish().map_err(Error::Store)?;
    let built = bulk
        .assemble(&reviews, &catalogue, now_ms())
        .map_err(Error::Store)?;
    limits::refuse_emptied(&bulk, built.counters, &options.allow_empty)?;
    if progress.stopped() {
        return Err(Error::Import(reviewsd_import::Error::Interrupted));
    }
    drop(watch);
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = ImportOutcome::new(report, &built, seconds, &options.rejects);
    bulk.publish().map_err(Error::Store)?;
    outcome.write(args.report).map_err(Error::Report)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the sentence on the state that an interrupted import leaves.
fn interrupted(args: &ImportArgs) -> String {
    let data = args.data().display();
    let store = if args.data().join("store").exists() {
        format!("the store in {data} is as it was")
    } else {
        format!("there is no store in {data}")
    };
    let rejects = rejects_of(args);
    let rejects = if rejects.exists() {
        format!(
            ", and the rows rejected by then are in {}",
            rejects.display()
        )
    } else {
        String::new()
    };
    format!("interrupted: {store}; nothing else is left behind{rejects}")
}

/// Returns the file of rejected rows.
fn rejects_of(args: &ImportArgs) -> PathBuf {
    let named = args.rejects.clone();
    named.unwrap_or_else(|| args.data().join(REJECTS_FILE))
}

/// Returns true if rejected rows would be written where the next import would take them for foreign files: into
/// the data directory under another name than its own.
fn is_lost(data: &Path, rejects: &Path) -> bool {
    let parent = match rejects.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A path that cannot be resolved cannot be written either, which is reported then.
    let (Ok(data), Ok(parent)) = (data.canonicalize(), parent.canonicalize()) else {
        return false;
    };
    let is_own = parent == data && rejects.file_name().is_some_and(|name| name == REJECTS_FILE);
    parent.starts_with(&data) && !is_own
}

/// The first signal asks the import to stop; a second one ends the process at once, which leaves
/// no more behind than the next import sweeps away.
fn stop_on_signals(progress: &ImportProgress) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        let stop = progress.stop_flag();
        flag::register_conditional_shutdown(signal, EXIT_INTERRUPTED.into(), Arc::clone(&stop))?;
        flag::register(signal, stop)?;
    }
    Ok(())
}

/// The reason there is no new store.
#[derive(Debug)]
pub enum Error {
    /// The memory is less than an import can work with.
    LittleMemory,
    /// A wrong description of an export.
    Manifest(String),
    /// Any CSV is to be read, and no mapping says how.
    NoMapping,
    /// A mapping that was begun cannot be written.
    Mapping(PathBuf, io::Error),
    /// The rejected rows would be in the way of the next import.
    LostRejects(PathBuf),
    /// The existing store has rows of a file, and the new one would have none.
    Emptied {
        /// The file.
        file: &'static str,
        /// The rows that the store has.
        rows: u64,
        /// True if the file is not there.
        is_missing: bool,
    },
    /// A thread or a signal handler could not be set up.
    Start(io::Error),
    /// The files cannot be imported.
    Import(reviewsd_import::Error),
    /// The store cannot be built.
    Store(store::Error),
    /// The report cannot be written; the store is in place.
    Report(io::Error),
    /// The files cannot be merged.
    Merge(merge::Error),
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::LittleMemory | Self::LostRejects(_) | Self::NoMapping => true,
            Self::Merge(error) => error.is_misconfigured(),
            Self::Manifest(_)
            | Self::Mapping(..)
            | Self::Emptied { .. }
            | Self::Start(_)
            | Self::Import(_)
            | Self::Store(_)
            | Self::Report(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LittleMemory => write!(
                f,
                "--memory must be at least {}",
                ByteSize(MEMORY_BYTES_MIN as u64)
            ),
            Self::Manifest(why) => f.write_str(why),
            Self::NoMapping => f.write_str(
                "--from csv needs a mapping of the columns: begin one with `reviewsd import --inspect FILE --out \
                 mapping.toml`, and give it with --map mapping.toml",
            ),
            Self::Mapping(path, source) if source.kind() == io::ErrorKind::AlreadyExists => write!(
                f,
                "{} is there already, and a mapping is never written over; name another file with --out",
                path.display()
            ),
            Self::Mapping(path, source) => {
                write!(f, "cannot write the mapping {}: {source}", path.display())
            }
            Self::LostRejects(path) => write!(
                f,
                "--rejects {} is in the data directory, which may contain no other file than \
                 {REJECTS_FILE} for them; leave the flag out, or name a file elsewhere",
                path.display()
            ),
            Self::Emptied {
                file,
                rows,
                is_missing,
            } => {
                let rows = grouped(*rows);
                let why = if *is_missing {
                    "is missing"
                } else {
                    "has no row that can be stored"
                };
                write!(
                    f,
                    "{file} {why}, and the store that is to be replaced has {rows} of its rows; bring \
                     the file, or add --allow-empty {file} to go on without them"
                )
            }
            Self::Start(source) => write!(f, "cannot start: {source}"),
            Self::Store(store::Error::Unsaved { dir, written }) => {
                limits::describe_unsaved(f, dir, *written)
            }
            Self::Import(error) => error.fmt(f),
            Self::Merge(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Report(source) => write!(
                f,
                "the store is in place, but its report cannot be written: {source}"
            ),
        }
    }
}

impl std::error::Error for Error {}
