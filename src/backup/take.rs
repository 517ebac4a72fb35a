//! Taking a snapshot: what is new of the store's files, and then the manifest that makes it one.
//!
//! Invariants: the manifest is written last, so a snapshot is there whole or not at all; whatever it
//! names is there, and stays as long as it does (`prune.rs` says why); what an earlier attempt wrote is
//! not written again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;

use super::error::Error;
use super::inventory::snapshots;
use super::manifest::{File, Snapshot};
use super::names::{self, Contents};
use super::source::{Copied, Source};
use super::target::{PART_BYTES, Target};
use crate::clock::now_ms;
use crate::store::{CheckpointFile, Position};

/// A snapshot that took longer may build on what is gone by now.
pub(super) const TIME_MAX: Duration = Duration::from_hours(24);
/// Files that are written at once, each with at most two parts in memory.
const FILES_AT_ONCE: usize = 4;

/// A snapshot that was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its name.
    pub id: String,
    /// The store.
    pub store: u128,
    /// Where the store was.
    pub position: Position,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many files it has.
    pub files: usize,
    /// Bytes of the files that were written for it.
    pub new_bytes: u64,
    /// How many those are.
    pub new_files: usize,
}

/// Takes a snapshot.
pub async fn take(target: &Target, source: &Source) -> Result<Taken, Error> {
    let (begun, begun_ms) = (Instant::now(), now_ms());
    let by = getrandom::u32().map_err(|e| Error::io("make up a name")(e.into()))?;
    let id = names::snapshot_id(begun_ms, by);
    // Before anything is looked at: whoever removes files sees this, or has removed the snapshots that
    // the files were of before they are looked at.
    let pending = names::pending(&id);
    target.put(&pending, Vec::new()).await?;
    let taken = write(target, source, &id, by, (begun, begun_ms)).await;
    let removed = target.delete(&pending).await;
    let taken = taken?;
    removed.map(|()| taken)
}

async fn write(
    target: &Target,
    source: &Source,
    id: &str,
    by: u32,
    (begun, begun_ms): (Instant, i64),
) -> Result<Taken, Error> {
    let there = contents(target, begun_ms).await?;
    let copied = source.copy().await?;
    // No commit that is in it was made later.
    let taken_ms = now_ms();
    let uploaded = upload_all(target, &copied, &there, taken_ms, by).await;
    copied.give_back().await;
    let (snapshot, new_files) = uploaded?;
    if begun.elapsed() > TIME_MAX {
        return Err(Error::Slow);
    }
    target
        .put(&names::snapshot(id), snapshot.to_object())
        .await?;
    Ok(Taken {
        id: id.to_owned(),
        store: snapshot.store(),
        position: snapshot.position(),
        bytes: snapshot.bytes(),
        files: snapshot.files.len(),
        new_bytes: snapshot.new_bytes,
        new_files,
    })
}

/// Writes what is not there. What makes up the snapshot then, and how many files were written.
async fn upload_all(
    target: &Target,
    copied: &Copied,
    there: &BTreeMap<(u128, u64), u32>,
    taken_ms: i64,
    by: u32,
) -> Result<(Snapshot, usize), Error> {
    let (store, position) = copied.position();
    let mut fresh: BTreeMap<(u128, u64), &CheckpointFile> = BTreeMap::new();
    let files = copied.files().iter().map(|file| {
        let key = (file.hash, file.bytes);
        let by = there.get(&key).copied().unwrap_or_else(|| {
            fresh.insert(key, file);
            by
        });
        let contents = Contents {
            hash: file.hash,
            bytes: file.bytes,
            by,
        };
        File::new(&file.name, contents)
    });
    let mut snapshot = Snapshot::new(taken_ms, store, position, files.collect());
    snapshot.new_bytes = fresh.values().map(|file| file.bytes).sum();
    let uploads = fresh
        .values()
        .map(|file| upload(target, copied, file, by))
        .map(Ok::<_, Error>);
    futures_util::stream::iter(uploads)
        .try_buffer_unordered(FILES_AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    Ok((snapshot, fresh.len()))
}

/// The contents that are there and stay: those of the latest snapshot, and those that were written so
/// lately that nobody takes them for leftovers. Who wrote them, by hash and length.
async fn contents(target: &Target, begun_ms: i64) -> Result<BTreeMap<(u128, u64), u32>, Error> {
    let snapshots = snapshots(target).await?;
    let latest = snapshots
        .values()
        .rev()
        .find_map(|listed| listed.as_ref().ok());
    let of_latest = latest.into_iter().flat_map(|latest| &latest.files);
    let of_latest: BTreeSet<Contents> = of_latest.map(File::contents).collect();
    let lately = begun_ms.saturating_sub(millis(TIME_MAX));
    let entries = target.list(names::FILES).await?;
    let stays = entries.iter().filter_map(|entry| {
        let contents = Contents::read(&entry.name)?;
        let is_whole = entry.bytes == contents.bytes;
        let stays = entry.written_ms >= lately || of_latest.contains(&contents);
        (is_whole && stays).then_some(((contents.hash, contents.bytes), contents.by))
    });
    Ok(stays.collect())
}

async fn upload(
    target: &Target,
    copied: &Copied,
    file: &CheckpointFile,
    by: u32,
) -> Result<(), Error> {
    let contents = Contents {
        hash: file.hash,
        bytes: file.bytes,
        by,
    };
    let name = contents.name();
    let mut reading = copied.read(file);
    if file.bytes <= PART_BYTES as u64 {
        let whole = reading.part().await?.unwrap_or_default();
        return target.put(&name, whole).await;
    }
    let mut upload = target.begin(&name).await?;
    let written = async {
        while let Some(part) = reading.part().await? {
            upload.part(part).await?;
        }
        Ok(())
    };
    match written.await {
        Ok(()) => upload.finish().await,
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
