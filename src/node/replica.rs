//! `reviewsd serve --follow`: a copy from nothing, from where it was, or anew.
//!
//! Invariants: what is served is some state of the primary; a store that may not be one is not
//! served; a store that may hold what is nowhere else is never removed.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep as sleep_for;

use super::admin_port::NodeRole;
use super::{
    Error, FAILED_DRAIN_TIME_MAX, FAILURE, LAST_READS_TIME_MAX, NodeParts, Opened, SUCCESS,
    Signals, StoreParts, UnexpectedEnd, announce_admin, clock, full, runtime, supervisor, wiring,
};
use crate::api::{Admin, Backend, Generations, Health, Operator};
use crate::net::{Idle, ServerHandle};
use crate::replication::{
    Fetched, Primary, PrimaryAddress, Replica, ReplicaExit, ReplicaMeters, ReplicaOptions,
    ReplicaProgress, fetch,
};
use crate::signals::TerminationSignals;
use crate::store;
use crate::store::adopt;
use crate::store::{
    Applier, Fallback, FetchedStore, Heartbeat, OldStore, OpenOptions, Store, bootstrap_dir,
    has_store,
};

/// The time for which the last reads of a store may keep the next one from being opened.
const LET_GO_TIME_MAX: Duration = Duration::from_secs(10);
/// The period at which a store that is not served yet is asked why.
const HELD_PERIOD: Duration = Duration::from_secs(1);
const LET_GO_PERIOD: Duration = Duration::from_millis(50);
/// The time for requests under way when another store takes the place of this one.
const SWAP_DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// A copy, whichever store it has.
struct ReplicaRunner {
    node: NodeParts,
    source: PrimaryAddress,
    /// New copies in a row that were not followed from yet.
    failed_copies: u32,
    meters: Arc<ReplicaMeters>,
}

/// Follows until it is asked to end, or its disk fails.
pub(super) fn run(node: NodeParts, primary: &str) -> Result<u8, Error> {
    let source = wiring::source(node.config(), primary, &node.tls)?;
    let is_new = !has_store(&node.data).map_err(Error::Store)?;
    let mut follower = ReplicaRunner {
        node,
        source,
        failed_copies: 0,
        meters: Arc::default(),
    };
    // A new replica takes any store.
    let mut missing = is_new.then_some(None);
    loop {
        if let Some(wanted) = missing.take() {
            match follower.bootstrap(wanted)? {
                Ok(Some(fetched)) => follower.adopt(&fetched, OldStore::Diverged)?,
                // What is here is compared with what the primary has now.
                Ok(None) => {}
                Err(code) => return Ok(code),
            }
        }
        match follower.follow()? {
            FollowEnd::Asked(code) => return Ok(code),
            FollowEnd::Fetched(fetched) => follower.adopt(&fetched, OldStore::Contained)?,
            FollowEnd::Astray { wanted } => missing = Some(Some(wanted)),
        }
    }
}

/// Why a store is followed from no more.
enum FollowEnd {
    /// By a signal.
    Asked(u8),
    /// A newer one is there.
    Fetched(Fetched),
    /// It is no state of the primary, and may hold what is nowhere else.
    Astray {
        /// The id of the store that it is given up for.
        wanted: u128,
    },
}

impl ReplicaRunner {
    /// Fetches a store while only the operator's port answers; or gives the code to end with.
    fn bootstrap(&mut self, wanted: Option<u128>) -> Result<Result<Option<Fetched>, u8>, Error> {
        let runtime = runtime().map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let told = Arc::clone(&health);
        let (source, bootstrap) = (self.source.clone(), bootstrap_dir(&self.node.data));
        let spool = self.node.config().replica.spool.0;
        let (failed_copies, meters) = (self.failed_copies, Arc::clone(&self.meters));
        let fetched = async move {
            let mut said = |why: &str| told.set_unready(why.to_owned());
            fetch(
                &source,
                &bootstrap,
                spool,
                failed_copies,
                wanted,
                &meters,
                &mut said,
            )
            .await
        };
        let fetched = runtime.block_on(self.unserved(health, fetched));
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        fetched
    }

    /// Answers on the operator's port only, until `work` is done, or a signal ends it.
    async fn unserved<T>(
        &mut self,
        health: Arc<Health>,
        work: impl Future<Output = T>,
    ) -> Result<Result<T, u8>, Error> {
        let mut ends = TerminationSignals::listen().map_err(Error::Runtime)?;
        let place = self.node.operator()?;
        let (address, listener) = (place.address(), place.listener());
        let mut metrics = self.node.registry();
        let (told, meters) = (Arc::clone(&health), Arc::clone(&self.meters));
        metrics.add(move |page| told.describe(page));
        metrics.add(move |page| meters.describe(page));
        let admin = Arc::new(Admin::new(health, self.node.host_names(), metrics));
        let listener = listener.map_err(Error::Runtime)?.secured(&self.node.tls);
        // Nothing is reloaded before there is something to serve.
        let (_, limits) = self.node.settings_in_force.limits();
        let operator = ServerHandle::open(listener, limits, move |request, _| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(request).await }
        });
        let admin = self.node.admin_url(address);
        announce_admin(&admin);
        self.node.supervisor.waiting(&admin);
        if let Some(watch) = self.node.supervisor.watch(Heartbeat::resting()) {
            tokio::spawn(watch);
        }
        let done = tokio::select! {
            done = work => Ok(done),
            asked = ends.next() => {
                tracing::info!("{}: ended", asked.name());
                Err(SUCCESS)
            }
        };
        if done.is_err() {
            self.node.operator = None;
            self.node.supervisor.ending();
        }
        operator.close(Idle::End).await;
        Ok(done)
    }

    /// Makes a store that was fetched the one that counts.
    fn adopt(&mut self, fetched: &Fetched, before: OldStore) -> Result<(), Error> {
        let copy = FetchedStore {
            dir: &fetched.dir,
            primary: &self.source.primary,
        };
        let begun = Instant::now();
        let kept = loop {
            match adopt(&self.node.data, copy, before) {
                // The last reads of the store before may not be over.
                Err(store::Error::InUse { .. }) if begun.elapsed() < LET_GO_TIME_MAX => {
                    sleep(LET_GO_PERIOD);
                }
                done => break done.map_err(Error::Store)?,
            }
        };
        self.failed_copies = self.failed_copies.saturating_add(1);
        tracing::warn!(
            "the fetched store at {} replaces the old one",
            fetched.position
        );
        if let Some(kept) = kept {
            tracing::warn!("the old store is in {}", kept.display());
        }
        Ok(())
    }

    /// Serves the store that is there, and follows.
    fn follow(&mut self) -> Result<FollowEnd, Error> {
        let open_options = OpenOptions {
            memory: self.node.store_bytes,
            // It may be a primary one day, with copies that are behind it.
            log_keep_time: Some(self.node.config().replication.wal_keep_time.into()),
            as_copy: true,
            accept_loss: self.node.accept_loss,
            fallback: Fallback::ReadWhenFull,
        };
        let runtime = runtime().map_err(Error::Runtime)?;
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let store = match self.node.open(&runtime, &mut signals, open_options)? {
            Opened::Store(store) => store,
            Opened::Ended(code) => {
                runtime.shutdown_timeout(LAST_READS_TIME_MAX);
                return Ok(FollowEnd::Asked(code));
            }
        };
        let is_copy = store.follows().map_err(Error::Store)?.is_some();
        let generations = Arc::new(Generations::default());
        if let Some(full) = store.full() {
            if !is_copy {
                return Err(Error::Uncompared(full.why));
            }
            let at = store.feed().applied().borrow().seq;
            let progress = ReplicaProgress::ended(at, Instant::now(), full.why.to_string());
            let progress = Arc::new(progress);
            self.meters.follow(Arc::clone(&progress));
            let served = self.served(store, generations, progress, Heartbeat::resting())?;
            let ended = runtime.block_on(self.serve_full(served, signals));
            runtime.shutdown_timeout(LAST_READS_TIME_MAX);
            return ended;
        }
        let admin = self.node.operator()?.address();
        let admin = self.node.admin_url(admin);
        let config = self.node.config();
        let changed = Arc::clone(&generations);
        let applier = Applier::resume(store.clone(), move |product| changed.begin(product));
        let options = ReplicaOptions {
            source: self.source.clone(),
            data: self.node.data.clone(),
            admin,
            spool_bytes: config.replica.spool.0,
            wal_keep_size: config.replication.wal_keep_size.0,
            failed_copies: self.failed_copies,
            meters: Arc::clone(&self.meters),
        };
        let applier = applier.map_err(Error::Store)?;
        let heartbeat = applier.heartbeat();
        let (replica, needs) =
            Replica::start(store.clone(), applier, is_copy, options).map_err(Error::Runtime)?;
        let served = self.served(store, generations, replica.progress(), heartbeat)?;
        let ended = runtime.block_on(self.serve(served, signals, &replica, needs, is_copy));
        drop(replica);
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        ended
    }

    /// Returns the parts that serve a store that follows, or did.
    fn served(
        &self,
        store: Store,
        generations: Arc<Generations>,
        progress: Arc<ReplicaProgress>,
        heartbeat: Heartbeat,
    ) -> Result<StoreParts, Error> {
        let config = self.node.config();
        let primary: Arc<str> = self.source.primary.as_str().into();
        let role = wiring::copy_role(config, &primary, &self.node.tls)?;
        let options = wiring::backup_options(config, &self.source.token)?;
        let backups = Primary::start(store.clone(), options).map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let (lag_max, told) = (config.replica.lag_max.into(), Arc::clone(&progress));
        health.add_check(move || told.unready(lag_max, Instant::now()));
        let operator = Operator::of_replica(store.clone(), Arc::clone(&primary));
        Ok(StoreParts {
            part: NodeRole::Replica(
                Arc::clone(&primary),
                progress,
                Arc::clone(&self.meters),
                Arc::new(backups),
            ),
            backend: Backend {
                store,
                role,
                generations,
                health,
                clock: clock(),
            },
            meters: None,
            operator,
            heartbeat,
        })
    }

    /// Serves a store that cannot be written to for want of space, and follows nobody.
    async fn serve_full(
        &mut self,
        served: StoreParts,
        signals: Signals,
    ) -> Result<FollowEnd, Error> {
        let stop = full::over(served.backend.store.clone(), 0);
        match self.node.serve(served, signals, stop).await? {
            Some(code) => Ok(FollowEnd::Asked(code)),
            None => Err(Error::SpaceAgain),
        }
    }

    async fn serve(
        &mut self,
        served: StoreParts,
        signals: Signals,
        replica: &Replica,
        mut needs: oneshot::Receiver<ReplicaExit>,
        is_copy: bool,
    ) -> Result<FollowEnd, Error> {
        let (mut need, mut is_space_again) = (None, false);
        if !is_copy {
            // It was a primary, so it may hold what no primary holds any more.
            let health = Arc::clone(&served.backend.health);
            let primary = &self.source.primary;
            let why = format!("the store was a primary's, and is being compared with {primary}");
            tracing::info!("{why}; it is served once the primary has the same commits");
            health.set_unready(why);
            let progress = replica.progress();
            let told_health = Arc::clone(&health);
            let first = async {
                loop {
                    tokio::select! {
                        told = &mut needs => break Some(told.unwrap_or(ReplicaExit::Nothing)),
                        () = progress.begun() => break None,
                        () = sleep_for(HELD_PERIOD) => {
                            if let Some(held) = progress.held() {
                                told_health.set_unready(held);
                            }
                        }
                    }
                }
            };
            match self.unserved(health, first).await? {
                Ok(told) => need = told,
                Err(code) => return Ok(FollowEnd::Asked(code)),
            }
        }
        if need.is_none() {
            let store = served.backend.store.clone();
            let stop = async {
                let told = needs.await.unwrap_or(ReplicaExit::Nothing);
                if matches!(told, ReplicaExit::Restart(_)) && store.full().is_some() {
                    is_space_again = true;
                    return full::over(store, 0).await;
                }
                let keeps_public = matches!(told, ReplicaExit::Adopt(_));
                let drain_time_max = match told {
                    ReplicaExit::Restart(_) => FAILED_DRAIN_TIME_MAX,
                    _ => SWAP_DRAIN_TIME_MAX,
                };
                need = Some(told);
                UnexpectedEnd {
                    drain_time_max,
                    keeps_public,
                }
            };
            if let Some(code) = self.node.serve(served, signals, stop).await? {
                return Ok(FollowEnd::Asked(code));
            }
            if is_space_again {
                return Err(Error::SpaceAgain);
            }
        }
        if replica.progress().streams() > 0 {
            self.failed_copies = 0;
        }
        match need {
            Some(ReplicaExit::Adopt(fetched)) => Ok(FollowEnd::Fetched(fetched)),
            Some(ReplicaExit::Fetch { wanted }) => {
                if !self.node.supervisor.lasts(supervisor::PUBLIC) {
                    self.node.public = None;
                }
                Ok(FollowEnd::Astray { wanted })
            }
            Some(ReplicaExit::Restart(error)) => {
                tracing::error!(
                    "the replica's store cannot be written, so the server stops: {error}"
                );
                Err(Error::WriteFailed)
            }
            // Only a thread that is gone without a word brings it here.
            Some(ReplicaExit::Nothing) | None => {
                tracing::error!("the replica stopped following, so the server stops");
                Ok(FollowEnd::Asked(FAILURE))
            }
        }
    }
}
