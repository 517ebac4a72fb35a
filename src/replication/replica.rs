//! Following a primary: a thread that requests the next commits and applies them.
//!
//! Its decisions are made in `replica/state.rs`; here are sockets, files and the log messages.
//! Invariants: a primary that cannot be followed ends the thread with the reason, and leaves the store
//! alone; every wait is bounded.

pub(crate) mod backoff;
pub(crate) mod bootstrap;
pub(crate) mod progress;
pub(crate) mod state;
pub(crate) mod stream_reader;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout_at};

use super::client::{NoAnswer, PrimaryAddress, PrimaryConnection, whole};
use super::disconnect::Disconnect;
use super::meters::ReplicaMeters;
use super::wire::protocol::{ACK, ADMIN, BASE, STREAM};
use crate::store::JoinOnDrop;
use crate::store::{
    self, Applier, LogPosition, Store, accepted, bootstrap_dir, follow, trim_kept_logs,
};
use backoff::random;
use bootstrap::{Fetched, WantedStore, fetch_wanted, spool_of};
use progress::ReplicaProgress;
use state::{AfterStream, ReplicaState};
use stream_reader::{Ack, ApplyTarget};

/// The time for the first frame of a stream: the primary may have to look into its logs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The time for the answer to an acknowledgement.
const ACK_TIME_MAX: Duration = Duration::from_secs(10);
/// The time after which an acknowledgement that was lost is sent again.
const ACK_RETRY_TIME: Duration = Duration::from_secs(1);
/// The time between two looks at the logs that the replica archives, to be followed itself one day.
const KEEP_PERIOD: Duration = Duration::from_secs(10);

/// The period at which a replica that is held looks for an operator's decision.
const ACCEPT_PERIOD: Duration = Duration::from_millis(500);

/// The options of a replica.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// The primary.
    pub source: PrimaryAddress,
    /// The data directory.
    pub data: PathBuf,
    /// The replica's own admin port, like `http://10.0.0.2:8081`.
    pub admin: String,
    /// Disk for commits that are made during a bootstrap.
    pub spool_bytes: u64,
    /// The bytes of logs that are archived.
    pub wal_keep_size: u64,
    /// The number of fetched stores in a row that could not be followed from.
    pub failed_copies: u32,
    /// Its counters.
    pub meters: Arc<ReplicaMeters>,
}

/// The reason for which a replica stops following.
#[derive(Debug)]
pub enum ReplicaExit {
    /// It was asked to end.
    Nothing,
    /// A newer store is fetched, to take the place of this one, which is only behind.
    Adopt(Fetched),
    /// The store cannot be followed from, and another one is to be fetched; the old one may hold commits
    /// that are nowhere else.
    Fetch {
        /// The id of the store that replaces it.
        wanted: u128,
    },
    /// The store can no longer be written to; for want of space if [`Store::full`] says so.
    Restart(store::Error),
}

/// A replica that follows until it is dropped, or cannot.
pub struct Replica {
    /// The thread is in the middle of one batch at most when it is signalled to end.
    _thread: JoinOnDrop,
    end: watch::Sender<bool>,
    progress: Arc<ReplicaProgress>,
}

impl Replica {
    /// Begins to follow. `is_copy` says that the store holds no commits of its own. The receiver gets the
    /// reason, once, when the replica stops following.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn start(
        store: Store,
        applier: Applier,
        is_copy: bool,
        options: ReplicaOptions,
    ) -> std::io::Result<(Self, oneshot::Receiver<ReplicaExit>)> {
        let (end, ends) = watch::channel(false);
        let (tell, needs) = oneshot::channel();
        let now = Instant::now();
        let own = OwnStore {
            store,
            applier,
            primary: options.source.primary.clone(),
            is_noted: false,
            meters: Arc::clone(&options.meters),
        };
        let following = ReplicaState::new(own, is_copy, options.failed_copies, now);
        let progress = Arc::clone(following.progress());
        options.meters.follow(Arc::clone(&progress));
        let mut follower = ReplicaThread {
            following,
            options,
            kept: now,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || {
                let need = runtime.block_on(follower.run(ends));
                if let ReplicaExit::Restart(error) = &need
                    && error.is_no_space()
                {
                    follower.run_full(error);
                }
                // The store is closed before the receiver hears that it can be.
                drop(follower);
                let _ = tell.send(need);
            })?;
        let replica = Self {
            _thread: thread.into(),
            end,
            progress,
        };
        Ok((replica, needs))
    }

    /// Returns its progress.
    #[must_use]
    pub fn progress(&self) -> Arc<ReplicaProgress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end.send_replace(true);
    }
}

/// The thread's side: sockets, files, and the log.
struct ReplicaThread {
    following: ReplicaState<OwnStore>,
    options: ReplicaOptions,
    kept: Instant,
}

/// The applier, which holds the store and writes to it.
struct OwnStore {
    store: Store,
    applier: Applier,
    primary: String,
    /// True if it is noted that the store is this primary's.
    is_noted: bool,
    meters: Arc<ReplicaMeters>,
}

impl ApplyTarget for OwnStore {
    fn store_id(&self) -> u128 {
        self.store.identity().store_id
    }

    fn position(&self) -> LogPosition {
        self.applier.position()
    }

    fn begin(&mut self, at: LogPosition) -> Result<(), store::Error> {
        let (own, primary) = (self.position(), &self.primary);
        if !std::mem::replace(&mut self.is_noted, true) {
            follow(&self.store, primary)?;
        }
        tracing::info!("following {primary} from {own}; it is at {at}");
        self.meters.began();
        Ok(())
    }

    fn apply(&mut self, batch: &[u8]) -> Result<LogPosition, store::Error> {
        self.applier.apply(batch)
    }

    fn sync(&mut self) -> Result<LogPosition, store::Error> {
        self.applier.sync()
    }
}

impl ReplicaThread {
    async fn run(&mut self, mut ends: watch::Receiver<bool>) -> ReplicaExit {
        let need = tokio::select! {
            need = self.follow() => need,
            _ = ends.wait_for(|end| *end) => ReplicaExit::Nothing,
        };
        // The applied commits are retained, whatever comes next.
        match self.following.sync() {
            Err(error) if !matches!(need, ReplicaExit::Restart(_)) => ReplicaExit::Restart(error),
            _ => need,
        }
    }

    /// Notes that the disk has no space for the next commits, so that the store can be served all the same.
    fn run_full(&self, error: &store::Error) {
        self.following.target().store.run_full(error, false);
        self.following.progress().disconnect(error.to_string());
    }

    async fn follow(&mut self) -> ReplicaExit {
        if let Err(error) = self.apply_spool() {
            return ReplicaExit::Restart(error);
        }
        let primary = self.options.source.primary.clone();
        loop {
            let before = self.following.progress().streams();
            let disconnect = self.stream().await;
            self.options.meters.disconnect(&disconnect);
            let (why, own) = (disconnect.to_string(), self.following.position());
            let accepted = self.accepted();
            let wait = match self.following.part(disconnect, random(), accepted) {
                AfterStream::Restart(error) => return ReplicaExit::Restart(error),
                AfterStream::Renew => {
                    tracing::error!(
                        "the replica at {own} cannot follow {primary}: {why}; fetching the store again, \
                         and serving the old one meanwhile"
                    );
                    if let Some(fetched) = self.fetch_anew().await {
                        return ReplicaExit::Adopt(fetched);
                    }
                    continue;
                }
                AfterStream::Leave { wanted } => {
                    tracing::error!(
                        "the store at {own} cannot follow {primary}: {why}; it is moved to diverged-…, \
                         and nothing is served until the primary's store is fetched"
                    );
                    return ReplicaExit::Fetch { wanted };
                }
                AfterStream::Hold {
                    wait,
                    held,
                    is_news,
                } => {
                    if is_news {
                        tracing::error!(
                            "not following {primary}, and serving the store as it is: {held}"
                        );
                    }
                    self.wait_held(wait).await;
                    continue;
                }
                AfterStream::Late { wait, is_news } => {
                    if is_news {
                        tracing::error!(
                            "not following {primary}: {why}; serving the store as it is, and waiting \
                             for a primary of epoch {} or later",
                            own.epoch
                        );
                    }
                    wait
                }
                AfterStream::Retry(wait) => {
                    if self.following.progress().streams() > before {
                        tracing::warn!("disconnected from {primary}: {why}");
                    } else {
                        tracing::warn!("cannot follow {primary}: {why}");
                    }
                    wait
                }
            };
            sleep(wait).await;
        }
    }

    /// Returns the store that an operator has this replica take instead of its own.
    fn accepted(&self) -> Option<u128> {
        accepted(&self.options.data).unwrap_or_else(|error| {
            tracing::warn!("cannot read which store to accept: {error}");
            None
        })
    }

    /// Waits for so long, or until an operator chooses the store to take.
    async fn wait_held(&self, wait: Duration) {
        let (ends, before) = (Instant::now() + wait, self.accepted());
        while Instant::now() < ends && self.accepted() == before {
            sleep(ACCEPT_PERIOD.min(wait)).await;
        }
    }

    /// Fetches a newer state of the same store; `None` where the primary has another store by now.
    async fn fetch_anew(&mut self) -> Option<Fetched> {
        let options = &self.options;
        let bootstrap = bootstrap_dir(&options.data);
        let progress = self.following.progress();
        let mut said = |why: &str| progress.disconnect(why.to_owned());
        fetch_wanted(
            &options.source,
            &bootstrap,
            options.spool_bytes,
            self.following.failed_copies(),
            WantedStore::Newer(self.following.asked()),
            &options.meters,
            &mut said,
        )
        .await
    }

    /// Applies the commits that were made while this store was fetched.
    fn apply_spool(&mut self) -> Result<(), store::Error> {
        let bootstrap = bootstrap_dir(&self.options.data);
        let Ok(spool) = File::open(spool_of(&bootstrap)) else {
            return Ok(());
        };
        let from = self.following.position();
        self.following.apply_spool(spool, Instant::now)?;
        let to = self.following.position();
        if to != from {
            tracing::info!("applied the commits made during the bootstrap, up to {to}");
        }
        // Only the next fetch needs the space.
        let _ = std::fs::remove_dir_all(&bootstrap);
        Ok(())
    }

    /// Follows one stream to its end.
    async fn stream(&mut self) -> Disconnect {
        let source = self.options.source.clone();
        let path = self.following.asked().to_path(STREAM);
        let path = format!("{path}&{ADMIN}={}", self.options.admin);
        let mut client = PrimaryConnection::new(source.clone());
        let answer = match client.get(&path, 0, ANSWER_TIME_MAX).await {
            Ok(answer) => answer,
            Err(error) => return Disconnect::NoAnswer(error),
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::CONFLICT | StatusCode::UPGRADE_REQUIRED => {
                let refusal = whole(answer).await.ok();
                let refusal = refusal.and_then(|text| serde_json::from_slice(&text).ok());
                return refusal.map_or(Disconnect::Unasked("no reason"), Disconnect::Refused);
            }
            status => return Disconnect::Status(status),
        }
        let (acks, told) = watch::channel(None);
        // It ends with the stream, which owns the other end.
        tokio::spawn(send_acks(source, told));
        self.following.begin(Instant::now());
        let mut body = answer.into_body();
        loop {
            if let Err(disconnect) = self.step(&mut body).await {
                return disconnect;
            }
            let acked = self.following.acked();
            acks.send_if_modified(|told| std::mem::replace(told, acked) != acked);
        }
    }

    /// Waits for more and applies it, or makes the applied commits durable.
    async fn step(&mut self, body: &mut Incoming) -> Result<(), Disconnect> {
        let due = self.following.due(Instant::now());
        match timeout_at(due.into(), body.frame()).await {
            Ok(Some(Ok(piece))) => {
                if let Ok(bytes) = piece.into_data() {
                    self.following.take(&bytes, Instant::now())?;
                    self.keep_order();
                }
                Ok(())
            }
            Ok(Some(Err(error))) => Err(Disconnect::NoAnswer(NoAnswer::Http(error))),
            Ok(None) => Err(Disconnect::Ended),
            Err(_) => self.following.tick(Instant::now()),
        }
    }

    /// Trims the replica's own logs to their bound, now and then.
    fn keep_order(&mut self) {
        if self.kept.elapsed() >= KEEP_PERIOD {
            self.kept = Instant::now();
            let store = &self.following.target().store;
            if let Err(error) = trim_kept_logs(store, self.options.wal_keep_size) {
                tracing::warn!("old logs are retained for now: {error}");
            }
        }
    }
}

/// Reports the position up to which the replica is durable: always the latest, one request after the other.
/// The reports are no part of the stream, so that one that is stuck does not hold them up.
async fn send_acks(source: PrimaryAddress, mut acked: watch::Receiver<Option<Ack>>) {
    let mut client = PrimaryConnection::new(source);
    while acked.changed().await.is_ok() {
        let Some(Ack { session, seq, .. }) = *acked.borrow_and_update() else {
            continue;
        };
        let path = format!("{BASE}{ACK}?session={session}&seq={seq}");
        match client.post(&path, ACK_TIME_MAX).await {
            Ok(answer) => {
                // The response's content does not matter; that it was read lets the connection be used
                // again.
                let _ = whole(answer).await;
            }
            Err(error) => {
                // The next acknowledgement says as much and more.
                tracing::debug!("an acknowledgement was lost: {error}");
                sleep(ACK_RETRY_TIME).await;
                acked.mark_changed();
            }
        }
    }
}
