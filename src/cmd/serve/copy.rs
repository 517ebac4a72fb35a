//! `reviewsd serve --follow`: a copy from nothing, from where it was, or anew.
//!
//! Invariants: what is served is some state of the primary; a store that may not be one is not
//! served; a store that may hold what is nowhere else is never removed.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep as sleep_for;

use super::admin_port::Part;
use super::{
    Error, FAILED_DRAIN_TIME_MAX, FAILURE, House, LAST_READS_TIME_MAX, Opened, SUCCESS, Served,
    Signals, Stop, announce_admin, choices, clock, full, runtime, supervisor,
};
use crate::api::{Admin, Backend, Generations, Health, Operator};
use crate::net::{Door, Idle};
use crate::replication::{
    Fetched, Need, Primary, Progress, Replica, ReplicaMeters, ReplicaOptions, Source, fetch,
};
use crate::signals::Ends;
use crate::store::{
    self, Applier, Arrival, Before, Fallback, Opening, Pulse, Store, adopt, bootstrap_dir,
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
struct Follower {
    house: House,
    source: Source,
    /// New copies in a row that were not followed from yet.
    failed_copies: u32,
    meters: Arc<ReplicaMeters>,
}

/// Follows until it is asked to end, or its disk fails.
pub(super) fn run(house: House, primary: &str) -> Result<u8, Error> {
    let source = choices::source(house.config(), primary, &house.tls)?;
    let is_new = !has_store(&house.data).map_err(Error::Store)?;
    let mut follower = Follower {
        house,
        source,
        failed_copies: 0,
        meters: Arc::default(),
    };
    // A new replica takes any store.
    let mut missing = is_new.then_some(None);
    loop {
        if let Some(wanted) = missing.take() {
            match follower.bootstrap(wanted)? {
                Ok(Some(fetched)) => follower.adopt(&fetched, Before::Diverged)?,
                // What is here is compared with what the primary has now.
                Ok(None) => {}
                Err(code) => return Ok(code),
            }
        }
        match follower.follow()? {
            Ended::Asked(code) => return Ok(code),
            Ended::Fetched(fetched) => follower.adopt(&fetched, Before::Contained)?,
            Ended::Astray { wanted } => missing = Some(Some(wanted)),
        }
    }
}

/// Why a store is followed from no more.
enum Ended {
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

impl Follower {
    /// Fetches a store while only the operator's port answers; or gives the code to end with.
    fn bootstrap(&mut self, wanted: Option<u128>) -> Result<Result<Option<Fetched>, u8>, Error> {
        let runtime = runtime().map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let told = Arc::clone(&health);
        let (source, bootstrap) = (self.source.clone(), bootstrap_dir(&self.house.data));
        let spool = self.house.config().replica.spool.0;
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
        let mut ends = Ends::listen().map_err(Error::Runtime)?;
        let place = self.house.operator()?;
        let (address, listener) = (place.address(), place.listener());
        let mut metrics = self.house.registry();
        let (told, meters) = (Arc::clone(&health), Arc::clone(&self.meters));
        metrics.add(move |page| told.describe(page));
        metrics.add(move |page| meters.describe(page));
        let admin = Arc::new(Admin::new(health, self.house.host_names(), metrics));
        let listener = listener.map_err(Error::Runtime)?.secured(&self.house.tls);
        // Nothing is reloaded before there is something to serve.
        let (_, limits) = self.house.choice.limits();
        let operator = Door::open(listener, limits, move |request, _| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(request).await }
        });
        let admin = self.house.admin_url(address);
        announce_admin(&admin);
        self.house.supervisor.waiting(&admin);
        if let Some(watch) = self.house.supervisor.watch(Pulse::resting()) {
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
            self.house.operator = None;
            self.house.supervisor.ending();
        }
        operator.close(Idle::End).await;
        Ok(done)
    }

    /// Makes a store that was fetched the one that counts.
    fn adopt(&mut self, fetched: &Fetched, before: Before) -> Result<(), Error> {
        let copy = Arrival {
            dir: &fetched.dir,
            primary: &self.source.primary,
        };
        let begun = Instant::now();
        let kept = loop {
            match adopt(&self.house.data, copy, before) {
                // The last reads of the store before may not be over.
                Err(store::Error::InUse { .. }) if begun.elapsed() < LET_GO_TIME_MAX => {
                    sleep(LET_GO_PERIOD);
                }
                done => break done.map_err(Error::Store)?,
            }
        };
        self.failed_copies = self.failed_copies.saturating_add(1);
        tracing::warn!(
            "the copy at {} takes the place of the store that was here",
            fetched.position
        );
        if let Some(kept) = kept {
            tracing::warn!("that store is kept in {}", kept.display());
        }
        Ok(())
    }

    /// Serves the store that is there, and follows.
    fn follow(&mut self) -> Result<Ended, Error> {
        let opening = Opening {
            memory: self.house.store_bytes,
            // It may be a primary one day, with copies that are behind it.
            log_keep_time: Some(self.house.config().replication.wal_keep_time.into()),
            as_copy: true,
            accept_loss: self.house.accept_loss,
            fallback: Fallback::ReadWhenFull,
        };
        let runtime = runtime().map_err(Error::Runtime)?;
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let store = match self.house.open(&runtime, &mut signals, opening)? {
            Opened::Store(store) => store,
            Opened::Ended(code) => {
                runtime.shutdown_timeout(LAST_READS_TIME_MAX);
                return Ok(Ended::Asked(code));
            }
        };
        let is_copy = store.follows().map_err(Error::Store)?.is_some();
        let generations = Arc::new(Generations::default());
        if let Some(full) = store.full() {
            if !is_copy {
                return Err(Error::Uncompared(full.why));
            }
            let at = store.feed().applied().borrow().seq;
            let progress = Progress::ended(at, Instant::now(), full.why.to_string());
            let progress = Arc::new(progress);
            self.meters.follow(Arc::clone(&progress));
            let served = self.served(store, generations, progress, Pulse::resting())?;
            let ended = runtime.block_on(self.serve_full(served, signals));
            runtime.shutdown_timeout(LAST_READS_TIME_MAX);
            return ended;
        }
        let admin = self.house.operator()?.address();
        let admin = self.house.admin_url(admin);
        let config = self.house.config();
        let changed = Arc::clone(&generations);
        let applier = Applier::resume(store.clone(), move |product| changed.begin(product));
        let options = ReplicaOptions {
            source: self.source.clone(),
            data: self.house.data.clone(),
            admin,
            spool_bytes: config.replica.spool.0,
            wal_keep_size: config.replication.wal_keep_size.0,
            failed_copies: self.failed_copies,
            meters: Arc::clone(&self.meters),
        };
        let applier = applier.map_err(Error::Store)?;
        let pulse = applier.pulse();
        let (replica, needs) =
            Replica::start(store.clone(), applier, is_copy, options).map_err(Error::Runtime)?;
        let served = self.served(store, generations, replica.progress(), pulse)?;
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
        progress: Arc<Progress>,
        pulse: Pulse,
    ) -> Result<Served, Error> {
        let config = self.house.config();
        let primary: Arc<str> = self.source.primary.as_str().into();
        let role = choices::copy_role(config, &primary, &self.house.tls)?;
        let options = choices::backup_options(config, &self.source.token)?;
        let backups = Primary::start(store.clone(), options).map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let (lag_max, told) = (config.replica.lag_max.into(), Arc::clone(&progress));
        health.add_check(move || told.unready(lag_max, Instant::now()));
        let operator = Operator::of_replica(store.clone(), Arc::clone(&primary));
        Ok(Served {
            part: Part::Replica(
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
            pulse,
        })
    }

    /// Serves a store that cannot be written to for want of space, and follows nobody.
    async fn serve_full(&mut self, served: Served, signals: Signals) -> Result<Ended, Error> {
        let stop = full::over(served.backend.store.clone(), 0);
        match self.house.serve(served, signals, stop).await? {
            Some(code) => Ok(Ended::Asked(code)),
            None => Err(Error::SpaceAgain),
        }
    }

    async fn serve(
        &mut self,
        served: Served,
        signals: Signals,
        replica: &Replica,
        mut needs: oneshot::Receiver<Need>,
        is_copy: bool,
    ) -> Result<Ended, Error> {
        let (mut need, mut is_space_again) = (None, false);
        if !is_copy {
            // It was a primary, so it may hold what no primary holds any more.
            let health = Arc::clone(&served.backend.health);
            let primary = &self.source.primary;
            let why = format!("the store was a primary's, and is being compared with {primary}");
            tracing::info!("{why}; it is served once that has what it has");
            health.set_unready(why);
            let progress = replica.progress();
            let told_health = Arc::clone(&health);
            let first = async {
                loop {
                    tokio::select! {
                        told = &mut needs => break Some(told.unwrap_or(Need::Nothing)),
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
                Err(code) => return Ok(Ended::Asked(code)),
            }
        }
        if need.is_none() {
            let store = served.backend.store.clone();
            let stop = async {
                let told = needs.await.unwrap_or(Need::Nothing);
                if matches!(told, Need::Restart(_)) && store.full().is_some() {
                    is_space_again = true;
                    return full::over(store, 0).await;
                }
                let keeps_public = matches!(told, Need::Adopt(_));
                let drain_time_max = match told {
                    Need::Restart(_) => FAILED_DRAIN_TIME_MAX,
                    _ => SWAP_DRAIN_TIME_MAX,
                };
                need = Some(told);
                Stop {
                    drain_time_max,
                    keeps_public,
                }
            };
            if let Some(code) = self.house.serve(served, signals, stop).await? {
                return Ok(Ended::Asked(code));
            }
            if is_space_again {
                return Err(Error::SpaceAgain);
            }
        }
        if replica.progress().streams() > 0 {
            self.failed_copies = 0;
        }
        match need {
            Some(Need::Adopt(fetched)) => Ok(Ended::Fetched(fetched)),
            Some(Need::Fetch { wanted }) => {
                if !self.house.supervisor.lasts(supervisor::PUBLIC) {
                    self.house.public = None;
                }
                Ok(Ended::Astray { wanted })
            }
            Some(Need::Restart(error)) => {
                tracing::error!("the copy cannot be written to, so the server ends: {error}");
                Err(Error::WriteFailed)
            }
            // Only a thread that is gone without a word brings it here.
            Some(Need::Nothing) | None => {
                tracing::error!("the copy follows no more, so the server ends");
                Ok(Ended::Asked(FAILURE))
            }
        }
    }
}
