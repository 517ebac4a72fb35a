//! `reviewsd import --merge`: CSV files into a store that is there, here or behind a server.
//!
//! Invariants: a product is merged whole or not at all; nothing is removed unless that is asked for, and no large
//! part of the store unless somebody says that it is meant; 130 when it was interrupted.

mod outcome;
mod product;
mod review;
mod sender;
mod sink;
mod store_rows;
mod tally;

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use reviewsd_import as csv;
use reviewsd_import::{File, ImportProgress, MergeFiles, Options};

use super::super::Configured;
use super::super::confirm::confirmed;
use super::super::figures::{counted, grouped};
use super::super::manifest::ExportManifest;
use super::super::store_target::{self, StoreTarget};
use crate::cli::{ImportArgs, StoreArgs, StoreLocation};

use super::watch::Watch;
use super::{REJECTS_FILE, is_lost, limits};
use outcome::MergeOutcome;
use sender::{Sender, SentRows};
use sink::{Comparison, Pass, TooManyRejected};
use store_rows::StoreKnows;
use tally::{GivenFiles, Tallies, Tally};

/// Passes over products that other clients changed meanwhile, or whose skus were still elsewhere.
const PASSES_MAX: usize = 3;
/// The files whose rows are not removed in large parts unless that is meant.
const GUARDED: [File; 4] = [File::Products, File::Styles, File::Skus, File::Reviews];
/// A larger part of the rows of a store is a large one: one in so many.
const LARGE_PART: u64 = 5;

/// Merges files into a store.
pub(super) fn run(args: &ImportArgs, progress: &Arc<ImportProgress>) -> Result<ExitCode, Error> {
    let begun = Instant::now();
    let options = options(args)?;
    let data = args.data.as_ref();
    if data.is_some_and(|data| is_lost(data, &options.rejects)) {
        return Err(Error::LostRejects);
    }
    let target = open(args)?;
    let watch = Watch::start(progress, args.quiet).map_err(Error::Start)?;
    let knows = StoreKnows(target.as_ref());
    let files = MergeFiles::read(&options, progress, &knows).map_err(of_files)?;
    let merge = StoreMerge {
        files: &files,
        options: &options,
        progress,
        target: target.as_ref(),
        given: GivenFiles::new(args.merge.prune, |file| files.has(file)),
    };
    let is_dry_run = args.merge.dry_run;
    if args.merge.prune && !args.merge.yes && !is_dry_run {
        let sent = merge.pass(true, Pass::All)?;
        drop(watch);
        if !merge.is_over(&sent) && !is_meant(&sent.tallies)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let sent = merge.all(is_dry_run)?;
    let report = files.finish(&sent.late).map_err(of_files)?;
    let outcome = MergeOutcome::new(report, &sent, &options.rejects)
        .of_run(is_dry_run, begun.elapsed().as_secs_f64());
    outcome.write(args.report).map_err(Error::Report)?;
    if sent.conflicts.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Error::Conflicts(sent.conflicts.into_keys().collect()))
}

fn options(args: &ImportArgs) -> Result<Options, Error> {
    let exported = ExportManifest::read(args.csv()).map_err(Error::Manifest)?;
    let rejects = args.rejects.clone();
    let in_data = args.data.as_ref().map(|data| data.join(REJECTS_FILE));
    Ok(Options {
        csv: args.csv().to_owned(),
        shops: None,
        spill_dir: args.data.clone().unwrap_or_else(env::temp_dir),
        memory: usize::try_from(args.memory.0).unwrap_or(usize::MAX),
        workers: available_parallelism().map_or(1, usize::from),
        rejects: rejects
            .or(in_data)
            .unwrap_or_else(|| PathBuf::from(REJECTS_FILE)),
        rejects_max: limits::rejects_max(&args.max_rejects),
        allow_empty: limits::allow_empty(args),
        exported: exported.is_some(),
    })
}

fn open(args: &ImportArgs) -> Result<Box<dyn StoreTarget>, Error> {
    let place = StoreArgs {
        at: StoreLocation {
            data: args.data.clone(),
            server: args.merge.server.clone(),
        },
        trust: args.merge.trust.clone(),
    };
    let who = "reviewsd import --merge";
    let target = if args.merge.dry_run {
        store_target::open(&place, who)
    } else {
        store_target::open_to_change(&place, who)
    };
    target.map_err(Error::Target)
}

/// The files, and the store that they are merged into.
struct StoreMerge<'m> {
    files: &'m MergeFiles<'m>,
    options: &'m Options,
    progress: &'m ImportProgress,
    target: &'m dyn StoreTarget,
    given: GivenFiles,
}

impl StoreMerge<'_> {
    /// Merges everything: products that were in the way of each other in further passes.
    fn all(&self, is_dry_run: bool) -> Result<SentRows, Error> {
        let mut sent = self.pass(is_dry_run, Pass::All)?;
        for _ in 1..PASSES_MAX {
            if sent.conflicts.is_empty() || self.is_over(&sent) {
                break;
            }
            let conflicts = std::mem::take(&mut sent.conflicts);
            self.pass(is_dry_run, Pass::Freeing(&conflicts))?;
            let again = self.pass(is_dry_run, Pass::Only(&conflicts))?;
            sent.late.extend(again.late);
            for (product, tallies) in conflicts {
                if again.conflicts.contains_key(&product) {
                    sent.conflicts.insert(product, tallies);
                } else {
                    sent.tallies += &tallies;
                }
            }
        }
        Ok(sent)
    }

    fn pass(&self, is_dry_run: bool, pass: Pass<'_>) -> Result<SentRows, Error> {
        let late_max = self.options.rejects_max.rows;
        let sender = Sender::new(self.target, is_dry_run, late_max);
        let mut comparison = Comparison::new(self.files, self.target, self.given, sender, pass);
        match self.files.hand_over(self.progress, &mut comparison) {
            Ok(()) => comparison.finish().map_err(Error::Target),
            // The rows that are rejected say so.
            Err(csv::Error::Sink(error)) if error.is::<TooManyRejected>() => {
                comparison.give_up().map_err(Error::Target)
            }
            Err(error) => Err(of_files(error)),
        }
    }

    fn is_over(&self, sent: &SentRows) -> bool {
        sent.late.len() as u64 > self.options.rejects_max.rows
    }
}

/// Returns true if no large part of the store goes, or a person on a terminal says that it is meant.
fn is_meant(tallies: &Tallies) -> Result<bool, Error> {
    let large = |tally: Tally| tally.removed * LARGE_PART > tally.before();
    let removed = GUARDED.map(|file| (file, tallies.of(file)));
    let removed = removed.into_iter().filter(|(_, tally)| large(*tally));
    let removed: Vec<_> = removed
        .map(|(file, tally)| {
            let (gone, all) = (grouped(tally.removed), grouped(tally.before()));
            format!("{gone} of the {all} rows of {}", file.name())
        })
        .collect();
    if removed.is_empty() {
        return Ok(true);
    }
    let removed = removed.join(", ");
    let question = format!("Remove {removed} from the store?");
    match confirmed(&question).map_err(Error::Start)? {
        Some(is_meant) => Ok(is_meant),
        None => Err(Error::LargePart(removed)),
    }
}

/// The error of the store, where one ended a pass over the files.
fn of_files(error: csv::Error) -> Error {
    match error {
        csv::Error::Sink(error) => match error.downcast() {
            Ok(target) => Error::Target(*target),
            Err(other) => Error::Files(csv::Error::Sink(other)),
        },
        other => Error::Files(other),
    }
}

/// The reason a merge did not do all of its work.
#[derive(Debug)]
pub enum Error {
    /// A wrong description of an export.
    Manifest(String),
    /// The rejected rows would be in the way of the next import.
    LostRejects,
    /// A thread cannot be started, or nobody can be asked.
    Start(io::Error),
    /// The files cannot be merged.
    Files(csv::Error),
    /// The store cannot be read or changed.
    Target(store_target::Error),
    /// A large part of the store would be removed, as this says.
    LargePart(String),
    /// Products that could not be changed.
    Conflicts(BTreeSet<u64>),
    /// The report cannot be written; the files are merged.
    Report(io::Error),
}

impl Error {
    /// Returns true if the merge was interrupted.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, Self::Files(csv::Error::Interrupted))
    }
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::LostRejects => true,
            Self::Target(error) => error.is_misconfigured(),
            Self::Manifest(_)
            | Self::Start(_)
            | Self::Files(_)
            | Self::LargePart(_)
            | Self::Conflicts(_)
            | Self::Report(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(why) => f.write_str(why),
            Self::LostRejects => write!(
                f,
                "--rejects names a file in the data directory, which may contain no other file than {REJECTS_FILE} \
                 for them; leave the flag out, or name a file elsewhere"
            ),
            Self::Start(source) => write!(f, "cannot start: {source}"),
            Self::Files(error) => error.fmt(f),
            Self::Target(error) => error.fmt(f),
            Self::LargePart(removed) => write!(
                f,
                "the files no longer have {removed}, which --prune would remove; nothing was changed: bring the \
                 whole files, or add --yes if it is meant"
            ),
            Self::Conflicts(products) => {
                let first = products.first().copied().unwrap_or_default();
                write!(
                    f,
                    "{} changed meanwhile, or want skus that another product has, the first is {first}; all \
                     others are merged: run it again, and if that does not help with --prune, which takes skus \
                     from the products that have them",
                    counted(products.len(), "product")
                )
            }
            Self::Report(source) => write!(
                f,
                "the files are merged, but the report cannot be written: {source}"
            ),
        }
    }
}

impl std::error::Error for Error {}
