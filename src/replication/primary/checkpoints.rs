//! Checkpoints for replicas that begin: made when one asks, shared by those that ask soon after. And for
//! backups, each of which has its own, made for it, and gives it back.
//!
//! Must not know HTTP. Invariants: there are never more than two of either on the disk; one is removed when
//! no client has read it for a while; all together are read no faster than they may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;
use tokio::time::sleep;

use super::body::PIECE_BYTES;
use crate::store::{Checkpoint, Error, Store};
use crate::wire::protocol::StreamRequest;

/// The age below which a checkpoint is shared with any client that asks for one.
pub(crate) const SHARE_TIME: Duration = Duration::from_mins(1);
/// The time without a reader after which a checkpoint is removed.
const UNREAD_TIME_MAX: Duration = Duration::from_mins(5);
/// The number of checkpoints at most.
const CHECKPOINTS_MAX: usize = 2;
/// The time by which a burst may be ahead of the rate.
const BURST: Duration = Duration::from_millis(100);

/// The checkpoints of a store.
pub(crate) struct Checkpoints {
    store: Store,
    all: Mutex<Vec<CheckpointsState>>,
    /// The checkpoints of backups, which are not shared.
    own: Mutex<Vec<CheckpointsState>>,
    /// A lock: one checkpoint is made at a time.
    turn: Turn<()>,
    bytes_per_second: u64,
    /// The time at which the next byte may be sent.
    next: Mutex<Instant>,
}

struct CheckpointsState {
    checkpoint: Arc<Checkpoint>,
    made: Instant,
    read: Instant,
}

/// The checkpoint for a client that asks.
enum Latest {
    /// This one.
    Shared(Arc<Checkpoint>),
    /// None, and another is to be made.
    Old,
    /// None, and no other may be made now.
    Full,
}

impl Checkpoints {
    pub(crate) fn new(store: Store, bytes_per_second: u64) -> Self {
        Self {
            store,
            all: Mutex::default(),
            own: Mutex::default(),
            turn: Turn::new(()),
            bytes_per_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Returns a checkpoint that is new enough for the client that asks, all of which is durable here;
    /// `None` while so many are being read that no other can be made. `there` is the state of that replica.
    pub(crate) async fn get(
        self: &Arc<Self>,
        there: Option<StreamRequest>,
    ) -> Result<Option<Arc<Checkpoint>>, Error> {
        let _turn = self.turn.lock().await;
        match self.latest(there) {
            Latest::Shared(checkpoint) => return Ok(Some(checkpoint)),
            Latest::Full => return Ok(None),
            Latest::Old => {}
        }
        let made = self.make("a new replica").await?;
        let checkpoint = Arc::clone(&made.checkpoint);
        self.all().push(made);
        Ok(Some(checkpoint))
    }

    /// Returns a checkpoint of the store as it is now, for a backup; `None` while there are too many of
    /// them.
    pub(crate) async fn own(self: &Arc<Self>) -> Result<Option<Arc<Checkpoint>>, Error> {
        let _turn = self.turn.lock().await;
        let unread = {
            let mut own = lock(&self.own);
            let unread = own.iter().position(|one| !is_read(one));
            let is_full = own.len() >= CHECKPOINTS_MAX;
            if is_full && unread.is_none() {
                return Ok(None);
            }
            unread.filter(|_| is_full).map(|index| own.remove(index))
        };
        // Its files are removed here, where no request waits for the lock.
        drop(unread);
        let made = self.make("a backup").await?;
        let checkpoint = Arc::clone(&made.checkpoint);
        lock(&self.own).push(made);
        Ok(Some(checkpoint))
    }

    /// Removes the checkpoint of a backup that no longer needs it. Returns whether there was one.
    pub(crate) fn give_back(&self, id: u128) -> bool {
        let gone = {
            let mut own = lock(&self.own);
            let index = own.iter().position(|one| one.checkpoint.id() == id);
            index.map(|index| own.remove(index))
        };
        gone.is_some()
    }

    async fn make(&self, whom: &str) -> Result<CheckpointsState, Error> {
        let store = self.store.clone();
        let made = tokio::task::spawn_blocking(move || Checkpoint::make(&store));
        let made = made
            .await
            .map_err(|e| Error::io("make a checkpoint")(std::io::Error::other(e)))??;
        let at = made.position();
        // The checkpoint may hold what the store has not made durable yet.
        let mut durable = self.store.feed().durable();
        let _ = durable.wait_for(|durable| durable.seq >= at.seq).await;
        tracing::info!("a checkpoint at {at} was made for {whom}");
        let now = Instant::now();
        Ok(CheckpointsState {
            checkpoint: Arc::new(made),
            made: now,
            read: now,
        })
    }

    /// Returns the newest, where it is new enough or no other can be made.
    fn latest(&self, there: Option<StreamRequest>) -> Latest {
        let store = self.store.identity().store_id;
        let mut all = self.all();
        let is_full = all.len() >= CHECKPOINTS_MAX;
        let all_are_read = is_full && all.iter().all(is_read);
        if let Some(latest) = all.last_mut()
            && there.is_none_or(|there| there.gains_by(store, latest.checkpoint.position()))
            && (latest.made.elapsed() < SHARE_TIME || all_are_read)
        {
            latest.read = Instant::now();
            return Latest::Shared(Arc::clone(&latest.checkpoint));
        }
        if all_are_read {
            return Latest::Full;
        }
        if is_full {
            let unread = all.iter().position(|shared| !is_read(shared));
            all.remove(unread.unwrap_or(0));
        }
        Latest::Old
    }

    /// Returns the checkpoint with a name, as long as there is one.
    pub(crate) fn find(&self, id: u128) -> Option<Arc<Checkpoint>> {
        let find = |mut all: MutexGuard<'_, Vec<CheckpointsState>>| {
            let shared = all.iter_mut().find(|shared| shared.checkpoint.id() == id)?;
            shared.read = Instant::now();
            Some(Arc::clone(&shared.checkpoint))
        };
        find(self.all()).or_else(|| find(lock(&self.own)))
    }

    /// Removes the checkpoints that are no longer read.
    pub(crate) fn expire(&self) {
        let expired = |mut all: MutexGuard<'_, Vec<CheckpointsState>>| -> Vec<CheckpointsState> {
            let (kept, gone) = std::mem::take(&mut *all)
                .into_iter()
                .partition(|shared| is_read(shared) || shared.read.elapsed() < UNREAD_TIME_MAX);
            *all = kept;
            gone
        };
        let gone = (expired(self.all()), expired(lock(&self.own)));
        // Their files are removed here, where no request waits for the lock.
        drop(gone);
    }

    /// Removes all but those that are being read, which are removed with their last reader.
    pub(crate) fn clear(&self) {
        let gone = (
            std::mem::take(&mut *self.all()),
            std::mem::take(&mut *lock(&self.own)),
        );
        // Their files are removed here, where no request waits for the lock.
        drop(gone);
    }

    /// Returns the bytes to send at once: little if the limit per second is low.
    pub(crate) fn piece_bytes(&self) -> usize {
        let eighth = usize::try_from(self.bytes_per_second / 8).unwrap_or(PIECE_BYTES);
        eighth.clamp(1 << 10, PIECE_BYTES)
    }

    /// Waits until so many bytes more may be sent.
    pub(crate) async fn pay(&self, bytes: usize) {
        let cost_ns = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_second.max(1));
        let cost = Duration::from_nanos(u64::try_from(cost_ns).unwrap_or(u64::MAX));
        let now = Instant::now();
        let due = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let begins = (*next).max(now);
            *next = begins + cost;
            begins
        };
        let ahead = due.saturating_duration_since(now);
        if let Some(wait) = ahead.checked_sub(BURST) {
            sleep(wait).await;
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<CheckpointsState>> {
        lock(&self.all)
    }
}

fn lock(all: &Mutex<Vec<CheckpointsState>>) -> MutexGuard<'_, Vec<CheckpointsState>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns true if a client reads it right now, or may be about to read its next file.
fn is_read(shared: &CheckpointsState) -> bool {
    Arc::strong_count(&shared.checkpoint) > 1 || shared.read.elapsed() < SHARE_TIME
}
