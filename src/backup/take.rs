//! Taking a snapshot: the new files of the store, and then the manifest that makes it a snapshot.
//!
//! Invariants: the manifest is written last, so a snapshot is there whole or not at all; every file that it
//! names is there, and stays as long as it does (`prune.rs` says why); a file that an earlier attempt wrote
//! is not written again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;

use super::error::Error;
use super::inventory::Inventory;
use super::manifest::{Snapshot, StoreFile};
use super::names::{self, ContentsName};
use super::pending::Pending;
use super::source::{BackupOrigin, Copied};
use super::standing::admit;
use super::target::{BackupTarget, PART_BYTES};
use crate::model::clock::now_ms;
use crate::store::{CheckpointFile, LogPosition};

/// The time after which a snapshot may build on files that are deleted by now.
pub(super) const TIME_MAX: Duration = Duration::from_hours(24);
/// Files that are written at once, each with at most two parts in memory.
const FILES_AT_ONCE: usize = 4;

/// A snapshot that was taken.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    /// Its name.
    pub id: String,
    /// The store.
    pub store: u128,
    /// The position of the store.
    pub position: LogPosition,
    /// Bytes of its files.
    pub bytes: u64,
    /// The number of its files.
    pub files: usize,
    /// Bytes of the files that were written for it.
    pub new_bytes: u64,
    /// The number of those files.
    pub new_files: usize,
}

/// Takes a snapshot. `accepted` is the store that the target is to belong to from now on, where it held
/// another one, or a later epoch of it. `waits` is called with a message when a wait takes long.
pub async fn take(
    target: &BackupTarget,
    source: &BackupOrigin,
    accepted: Option<u128>,
    waits: impl FnOnce(String),
) -> Result<NewSnapshot, Error> {
    let (begun, begun_ms) = (Instant::now(), now_ms());
    let by = getrandom::u32().map_err(|e| Error::io("generate a name")(e.into()))?;
    let id = names::snapshot_id(begun_ms, by);
    // Written before anything is looked at: a process that removes files sees this, or has removed the
    // snapshots that the files were of before they are looked at.
    let pending = Pending::begin(target, &id).await?;
    let begun = (begun, begun_ms);
    let writing = write(source, (&id, by), accepted, begun, &pending, waits);
    let taken = pending.during(Box::pin(writing)).await;
    let removed = pending.end().await;
    let taken = taken?;
    source.backed_up(taken.store, taken.position.seq).await;
    removed.map(|()| taken)
}

async fn write(
    source: &BackupOrigin,
    (id, by): (&str, u32),
    accepted: Option<u128>,
    (begun, begun_ms): (Instant, i64),
    pending: &Pending<'_>,
    waits: impl FnOnce(String),
) -> Result<NewSnapshot, Error> {
    let target = pending.target();
    let inventory = Inventory::of(target).await?;
    let there = contents(target, &inventory, begun_ms).await?;
    let copied = source.copy(waits).await?;
    // No commit that is in it was made later.
    let taken_ms = now_ms();
    let uploaded = async {
        let accepted_ms = admit(&inventory, target, copied.position(), accepted, taken_ms)?;
        let upload = Uploading {
            target,
            copied: &copied,
            by,
        };
        if inventory.usable().next().is_none() {
            upload.try_restore().await?;
        }
        let (mut snapshot, new_files) = upload.all(&there, taken_ms).await?;
        snapshot.accepted_ms = accepted_ms;
        Ok((snapshot, new_files))
    };
    let uploaded: Result<_, Error> = uploaded.await;
    copied.give_back().await;
    let (snapshot, new_files) = uploaded?;
    if begun.elapsed() > TIME_MAX {
        return Err(Error::Slow);
    }
    // No pruner may have taken it for dead.
    pending.renew().await?;
    target
        .put(&names::snapshot(id), snapshot.to_object())
        .await?;
    Ok(NewSnapshot {
        id: id.to_owned(),
        store: snapshot.store(),
        position: snapshot.position(),
        bytes: snapshot.bytes(),
        files: snapshot.files.len(),
        new_bytes: snapshot.new_bytes,
        new_files,
    })
}

/// The files of a store on their way to a target.
struct Uploading<'u> {
    target: &'u BackupTarget,
    copied: &'u Copied,
    by: u32,
}

impl Uploading<'_> {
    /// Writes the missing files. Returns the files that make up the snapshot, and how many were written.
    async fn all(
        &self,
        there: &BTreeMap<(u128, u64), u32>,
        taken_ms: i64,
    ) -> Result<(Snapshot, usize), Error> {
        let (store, position) = self.copied.position();
        let mut fresh: BTreeMap<(u128, u64), &CheckpointFile> = BTreeMap::new();
        let files = self.copied.files().iter().map(|file| {
            let key = (file.hash, file.bytes);
            let by = there.get(&key).copied().unwrap_or_else(|| {
                fresh.insert(key, file);
                self.by
            });
            let contents = ContentsName {
                by,
                ..self.contents(file)
            };
            StoreFile::new(&file.name, contents)
        });
        let mut snapshot = Snapshot::new(taken_ms, store, position, files.collect());
        snapshot.new_bytes = fresh.values().map(|file| file.bytes).sum();
        let uploads = fresh
            .values()
            .map(|file| self.upload(file))
            .map(Ok::<_, Error>);
        futures_util::stream::iter(uploads)
            .try_buffer_unordered(FILES_AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        Ok((snapshot, fresh.len()))
    }

    /// Writes the smallest file and reads the end of it back, as a restore that goes on would: a server
    /// that cannot do that is found before there is anything to lose.
    async fn try_restore(&self) -> Result<(), Error> {
        let files = self.copied.files().iter().filter(|file| file.bytes > 1);
        let Some(file) = files.min_by_key(|file| file.bytes) else {
            return Ok(());
        };
        self.upload(file).await?;
        let written = self.copied.read(file).part().await?.unwrap_or_default();
        let name = self.contents(file).name();
        let (from, to) = (file.bytes / 2, written.len() as u64);
        let expected = written.split_at(written.len() / 2).1;
        let why = match self.target.piece(&name, from, to).await {
            Ok(read) if *read == *expected => return Ok(()),
            Ok(read) => format!("{} other bytes came instead of {}", read.len(), to - from),
            Err(error) => error.to_string(),
        };
        Err(Error::Unrestorable {
            name,
            target: self.target.shown().to_owned(),
            why,
        })
    }

    fn contents(&self, file: &CheckpointFile) -> ContentsName {
        ContentsName {
            hash: file.hash,
            bytes: file.bytes,
            by: self.by,
        }
    }

    async fn upload(&self, file: &CheckpointFile) -> Result<(), Error> {
        let name = self.contents(file).name();
        let mut reading = self.copied.read(file);
        if file.bytes <= PART_BYTES as u64 {
            let whole = reading.part().await?.unwrap_or_default();
            return self.target.put(&name, whole).await;
        }
        let mut upload = self.target.begin(&name).await?;
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
}

/// Returns the contents that are there and stay: those of the latest snapshot, and those that were written
/// so lately that no pruner takes them for leftovers. The value is the id of their writer, by hash and
/// length.
async fn contents(
    target: &BackupTarget,
    inventory: &Inventory,
    begun_ms: i64,
) -> Result<BTreeMap<(u128, u64), u32>, Error> {
    let latest = inventory.usable().next();
    let of_latest = latest.into_iter().flat_map(|(_, latest)| &latest.files);
    let of_latest: BTreeSet<ContentsName> = of_latest.map(StoreFile::contents).collect();
    let lately = begun_ms.saturating_sub(millis(TIME_MAX));
    let entries = target.list(names::FILES).await?;
    let stays = entries.iter().filter_map(|entry| {
        let contents = ContentsName::read(&entry.name)?;
        let is_whole = entry.bytes == contents.bytes;
        let stays = entry.written_ms >= lately || of_latest.contains(&contents);
        (is_whole && stays).then_some(((contents.hash, contents.bytes), contents.by))
    });
    Ok(stays.collect())
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
