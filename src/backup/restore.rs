//! Restore: a store out of a backup, from the files of a snapshot and the commits that followed it.
//!
//! Invariants: every byte of every file is verified against its hash, and every commit against the one
//! before it, before the store counts; a file that was fetched before an interruption is not fetched again;
//! until all of it is there, and durable, there is no store.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::inventory::{Inventory, Until, Wanted};
use super::manifest::{self, Snapshot};
use super::names::{self, SegmentName};
use super::target::{BackupTarget, PART_BYTES};
use crate::segment::{InvalidSegment, play};
use crate::store::key::{FORMAT, is_read};
use crate::store::{self, Applier, Inspected, LogPosition, NoSpace, Restoring, Store};

/// A segment that is longer is none: it would hold one commit that no store makes.
pub(super) const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// Memory of the store while commits are applied.
const MEMORY_BYTES: u64 = 128 << 20;
/// Bytes of commits after which the store is synced.
const UNSYNCED_BYTES_MAX: usize = 64 << 20;

/// A restored store, which can be published.
pub struct Restored {
    /// The snapshot that it began with.
    pub id: String,
    /// The store that it is of.
    pub store_id: u128,
    /// The number of other stores that there are backups of.
    pub other_stores: usize,
    /// Its files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Commits that were applied to it.
    pub commits: u64,
    /// Its position now.
    pub position: LogPosition,
    /// The time of that position, as far as it is known.
    pub time_ms: i64,
    /// Segments that lie behind a gap, if the restore was to go to the end.
    pub beyond: usize,
    /// The store, which no other process works on.
    pub store: Store,
    restoring: Restoring,
}

impl Restored {
    /// Makes it the store of its directory.
    pub fn publish(self) -> Result<(), Error> {
        // The store is closed first, so that its files are at rest.
        drop(self.store);
        Ok(self.restoring.publish()?)
    }
}

/// Puts a store together. `tell` is called with the bytes that are there and the bytes in all.
pub async fn restore(
    target: &BackupTarget,
    wanted: Wanted<'_>,
    data_dir: &Path,
    mut tell: impl FnMut(u64, u64),
) -> Result<Restored, Error> {
    let inventory = Inventory::of(target).await?;
    let (id, snapshot) = inventory.beginning(target, wanted)?;
    if !is_read(snapshot.format) {
        let newer = store::Error::Format {
            dir: names::snapshot(id).into(),
            found: snapshot.format,
            known: FORMAT,
        };
        return Err(newer.into());
    }
    // An operator who names the wrong directory gets the error before anything is fetched.
    let restoring = Restoring::begin(data_dir)?;
    let place = restoring.place();
    let (all, mut done) = (snapshot.bytes(), 0);
    make_room(&place, snapshot, all)?;
    for file in &snapshot.files {
        fetch(target, file, &place, &mut |bytes| {
            done += bytes;
            tell(done, all);
        })
        .await?;
    }
    let store = restoring.open(MEMORY_BYTES)?;
    let found = *store.feed().applied().borrow();
    if found != snapshot.position() {
        let why = format!("its store is at {found} instead of {}", snapshot.position());
        return Err(target.damaged(&names::snapshot(id), why));
    }
    let mut replay = Replay {
        target,
        until: wanted.until,
        applier: Applier::resume(store.clone(), |_| {})?,
        commits: 0,
        time_ms: snapshot.taken_ms,
        unsynced: 0,
    };
    let is_there = replay.along(&inventory, snapshot.store()).await?;
    let position = replay.applier.sync()?;
    if !is_there {
        return Err(Error::Unreachable {
            asked: wanted.until.to_string(),
            reach: format!("the backup ends at {position}"),
        });
    }
    let (commits, time_ms) = (replay.commits, replay.time_ms);
    drop(replay);
    Ok(Restored {
        id: id.to_owned(),
        store_id: snapshot.store(),
        other_stores: inventory.stores().len().saturating_sub(1),
        files: snapshot.files.len(),
        bytes: all,
        commits,
        position,
        time_ms,
        beyond: match wanted.until {
            Until::End => inventory.beyond(snapshot.store(), position),
            Until::Seq(_) | Until::Time(_) => 0,
        },
        store,
        restoring,
    })
}

/// Commits on their way into the store.
struct Replay<'t> {
    target: &'t BackupTarget,
    until: Until,
    applier: Applier,
    commits: u64,
    time_ms: i64,
    unsynced: usize,
}

/// The result of applying a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReplayOutcome {
    /// Further; more may follow.
    On,
    /// To the wanted end.
    There,
    /// Nowhere: the segment does not go through where the store is.
    Nowhere,
}

/// The reason for which a segment was not applied.
enum ReplayFailure {
    Unplayable(InvalidSegment),
    Store(store::Error),
}

impl From<InvalidSegment> for ReplayFailure {
    fn from(why: InvalidSegment) -> Self {
        Self::Unplayable(why)
    }
}

impl Replay<'_> {
    /// Applies the commits that lead on, as far as they are wanted. Returns whether that is far enough.
    async fn along(&mut self, inventory: &Inventory, store: u128) -> Result<bool, Error> {
        let (mut inventory, mut fresh) = (Cow::Borrowed(inventory), false);
        let mut without = HashSet::new();
        let mut damaged: Option<(SegmentName, Error)> = None;
        loop {
            let at = self.applier.position();
            let path = inventory.paths(store, self.until, &without).from(at);
            if path.is_empty() {
                if let Some((_, error)) = damaged.filter(|(of, _)| at.seq < of.to.seq) {
                    return Err(error);
                }
                return Ok(!matches!(self.until, Until::Seq(seq) if at.seq < seq));
            }
            for segment in path {
                let before = self.applier.position();
                match self.apply(&segment).await {
                    Ok(ReplayOutcome::On) => fresh = false,
                    Ok(ReplayOutcome::There) => return Ok(true),
                    Ok(ReplayOutcome::Nowhere) => {
                        without.insert(segment);
                        break;
                    }
                    // It was merged with others meanwhile; the merged one is there before it is removed.
                    Err(Error::Missing { .. }) if !fresh => {
                        inventory = Cow::Owned(Inventory::of(self.target).await?);
                        fresh = true;
                        break;
                    }
                    // Its commits may be in others: a merged one stays beside its parts for a while.
                    Err(error @ Error::Damaged { .. }) => {
                        without.insert(segment);
                        let others = inventory.paths(store, self.until, &without);
                        if others.from(before).is_empty() {
                            return Err(error);
                        }
                        damaged.get_or_insert((segment, error));
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn apply(&mut self, segment: &SegmentName) -> Result<ReplayOutcome, Error> {
        let name = segment.name();
        let object = self.target.get(&name, SEGMENT_BYTES_MAX).await?;
        let mut led = ReplayOutcome::Nowhere;
        let played = play::<ReplayFailure>(&object, |told, batch| {
            let (next, goes_on) = self.step(told, batch)?;
            led = next.unwrap_or(led);
            Ok(goes_on)
        });
        match played {
            Ok(recorded) if recorded.store == segment.store && recorded.from == segment.from => {
                Ok(led)
            }
            Ok(_) => Err(self.target.damaged(&name, "it belongs to another object")),
            Err(ReplayFailure::Store(error)) => Err(error.into()),
            Err(ReplayFailure::Unplayable(why)) => Err(self.target.unplayable(&name, &why)),
        }
    }

    /// Applies a commit, if it is the next one and wanted. Returns where that led, and whether another one
    /// may be wanted.
    fn step(
        &mut self,
        told: &Inspected,
        batch: &[u8],
    ) -> Result<(Option<ReplayOutcome>, bool), ReplayFailure> {
        if told.before != self.applier.position() {
            // The commits before the snapshot are in it.
            return Ok((None, told.before.seq < self.applier.position().seq));
        }
        let is_past = match self.until {
            Until::End => false,
            Until::Seq(seq) => told.after.seq > seq,
            Until::Time(ms) => told.time_ms.is_some_and(|made| made > ms),
        };
        if is_past {
            return Ok((Some(ReplayOutcome::There), false));
        }
        self.applier.apply(batch).map_err(ReplayFailure::Store)?;
        self.commits += 1;
        self.time_ms = told.time_ms.unwrap_or(self.time_ms);
        self.unsynced += batch.len();
        if self.unsynced > UNSYNCED_BYTES_MAX {
            self.unsynced = 0;
            self.applier.sync().map_err(ReplayFailure::Store)?;
        }
        Ok((Some(ReplayOutcome::On), true))
    }
}

/// Removes files that are no beginning of a file of the snapshot, and checks that there is space for the
/// rest.
fn make_room(place: &Path, snapshot: &Snapshot, all: u64) -> Result<(), Error> {
    let sizes = snapshot.files.iter();
    let sizes = sizes.map(|file| (file.name.as_str(), file.bytes)).collect();
    store::keep_beginnings(place, &sizes)
        .map_err(Error::io("delete the files of an earlier try"))?;
    let missing = store::missing_space(place, all);
    match missing.map_err(Error::io("check the fetched files"))? {
        Some(NoSpace { needed, free }) => Err(Error::NoRoom {
            dir: place.to_owned(),
            needed,
            free,
        }),
        None => Ok(()),
    }
}

/// Fetches the rest of a file. The part left by an interruption is kept if it is the beginning of it.
async fn fetch(
    target: &BackupTarget,
    wanted: &manifest::StoreFile,
    place: &Path,
    tell: &mut impl FnMut(u64),
) -> Result<(), Error> {
    let name = wanted.contents().name();
    let path = place.join(&wanted.name);
    let doing = || format!("write {}", path.display());
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(Error::io(doing()))?;
    let (mut bytes, mut hash) = store::hash_rest(&mut file).map_err(Error::io(doing()))?;
    if bytes == wanted.bytes && hash.digest128() != wanted.contents().hash {
        // It was part of another file, or was written to since.
        file.set_len(0).map_err(Error::io(doing()))?;
        (bytes, hash) = (0, Xxh3::new());
    }
    let resumed = bytes > 0 && bytes < wanted.bytes;
    tell(bytes);
    while bytes < wanted.bytes {
        let to = wanted.bytes.min(bytes + PART_BYTES as u64);
        let piece = target.piece(&name, bytes, to).await?;
        if piece.len() as u64 != to - bytes {
            return Err(target.damaged(&name, format!("it ends after {bytes} bytes")));
        }
        hash.update(&piece);
        file.write_all(&piece).map_err(Error::io(doing()))?;
        bytes = to;
        tell(piece.len() as u64);
    }
    if hash.digest128() == wanted.contents().hash {
        return Ok(());
    }
    fs::remove_file(&path).map_err(Error::io(format!("remove {}", path.display())))?;
    if resumed {
        // The part that was there was the beginning of another file.
        return Box::pin(fetch(target, wanted, place, tell)).await;
    }
    Err(target.damaged(&name, "its hash differs"))
}
