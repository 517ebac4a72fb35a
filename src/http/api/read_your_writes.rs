//! Read-your-writes: a client's own writes, and all it has seen, are in every later answer, from any server.
//!
//! The answer to a write says in `X-Seq` where the store is since. A read that hands that back in
//! `X-Min-Seq` is answered from a store that has been there, or is refused, and its answer has an
//! `X-Seq` of its own. So a client that hands back the last one reads what it wrote, and never goes
//! back. A row's number says nothing without its epoch: rows that a replica did not have when it became the
//! primary are reported as lost, however many rows were written since.
//!
//! Must not know how commits come here. Invariants: a request without the header costs one lookup of it; the
//! reads that wait are bounded in number and in time; the position in an answer is never less than the one that
//! was read for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::metrics::{Counter, Exposition, Gauge};
use crate::store::{LogPosition, Store, has_had};

use super::error::ApiError;
use super::reads::Reads;
use super::session_token::SessionToken;

/// Reads that may wait at once. Every commit wakes each of them, so they are few; with as many
/// writes a second and a replica that is 20 ms behind, they would be a dozen.
const WAITING_MAX: usize = 256;

impl From<LogPosition> for SessionToken {
    fn from(at: LogPosition) -> Self {
        let LogPosition { epoch, seq, .. } = at;
        Self { epoch, seq }
    }
}

/// The store's position relative to session tokens.
pub(super) struct ReadYourWrites {
    store: Store,
    applied: watch::Receiver<LogPosition>,
    places: Semaphore,
    waiting: Arc<Gauge>,
    refused: Counter,
}

impl ReadYourWrites {
    pub(super) fn new(store: Store) -> Self {
        Self {
            applied: store.feed().applied(),
            store,
            places: Semaphore::new(WAITING_MAX),
            waiting: Arc::default(),
            refused: Counter::default(),
        }
    }

    /// Returns once the store has what a client has seen: at once, mostly, and otherwise, on a replica, as
    /// soon as it does within `wait_time_max`. On a primary, whose `wait_time_max` is `None`, it does not wait.
    pub(super) async fn reach(
        &self,
        session_token: SessionToken,
        wait_time_max: Option<Duration>,
        reads: &Reads,
    ) -> Result<(), ApiError> {
        let at = *self.applied.borrow();
        if session_token.epoch > at.epoch {
            // Any client may claim it. The replicas of a primary know whether it is true.
            self.store.feed().doubt().notify_one();
        }
        let at = match wait_time_max {
            _ if SessionToken::from(at) >= session_token => SessionToken::from(at),
            Some(time_max) => self.wait(session_token, time_max).await?,
            None => self.known(session_token, reads).await?,
        };
        if at.epoch == session_token.epoch || session_token.seq == 0 {
            return Ok(());
        }
        // A primary has been replaced since: did the one that did it have this?
        let had = reads.later(move |store| has_had(store, session_token.epoch, session_token.seq));
        if had.await? {
            return Ok(());
        }
        self.refused.count();
        Err(ApiError::LostSeq(session_token))
    }

    /// The place of a primary that has what a client has seen. Of its own epoch there is nothing beyond its
    /// head, so that no server ever said it.
    async fn known(
        &self,
        session_token: SessionToken,
        reads: &Reads,
    ) -> Result<SessionToken, ApiError> {
        let at = self.place(reads).await?;
        if at >= session_token {
            return Ok(at);
        }
        self.refused.count();
        Err(if at.epoch == session_token.epoch {
            ApiError::UnreadableSeq
        } else {
            ApiError::Behind { at, session_token }
        })
    }

    async fn wait(
        &self,
        session_token: SessionToken,
        wait_time_max: Duration,
    ) -> Result<SessionToken, ApiError> {
        let mut applied = self.applied.clone();
        if let Ok(_place) = self.places.try_acquire() {
            let _present = self.waiting.present();
            let there = applied.wait_for(|at| SessionToken::from(*at) >= session_token);
            if let Ok(Ok(at)) = timeout(wait_time_max, there).await {
                return Ok(SessionToken::from(*at));
            }
        }
        self.refused.count();
        let at = SessionToken::from(*self.applied.borrow());
        Err(ApiError::Behind { at, session_token })
    }

    /// Returns the store's position, which is at or behind all that was read from it until now.
    pub(super) async fn place(&self, reads: &Reads) -> Result<SessionToken, ApiError> {
        // A commit is announced a moment after it can be read.
        let head = reads.read(|reader| Ok(reader.head()?.map(SessionToken::from)));
        let head = head.await?;
        let told = SessionToken::from(*self.applied.borrow());
        Ok(head.map_or(told, |head| head.max(told)))
    }

    /// Writes the metrics of the reads that waited, and of those in vain.
    pub(super) fn describe(&self, page: &mut Exposition) {
        page.counter(
            "reviewsd_session_waits_total",
            "Reads that waited for the position of X-Min-Seq.",
        )
        .value(self.waiting.came());
        page.gauge(
            "reviewsd_session_waits_in_flight",
            "Reads that wait for the position of X-Min-Seq.",
        )
        .value(self.waiting.get());
        page.counter(
            "reviewsd_session_refusals_total",
            "Reads that were rejected, because the position of X-Min-Seq was not reached in time, or is \
             lost.",
        )
        .value(self.refused.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::Builder;

    const MEMORY_BYTES: u64 = 32 << 20;

    /// True if a read with a session token of this epoch makes the server ask the store's replicas.
    fn is_doubted(epoch: u64) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "test", MEMORY_BYTES, 0).unwrap();
        let (sessions, reads) = (
            ReadYourWrites::new(store.clone()),
            Reads::new(store.clone()),
        );
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let session_token = SessionToken { epoch, seq: 1 };
            let _ = sessions.reach(session_token, None, &reads).await;
            // A notification from before is there at once.
            timeout(Duration::ZERO, store.feed().doubt().notified())
                .await
                .is_ok()
        })
    }

    #[test]
    fn a_later_epoch_in_a_session_token_makes_replicas_be_asked() {
        assert!(is_doubted(2));
        assert!(!is_doubted(1));
    }
}
