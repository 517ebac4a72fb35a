//! A node that follows a primary: from an empty directory, from its last position, or anew.
//!
//! Invariants: a served store is some state of the primary; a store that may not be one is not served; a store
//! that may hold data that no other store has is retained as a diverged store, which only the configured rule
//! removes.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::sleep as sleep_for;

use super::admin_port::Followed;
use super::listeners::{ServedParts, clock};
use super::worker::StoreWorker;
use super::{
    Error, Interruptible, LAST_READS_TIME_MAX, Node, NodeEnd, StopReason, StoreRole, primary,
    runtime,
};
use crate::api::{Backend, Forward, Generations, Health, Operator, Role};
use crate::config::Config;
use crate::net::{Dialer, Tls, Upstream};
use crate::replication::{
    Fetched, Primary, PrimaryAddress, PrimaryOptions, Replica, ReplicaExit, ReplicaMeters,
    ReplicaOptions, ReplicaProgress, Token, fetch,
};
use crate::store::{
    self, Applier, Fallback, FetchedStore, Heartbeat, OldStore, OpenOptions, Store, adopt,
    bootstrap_dir, has_store,
};

/// The time for which the last reads of a store may delay the opening of the next one.
const LET_GO_TIME_MAX: Duration = Duration::from_secs(10);
const LET_GO_PERIOD: Duration = Duration::from_millis(50);
/// The period at which the reason is read why a store is not served yet.
const HELD_PERIOD: Duration = Duration::from_secs(1);

/// Follows until it is asked to end, or its disk fails.
pub(super) fn run(node: &mut Node, primary: &str) -> Result<NodeEnd, Error> {
    let mut role = ReplicaRole {
        source: source(node.config(), primary, &node.tls)?,
        failed_copies: 0,
        meters: Arc::default(),
        progress: None,
    };
    let is_new = !has_store(&node.data).map_err(Error::Store)?;
    // A new replica takes any store.
    let mut missing = is_new.then_some(None);
    loop {
        if let Some(wanted) = missing.take() {
            match role.bootstrap(node, wanted)? {
                Ok(Some(fetched)) => role.adopt(node, &fetched, OldStore::Diverged)?,
                // The store here is compared with the primary's current one.
                Ok(None) => {}
                Err(stopped) => return stopped.ended(),
            }
        }
        let stopped = node.serve_store(&mut role)?;
        if role
            .progress
            .take()
            .is_some_and(|progress| progress.streams() > 0)
        {
            role.failed_copies = 0;
        }
        match stopped {
            // It is a later state of the store here.
            StopReason::Replica(ReplicaExit::Adopt(fetched)) => {
                role.adopt(node, &fetched, OldStore::Contained)?;
            }
            // The store is no state of the primary, and may hold data that no other store has.
            StopReason::Replica(ReplicaExit::Fetch { wanted }) => missing = Some(Some(wanted)),
            stopped => return stopped.ended(),
        }
    }
}

/// The role of a node that follows, whichever store it has.
struct ReplicaRole {
    source: PrimaryAddress,
    /// New stores in a row from which no commit was followed yet.
    failed_copies: u32,
    meters: Arc<ReplicaMeters>,
    /// The progress of the store here.
    progress: Option<Arc<ReplicaProgress>>,
}

impl ReplicaRole {
    /// Fetches a store while only the admin port answers.
    fn bootstrap(&self, node: &mut Node, wanted: Option<u128>) -> Interruptible<Option<Fetched>> {
        let runtime = runtime().map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let mut report = {
            let health = Arc::clone(&health);
            move |why: &str| health.set_unready(why.to_owned())
        };
        let bootstrap = bootstrap_dir(&node.data);
        let spool = node.config().replica.spool.0;
        let fetched = fetch(
            &self.source,
            &bootstrap,
            spool,
            self.failed_copies,
            wanted,
            &self.meters,
            &mut report,
        );
        let fetched = runtime.block_on(node.while_unserved(health, &self.meters, fetched));
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        fetched
    }

    /// Makes a store that was fetched the one that counts.
    fn adopt(&mut self, node: &Node, fetched: &Fetched, before: OldStore) -> Result<(), Error> {
        let copy = FetchedStore {
            dir: &fetched.dir,
            primary: &self.source.primary,
        };
        let begun = Instant::now();
        let kept = loop {
            match adopt(&node.data, copy, before) {
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

    /// Returns the parts that serve a store that follows, or did.
    fn served(
        &self,
        node: &Node,
        store: Store,
        generations: Arc<Generations>,
        progress: Arc<ReplicaProgress>,
        heartbeat: Heartbeat,
    ) -> Result<ServedParts, Error> {
        let config = node.config();
        let url: Arc<str> = self.source.primary.as_str().into();
        let options = backup_options(node, &self.source.token)?;
        let primary = Primary::start(store.clone(), options).map_err(Error::Runtime)?;
        let health = Arc::new(Health::default());
        let (lag_max, checked) = (config.replica.lag_max.into(), Arc::clone(&progress));
        health.add_check(move || checked.unready(lag_max, Instant::now()));
        let (mut metrics, meters) = (node.registry(), Arc::clone(&self.meters));
        metrics.add(move |page| meters.describe(page));
        Ok(ServedParts {
            operator: Operator::of_replica(store.clone(), Arc::clone(&url)),
            backend: Backend {
                store,
                role: role(config, &url, &node.tls)?,
                generations,
                health,
                clock: clock(),
            },
            primary: Arc::new(primary),
            followed: Some(Followed { url, progress }),
            metrics,
            heartbeat,
        })
    }

    /// Waits until a store that was a primary's has all that the primary has, or is known to be none of its
    /// states: it may hold data that no primary holds any more.
    async fn compared(
        &self,
        node: &mut Node,
        health: Arc<Health>,
        progress: &ReplicaProgress,
        exit: &mut oneshot::Receiver<ReplicaExit>,
    ) -> Interruptible<()> {
        let primary = &self.source.primary;
        let why = format!("the store was a primary's, and is being compared with {primary}");
        tracing::info!("{why}; it is served once the primary has the same commits");
        health.set_unready(why);
        let told = Arc::clone(&health);
        let compared = async {
            loop {
                tokio::select! {
                    exit = &mut *exit => {
                        break Err(StopReason::Replica(exit.unwrap_or(ReplicaExit::Nothing)));
                    }
                    () = progress.begun() => break Ok(()),
                    () = sleep_for(HELD_PERIOD) => {
                        if let Some(held) = progress.held() {
                            told.set_unready(held);
                        }
                    }
                }
            }
        };
        let compared = node.while_unserved(health, &self.meters, compared).await?;
        Ok(compared.flatten())
    }
}

impl StoreRole for &mut ReplicaRole {
    fn open_options(&self, node: &Node) -> OpenOptions {
        OpenOptions {
            memory: node.store_bytes,
            // It may be a primary one day, with replicas that are behind it.
            log_keep_time: Some(node.config().replication.wal_keep_time.into()),
            as_copy: true,
            accept_loss: node.accept_loss,
            fallback: Fallback::ReadWhenFull,
        }
    }

    fn start(
        self,
        node: &mut Node,
        runtime: &Runtime,
        store: Store,
    ) -> Interruptible<(ServedParts, StoreWorker)> {
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
            let parts = self.served(node, store, generations, progress, Heartbeat::resting())?;
            return Ok(Ok((parts, StoreWorker::None)));
        }
        let admin = node.hold_admin()?.address();
        let config = node.config();
        let options = ReplicaOptions {
            source: self.source.clone(),
            data: node.data.clone(),
            admin: node.admin_url(admin),
            spool_bytes: config.replica.spool.0,
            wal_keep_size: config.replication.wal_keep_size.0,
            failed_copies: self.failed_copies,
            meters: Arc::clone(&self.meters),
        };
        let changed = Arc::clone(&generations);
        let applier = Applier::resume(store.clone(), move |product| changed.begin(product));
        let applier = applier.map_err(Error::Store)?;
        let heartbeat = applier.heartbeat();
        let (replica, mut exit) =
            Replica::start(store.clone(), applier, is_copy, options).map_err(Error::Runtime)?;
        let progress = replica.progress();
        self.progress = Some(Arc::clone(&progress));
        let parts = self.served(node, store, generations, Arc::clone(&progress), heartbeat)?;
        if !is_copy {
            let health = Arc::clone(&parts.backend.health);
            let compared = self.compared(node, health, &progress, &mut exit);
            if let Err(stopped) = runtime.block_on(compared)? {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok((parts, StoreWorker::Follower { replica, exit })))
    }
}

/// Returns the primary that a replica follows.
fn source(config: &Config, primary: &str, tls: &Arc<Tls>) -> Result<PrimaryAddress, Error> {
    let token_file = config.replica.token_file.as_ref();
    let token_file = token_file.or(config.replication.token_file.as_ref());
    let token_file = token_file.ok_or(Error::NoToken)?;
    Ok(PrimaryAddress {
        primary: primary.to_owned(),
        dialer: dialer(primary, tls)?,
        token: Token::read(token_file).map_err(Error::Token)?,
    })
}

fn dialer(url: &str, tls: &Arc<Tls>) -> Result<Dialer, Error> {
    Dialer::new(url, tls).ok_or_else(|| Error::Address(url.to_owned()))
}

/// Returns how a replica serves backups: with its own token, or the one that it follows with.
fn backup_options(node: &Node, followed: &Token) -> Result<PrimaryOptions, Error> {
    let options = primary::options(node)?;
    Ok(PrimaryOptions {
        token: options.token.or_else(|| Some(followed.clone())),
        waits: false,
        is_replica: true,
        ..options
    })
}

/// Returns the role of a replica, which decides how it treats writes.
fn role(config: &Config, followed: &str, tls: &Arc<Tls>) -> Result<Role, Error> {
    let replica = &config.replica;
    let primary = replica.primary.as_deref().unwrap_or(followed);
    if !replica.forward_writes {
        return Ok(Role::Replica(primary.into()));
    }
    let upstream = Upstream::new(dialer(primary, tls)?, replica.forward_time_max.into());
    Ok(Role::Forwarding(Forward::to(upstream)))
}
