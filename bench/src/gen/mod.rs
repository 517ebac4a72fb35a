//! `gen`: a shop of any size as its ten CSV files, the same bytes for the same seed.
//!
//! Owns the run. A counting pass gives every block of products its first ids,
//! then workers render blocks in any order, and this thread writes them in
//! theirs. It must not know what a row looks like. At most
//! [`BLOCKS_PER_THREAD`] blocks a thread exist at any moment, so memory does
//! not grow with the shop.

mod catalogue;
mod category;
mod files;
mod reviews;
mod shape;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Error, Result, anyhow};
use crossbeam::channel::{Receiver, Sender, bounded};

use crate::cli::{GenArgs, threads_or_cores};
use crate::text::grouped;
use catalogue::Catalogue;
use files::{FileReport, FileSet, Sheets};
use reviews::Reviews;
use shape::{Ids, Plan};
use text::Phrases;

/// Products rendered and written at a time, about a megabyte and a half of rows.
const BLOCK_PRODUCTS: u64 = 256;
const BLOCKS_PER_THREAD: usize = 2;
/// Hot products named; there are up to a thousand.
const HOT_SHOWN_MAX: usize = 10;

/// Writes the files and returns the closing table: what was written, how long it took, which are hot.
pub(crate) fn run(args: &GenArgs) -> Result<String> {
    let started = Instant::now();
    let plan = Plan::new(args.products, args.seed);
    let files = generate(&plan, &args.out, threads_or_cores(args.threads))?;
    let line = |name: &str, rows: u64, bytes: u64| {
        format!("{name:<28}{:>14}{:>18}\n", grouped(rows), grouped(bytes))
    };
    let lines = files
        .iter()
        .map(|file| line(file.name, file.rows, file.bytes));
    let lines: String = lines.collect();
    let (rows, bytes) = files.iter().fold((0, 0), |(rows, bytes), file| {
        (rows + file.rows, bytes + file.bytes)
    });
    let total = line("total", rows, bytes);
    let hot = plan.hot_products().take(HOT_SHOWN_MAX);
    let hot: Vec<String> = hot
        .map(|(id, reviews)| format!("{id}: {}", grouped(reviews)))
        .collect();
    let seconds = started.elapsed().as_secs_f64();
    Ok(format!(
        "{:<28}{:>14}{:>18}\n{lines}{total}{seconds:.1} s\nhot products (id: reviews) {}\n",
        "file",
        "rows",
        "bytes",
        hot.join(", ")
    ))
}

fn gone() -> Error {
    anyhow!("a rendering thread ended early")
}

fn generate(plan: &Plan, dir: &Path, threads: usize) -> Result<Vec<FileReport>> {
    let renderer = Renderer::new(plan)?;
    let starts = count(plan, threads)?;
    let mut files = FileSet::create(dir)?;
    match write_blocks(&renderer, &starts, &mut files, threads) {
        Ok(()) => files.finish(),
        Err(error) => {
            files.discard();
            Err(error)
        }
    }
}

/// The products of a block.
fn products_of(plan: &Plan, block: u64) -> RangeInclusive<u64> {
    let first = block * BLOCK_PRODUCTS + 1;
    first..=plan.products.min(first + BLOCK_PRODUCTS - 1)
}

/// The first ids of every block.
fn count(plan: &Plan, threads: usize) -> Result<Vec<Ids>> {
    let blocks = plan.products.div_ceil(BLOCK_PRODUCTS);
    let share = blocks.div_ceil(threads as u64);
    let taken = |block| {
        products_of(plan, block)
            .map(|product| Ids::taken_by(&plan.shape(product)))
            .fold(Ids::default(), Ids::plus)
    };
    let taken = thread::scope(|scope| {
        let counters: Vec<_> = (0..threads as u64)
            .map(|thread| {
                let blocks = (thread * share).min(blocks)..((thread + 1) * share).min(blocks);
                scope.spawn(move || blocks.map(taken).collect::<Vec<_>>())
            })
            .collect();
        let mut taken = Vec::new();
        for counter in counters {
            taken.extend(counter.join().map_err(|_| gone())?);
        }
        Ok::<_, Error>(taken)
    })?;
    let starts = taken.into_iter().scan(Ids::FIRST, |next, taken| {
        let start = *next;
        *next = next.plus(taken);
        Some(start)
    });
    Ok(starts.collect())
}

/// Renders on `threads` threads and writes on this one.
fn write_blocks(
    renderer: &Renderer<'_>,
    starts: &[Ids],
    files: &mut FileSet,
    threads: usize,
) -> Result<()> {
    let under_way_max = threads * BLOCKS_PER_THREAD;
    let (jobs, jobs_of_workers) = bounded(under_way_max);
    let (departing, arriving) = bounded(under_way_max);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, departing) = (jobs_of_workers.clone(), departing.clone());
            scope.spawn(move || renderer.work(&jobs, &departing));
        }
        // Only the workers' ends stay open: when all workers are gone, receiving fails.
        drop((jobs_of_workers, departing));

        let mut waiting = (0_u64..).zip(starts.iter().copied());
        for job in waiting.by_ref().take(under_way_max) {
            jobs.send(job).map_err(|_| gone())?;
        }
        // A block is handed out only when one has been written, so those that
        // arrive before their turn are no more than `under_way_max`.
        let mut early = BTreeMap::new();
        for block in 0..starts.len() as u64 {
            let sheets = loop {
                if let Some(sheets) = early.remove(&block) {
                    break sheets;
                }
                let (number, sheets) = arriving.recv().map_err(|_| gone())?;
                early.insert(number, sheets);
            };
            files.append(&sheets)?;
            if let Some(job) = waiting.next() {
                jobs.send(job).map_err(|_| gone())?;
            }
        }
        // Leaving this closes the channels, which is how the workers learn to end.
        drop((jobs, arriving));
        Ok(())
    })
}

/// All that rendering needs and never changes.
struct Renderer<'a> {
    plan: &'a Plan,
    phrases: Phrases,
    catalogue: Catalogue,
    reviews: Reviews,
}

impl<'a> Renderer<'a> {
    fn new(plan: &'a Plan) -> Result<Self> {
        let phrases = Phrases::load()?;
        Ok(Self {
            plan,
            catalogue: Catalogue::new(&phrases)?,
            reviews: Reviews::new(&phrases)?,
            phrases,
        })
    }

    /// A worker's life: blocks until there are no more, or nobody takes them.
    fn work(&self, jobs: &Receiver<(u64, Ids)>, departing: &Sender<(u64, Sheets)>) {
        for (block, start) in jobs {
            if departing.send((block, self.block(block, start))).is_err() {
                return;
            }
        }
    }

    fn block(&self, block: u64, mut ids: Ids) -> Sheets {
        let mut sheets = Sheets::default();
        for product in products_of(self.plan, block) {
            let shape = self.plan.shape(product);
            let subject = self
                .catalogue
                .subject(self.plan, product, &shape, &self.phrases);
            let words = (&self.phrases, &subject);
            self.catalogue
                .render(&mut sheets, ids, self.plan, product, &shape, words);
            self.reviews
                .render(&mut sheets, ids, self.plan, product, &shape, words);
            ids = ids.plus(Ids::taken_by(&shape));
        }
        sheets
    }
}
