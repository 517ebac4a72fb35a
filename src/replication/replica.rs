//! Following a primary: a thread that asks for what comes next and applies it.
//!
//! Invariants: the store is only ever changed by commits that extend it; what cannot be followed
//! ends the thread with the reason, and never the store; waits are bounded and grow.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout_at};

use super::acks::send_acks;
use super::backoff::{Backoff, random};
use super::bootstrap::{Fetched, fetch, spool_of};
use super::client::{Client, NoAnswer, Source, whole};
use super::frame::{Decoder, Frame};
use super::meters::ReplicaMeters;
use super::parted::{Parted, SILENCE_MAX};
use super::progress::Progress;
use super::protocol::{Asked, PROTOCOL, Refusal, position};
use crate::store::key::FORMAT;
use crate::store::{self, Applier, Before, Position, Store, bootstrap_dir, follow, trim_kept_logs};

/// How long the first word of a stream may take: the primary may have to look into its logs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How often what was applied is made durable where nobody waits for it.
const SYNC_TIME: Duration = Duration::from_millis(200);
/// The same where somebody does, and there is always more to apply.
const WAITED_SYNC_TIME: Duration = Duration::from_millis(20);
/// How many unsynced bytes there are at most.
const UNSYNCED_BYTES_MAX: usize = 16 << 20;
/// How often the logs that the copy keeps, to be followed itself one day, are looked at.
const KEEP_PERIOD: Duration = Duration::from_secs(10);

/// How a replica follows.
#[derive(Debug, Clone)]
pub struct ReplicaOptions {
    /// Whom.
    pub source: Source,
    /// The data directory.
    pub data: PathBuf,
    /// Disk for what is committed while a new copy is fetched.
    pub spool_bytes: u64,
    /// Bytes of logs that are kept.
    pub wal_keep_size: u64,
    /// How many new copies in a row were not followed from.
    pub failed_copies: u32,
    /// What is counted.
    pub meters: Arc<ReplicaMeters>,
}

/// Why a replica follows no more.
#[derive(Debug)]
pub enum Need {
    /// It was asked to end.
    Nothing,
    /// A new copy is there, to take the place of the store, which is only behind.
    Adopt(Fetched),
    /// The store cannot be followed from, and a new copy is to be fetched; what it has is to be
    /// dealt with so.
    Fetch(Before),
    /// The store cannot be written to any more.
    Restart(store::Error),
}

/// A replica that follows until it is dropped, or cannot.
pub struct Replica {
    thread: Option<JoinHandle<()>>,
    end: watch::Sender<bool>,
    progress: Arc<Progress>,
}

impl Replica {
    /// Begins to follow. `is_copy` tells that the store holds nothing of its own. The receiver hears
    /// once why it no longer does.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn start(
        store: Store,
        applier: Applier,
        is_copy: bool,
        options: ReplicaOptions,
    ) -> std::io::Result<(Self, oneshot::Receiver<Need>)> {
        let progress = Arc::new(Progress::new(applier.position().seq, Instant::now()));
        options.meters.follow(Arc::clone(&progress));
        let (end, ends) = watch::channel(false);
        let (tell, needs) = oneshot::channel();
        let mut follower = Follower {
            was_refused_as_late: false,
            is_copy,
            is_noted: false,
            store,
            applier,
            options,
            progress: Arc::clone(&progress),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::Builder::new()
            .name("replica".to_owned())
            .spawn(move || {
                let need = runtime.block_on(follower.run(ends));
                // The store is let go of before anybody hears that it can be.
                drop(follower);
                let _ = tell.send(need);
            })?;
        let replica = Self {
            thread: Some(thread),
            end,
            progress,
        };
        Ok((replica, needs))
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // It is in the middle of one batch at most.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Follower {
    store: Store,
    applier: Applier,
    options: ReplicaOptions,
    progress: Arc<Progress>,
    /// Whether the store was fetched, or accepted, by a primary, and never was one since.
    is_copy: bool,
    /// Whether it is noted that it is this primary's.
    is_noted: bool,
    was_refused_as_late: bool,
}

impl Follower {
    async fn run(&mut self, mut ends: watch::Receiver<bool>) -> Need {
        let need = tokio::select! {
            need = self.follow() => need,
            _ = ends.wait_for(|end| *end) => Need::Nothing,
        };
        // What was applied is kept, whatever comes next.
        match self.applier.sync() {
            Err(error) if !matches!(need, Need::Restart(_)) => Need::Restart(error),
            _ => need,
        }
    }

    async fn follow(&mut self) -> Need {
        if let Err(error) = self.apply_spool() {
            return Need::Restart(error);
        }
        let mut backoff = Backoff::default();
        loop {
            let before = self.progress.streams();
            let parted = self.stream(&mut backoff).await;
            self.options.meters.parted(&parted);
            let why = parted.to_string();
            let primary = &self.options.source.primary;
            match parted {
                Parted::Store(error) => return Need::Restart(error),
                Parted::Refused(Refusal::Gap) if self.is_copy => {
                    tracing::error!(
                        "the copy at {} cannot follow {primary}: {why}; fetching a new copy, and \
                         serving the old one meanwhile",
                        self.applier.position()
                    );
                    self.progress
                        .parted(format!("{why}; a new copy is being fetched"));
                    return self.fetch_anew().await;
                }
                Parted::Refused(
                    Refusal::Gap
                    | Refusal::UnknownEpoch
                    | Refusal::Diverged { .. }
                    | Refusal::Ahead { .. }
                    | Refusal::OtherStore { .. },
                ) => return self.leave(&why),
                Parted::Refused(Refusal::Later { .. }) => {
                    if !std::mem::replace(&mut self.was_refused_as_late, true) {
                        tracing::error!(
                            "{primary} is not followed: {why}; serving what there is, and waiting \
                             for a primary of epoch {} or later",
                            self.applier.position().epoch
                        );
                    }
                }
                _ if self.progress.streams() > before => {
                    tracing::warn!("parted from {primary}: {why}");
                }
                _ => tracing::warn!("cannot follow {primary}: {why}"),
            }
            self.progress.parted(why);
            if let Err(error) = self.applier.sync() {
                return Need::Restart(error);
            }
            sleep(backoff.wait(random())).await;
        }
    }

    /// The store has, or may have, what the primary has not.
    fn leave(&self, why: &str) -> Need {
        let own = self.applier.position();
        let primary = &self.options.source.primary;
        let (before, kept) = if self.is_copy {
            (Before::Contained, "the store here is replaced")
        } else {
            (
                Before::Diverged(own),
                "the store here, which was no copy, is moved aside",
            )
        };
        tracing::error!(
            "the store at {own} cannot follow {primary}: {why}; {kept} by a new copy, and nothing \
             is served until that is there"
        );
        Need::Fetch(before)
    }

    async fn fetch_anew(&mut self) -> Need {
        let options = &self.options;
        let bootstrap = bootstrap_dir(&options.data);
        let mut said = |why: &str| self.progress.parted(why.to_owned());
        let fetched = fetch(
            &options.source,
            &bootstrap,
            options.spool_bytes,
            options.failed_copies,
            &options.meters,
            &mut said,
        )
        .await;
        Need::Adopt(fetched)
    }

    /// Applies what was committed while this copy was fetched.
    fn apply_spool(&mut self) -> Result<(), store::Error> {
        let bootstrap = bootstrap_dir(&self.options.data);
        let path = spool_of(&bootstrap);
        let Ok(mut spool) = File::open(&path) else {
            return Ok(());
        };
        let mut decoder = Decoder::default();
        let mut piece = vec![0; 1 << 20];
        let from = self.applier.position();
        'all: while let Ok(read @ 1..) = spool.read(&mut piece) {
            decoder.push(piece.get(..read).unwrap_or_default());
            // It may be cut, or of another copy: what does not fit is asked for again.
            while let Ok(Some(frame)) = decoder.next() {
                let Frame::Batch { batch, .. } = frame else {
                    continue;
                };
                match self.applier.apply(batch) {
                    Ok(at) => self.progress.applied(at.seq, Instant::now()),
                    Err(store::Error::Unfit { .. }) => break 'all,
                    Err(error) => return Err(error),
                }
            }
        }
        let to = self.applier.sync()?;
        if to != from {
            tracing::info!("applied what was written while the copy was fetched, up to {to}");
        }
        // Only what is fetched next needs the room.
        let _ = std::fs::remove_dir_all(&bootstrap);
        Ok(())
    }

    /// Follows one stream to its end.
    async fn stream(&mut self, backoff: &mut Backoff) -> Parted {
        let source = self.options.source.clone();
        let asked = Asked {
            protocol: PROTOCOL,
            format: FORMAT,
            store: self.store.identity().store_id,
            position: self.applier.position(),
        };
        let mut client = Client::new(source.clone());
        let answer = match client.get(&asked.to_path(), 0, ANSWER_TIME_MAX).await {
            Ok(answer) => answer,
            Err(error) => return Parted::NoAnswer(error),
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::CONFLICT | StatusCode::UPGRADE_REQUIRED => {
                let refusal = whole(answer).await.ok();
                let refusal = refusal.and_then(|text| serde_json::from_slice(&text).ok());
                return refusal.map_or(Parted::Unasked("no reason"), Parted::Refused);
            }
            status => return Parted::Status(status),
        }
        let (acks, told) = watch::channel(None);
        // It ends with the stream, which owns the other end.
        tokio::spawn(send_acks(source, told));
        let mut stream = Arriving {
            body: answer.into_body(),
            decoder: Decoder::default(),
            heard: Instant::now(),
            unsynced: None,
            unsynced_bytes: 0,
            hello: None,
            acks,
            kept: Instant::now(),
        };
        loop {
            match self.step(&mut stream).await {
                Ok(true) => backoff.reset(),
                Ok(false) => {}
                Err(parted) => return parted,
            }
        }
    }

    /// Waits for more and applies it, or makes durable what was applied. Whether something was
    /// heard of the primary.
    async fn step(&mut self, stream: &mut Arriving) -> Result<bool, Parted> {
        let now = Instant::now();
        let silent = stream.heard + SILENCE_MAX;
        let due = match stream.unsynced {
            None => silent,
            // With nothing more at hand this is when somebody can be told.
            Some(_) if stream.waits() => now,
            Some(since) => since + SYNC_TIME,
        };
        let until = due.min(silent);
        match timeout_at(until.into(), stream.body.frame()).await {
            Ok(Some(Ok(piece))) => {
                let Ok(bytes) = piece.into_data() else {
                    return Ok(false);
                };
                stream.heard = Instant::now();
                stream.decoder.push(&bytes);
                self.take(stream)?;
                let too_long = stream.unsynced.is_some_and(|since| {
                    since.elapsed()
                        >= if stream.waits() {
                            WAITED_SYNC_TIME
                        } else {
                            SYNC_TIME
                        }
                });
                if too_long || stream.unsynced_bytes >= UNSYNCED_BYTES_MAX {
                    self.sync(stream)?;
                }
                Ok(stream.hello.is_some())
            }
            Ok(Some(Err(error))) => Err(Parted::NoAnswer(NoAnswer::Http(error))),
            Ok(None) => Err(Parted::Ended),
            Err(_) => {
                if stream.unsynced.is_some() {
                    self.sync(stream)?;
                }
                if stream.heard.elapsed() >= SILENCE_MAX {
                    return Err(Parted::Silent);
                }
                Ok(false)
            }
        }
    }

    /// Takes the frames that are there.
    fn take(&mut self, stream: &mut Arriving) -> Result<(), Parted> {
        loop {
            let frame = match stream.decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(malformed) => return Err(Parted::Malformed(malformed)),
            };
            match frame {
                Frame::Hello {
                    protocol,
                    format,
                    waits,
                    session,
                    store,
                    at,
                } => {
                    if stream.hello.is_some() || store != self.store.identity().store_id {
                        return Err(Parted::Unasked("another hello"));
                    }
                    if (protocol, format) != (PROTOCOL, FORMAT) {
                        return Err(Parted::Refused(Refusal::Version { protocol, format }));
                    }
                    stream.hello = Some(Hello { session, waits });
                    self.begin(position(at))?;
                }
                _ if stream.hello.is_none() => return Err(Parted::Unasked("no hello")),
                Frame::Beat { at, now_ms: _ } => {
                    let [_, seq, _] = at;
                    self.progress.heard(seq, Instant::now());
                    stream.keep_order(&self.store, self.options.wal_keep_size);
                }
                Frame::Batch {
                    epoch,
                    first,
                    count,
                    chain_before,
                    batch,
                } => {
                    let own = self.applier.position();
                    let extends = epoch >= own.epoch
                        && Some(first) == own.seq.checked_add(1)
                        && chain_before == own.chain;
                    if !extends {
                        return Err(Parted::Unfit(format!(
                            "a batch from {first} on does not extend {own}"
                        )));
                    }
                    let bytes = batch.len();
                    let at = match self.applier.apply(batch) {
                        Ok(at) => at,
                        Err(store::Error::Unfit { why }) => return Err(Parted::Unfit(why)),
                        Err(error) => return Err(Parted::Store(error)),
                    };
                    debug_assert_eq!(at.seq - own.seq, u64::from(count), "the commit was checked");
                    stream.unsynced.get_or_insert_with(Instant::now);
                    stream.unsynced_bytes += bytes;
                    self.progress.applied(at.seq, Instant::now());
                }
            }
        }
    }

    /// The primary takes this store for one of its own past.
    fn begin(&mut self, primary: Position) -> Result<(), Parted> {
        let own = self.applier.position();
        let source = &self.options.source.primary;
        if !std::mem::replace(&mut self.is_noted, true) {
            follow(&self.store, source).map_err(Parted::Store)?;
            self.is_copy = true;
        }
        self.was_refused_as_late = false;
        self.options.failed_copies = 0;
        tracing::info!("following {source} from {own}; it is at {primary}");
        self.options.meters.began();
        self.progress.connected();
        self.progress.heard(primary.seq, Instant::now());
        Ok(())
    }

    fn sync(&mut self, stream: &mut Arriving) -> Result<(), Parted> {
        let at = self.applier.sync().map_err(Parted::Store)?;
        stream.unsynced = None;
        stream.unsynced_bytes = 0;
        if let Some(hello) = stream.hello {
            stream.acks.send_replace(Some((hello.session, at.seq)));
        }
        Ok(())
    }
}

/// A stream as it comes in.
struct Arriving {
    body: Incoming,
    decoder: Decoder,
    /// When anything was last heard.
    heard: Instant,
    /// Since when there is something that is not durable.
    unsynced: Option<Instant>,
    unsynced_bytes: usize,
    hello: Option<Hello>,
    /// The stream's name, and up to which row it is durable here.
    acks: watch::Sender<Option<(u64, u64)>>,
    kept: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Hello {
    session: u64,
    waits: bool,
}

impl Arriving {
    fn waits(&self) -> bool {
        self.hello.is_some_and(|hello| hello.waits)
    }

    /// Keeps the copy's own logs within their bound, now and then.
    fn keep_order(&mut self, store: &Store, wal_keep_size: u64) {
        if self.kept.elapsed() >= KEEP_PERIOD {
            self.kept = Instant::now();
            if let Err(error) = trim_kept_logs(store, wal_keep_size) {
                tracing::warn!("old logs are kept for now: {error}");
            }
        }
    }
}
