//! A node: everything that is alive while the process serves, and the order in which it begins and ends.
//!
//! The parts that begin first end last:
//!
//! 1. the log and the settings, which are handed over by `cmd/serve`;
//! 2. systemd's sockets, file descriptors, certificates ([`Node::new`]);
//! 3. for each store ([`Node::serve_store`]; a replica may have one store after the other):
//!    1. the signals;
//!    2. the store ([`store`]);
//!    3. the writer and the primary's side ([`primary`]), or the thread that follows ([`replica`]);
//!    4. the admin port, the public port, and `/readyz` ([`listeners`]).
//!
//! Invariants: it ends with 0 when it was asked to end, however long the shutdown took, and never after
//! a write that failed, unless that was for want of space, so that it went on; changes that the writer accepted
//! are committed before it ends; sockets outlive a store that another one takes the place of.

mod access;
mod admin_port;
mod descriptors;
mod error;
mod listeners;
mod log;
mod primary;
mod replica;
mod settings;
mod store;
mod supervisor;
mod worker;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::api;
use crate::config::{self, Config, ResolvedConfig, Sources};
use crate::metrics::ProcessMetrics;
use crate::net::Tls;
use crate::replication::ReplicaExit;
use crate::signals::{ReloadSignals, TerminationSignal, TerminationSignals};
use crate::store::{OpenOptions, Store};

use access::NodeAccess;
use descriptors::Descriptors;
pub use error::Error;
use listeners::{Addresses, ServedParts};
pub(crate) use log::Log;
use settings::SettingsInForce;
pub(crate) use settings::tls_files;
use supervisor::Supervisor;
use worker::StoreWorker;

/// The share of the store in the memory, as one part in so many; the rest is for answers and bodies.
const STORE_SHARE: u64 = 6;
/// The time for which abandoned reads may hold up the end.
const LAST_READS_TIME_MAX: Duration = Duration::from_secs(1);
/// The time, once the process ends by itself, for clients to get a last answer.
const FAILED_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// The time for requests under way when another store takes the place of this one.
const SWAP_DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Threads for blocking work other than reads: checkpoints, logs for replicas, the page of metrics.
const OTHER_BLOCKING_MAX: usize = 4;

/// The choices that a node begins with.
pub(crate) struct NodeOptions {
    pub(crate) sources: Sources,
    pub(crate) settled: ResolvedConfig,
    pub(crate) log: Log,
    /// True if a store is opened that lacks acknowledged writes.
    pub(crate) accept_loss: bool,
    /// True if the operator declares the writes of this store to be the ones that count from now on.
    pub(crate) begins_anew: bool,
}

/// A node, and its state that outlives a store.
pub(crate) struct Node {
    settings: SettingsInForce,
    data: PathBuf,
    /// The part of the memory that is the store's.
    store_bytes: u64,
    accept_loss: bool,
    begins_anew: bool,
    process: Arc<ProcessMetrics>,
    tls: Arc<Tls>,
    descriptors: Descriptors,
    addresses: Addresses,
    supervisor: Supervisor,
    access: Arc<NodeAccess>,
    /// The last field, so that every part that ends can still log.
    log: Log,
}

/// The end of a node without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeEnd {
    /// Requests under way were answered, within their bounds.
    InOrder,
    /// A second signal cut them off.
    AtOnce(TerminationSignal),
}

impl Node {
    /// Takes over the sockets and signals that the process was started with; serves nothing yet.
    pub(crate) fn new(options: NodeOptions) -> Result<Self, Error> {
        let config = &options.settled.config;
        let memory = config.store.memory.or_else(config::share_of_machine);
        let memory = memory.ok_or(Error::UnknownMemory)?;
        let store_bytes = memory.0 / STORE_SHARE;
        // Before anything else opens files.
        let supervisor = Supervisor::meet().map_err(Error::Passed)?;
        let descriptors = Descriptors::raise()?;
        let tls = Tls::load(tls_files(config)).map_err(Error::Tls)?;
        let access = Arc::new(NodeAccess::new(&config.admin)?);
        if let Some(doubt) = tls.doubt() {
            tracing::warn!("peers will not trust the certificate of this node: {doubt}");
        }
        let data = config.store.data.clone().unwrap_or_default();
        let tls = Arc::new(tls);
        let settings = SettingsInForce::new(
            options.sources,
            options.settled,
            Arc::clone(&tls),
            api::AnswerMemory::within(memory.0 - store_bytes),
        );
        Ok(Self {
            data,
            settings: settings.map_err(Error::Config)?,
            store_bytes,
            accept_loss: options.accept_loss,
            begins_anew: options.begins_anew,
            process: Arc::new(ProcessMetrics::starting_now()),
            tls,
            descriptors,
            addresses: Addresses::default(),
            supervisor,
            access,
            log: options.log,
        })
    }

    /// Serves until it is asked to end, or until an error.
    pub(crate) fn run(mut self) -> Result<NodeEnd, Error> {
        match self.config().replica.follow.clone() {
            Some(_) if self.begins_anew => Err(Error::NewReplica),
            Some(primary) => replica::run(&mut self, &primary),
            None => primary::run(&mut self),
        }
    }

    /// Serves one store until it is asked to end, or the store can be served no longer.
    fn serve_store(&mut self, role: impl StoreRole) -> Result<StopReason, Error> {
        let runtime = runtime().map_err(Error::Runtime)?;
        let mut worker = StoreWorker::None;
        let stopped = self.serve_on(&runtime, role, &mut worker);
        // Reads that were cut off.
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        // The writer commits the changes that it accepted, and the store is closed.
        worker.end()?;
        stopped
    }

    /// Begins everything that serves a store, waits, and ends everything that clients see.
    fn serve_on(
        &mut self,
        runtime: &Runtime,
        role: impl StoreRole,
        worker: &mut StoreWorker,
    ) -> Result<StopReason, Error> {
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let options = role.open_options(self);
        let store = match runtime.block_on(self.open_store(options, &mut signals.ends))? {
            Ok(store) => store,
            Err(stopped) => return Ok(stopped),
        };
        let parts = match role.start(self, runtime, store.clone())? {
            Ok((parts, started)) => {
                *worker = started;
                parts
            }
            Err(stopped) => return Ok(stopped),
        };
        runtime.block_on(async {
            let listeners = self.listen(parts)?;
            let stop = worker.stopped(store);
            let stopped = self.until_stopped(&listeners, stop, &mut signals).await;
            Ok(self.close(listeners, stopped, &mut signals.ends).await)
        })
    }

    /// The configuration in force.
    fn config(&self) -> &Config {
        self.settings.config()
    }
}

/// A primary's part in serving a store, or a replica's.
trait StoreRole {
    /// Returns how the store is opened.
    fn open_options(&self, node: &Node) -> OpenOptions;

    /// Starts the writers of the store, and returns the parts that serve it.
    fn start(
        self,
        node: &mut Node,
        runtime: &Runtime,
        store: Store,
    ) -> Interruptible<(ServedParts, StoreWorker)>;
}

/// The result of a step of the start, which a signal may interrupt.
type Interruptible<T> = Result<Result<T, StopReason>, Error>;

/// The reason why a store is served no longer.
#[derive(Debug)]
enum StopReason {
    /// The process is asked to end.
    Asked,
    /// The process is asked to end again, and waits for nothing.
    AskedAgain(TerminationSignal),
    /// A write failed.
    WriteFailed,
    /// A write failed for want of space, and there is some again.
    SpaceAgain,
    /// The thread that follows the primary is at its end.
    Replica(ReplicaExit),
}

impl StopReason {
    /// True if the process continues with another store.
    fn changes_store(&self) -> bool {
        matches!(
            self,
            Self::Replica(ReplicaExit::Adopt(_) | ReplicaExit::Fetch { .. })
        )
    }

    /// True if the address of the API stays open: a client that connects meanwhile waits for the next store.
    fn keeps_public(&self) -> bool {
        matches!(self, Self::Replica(ReplicaExit::Adopt(_)))
    }

    /// The time for requests under way. The ports have bounds of their own, which count if the end was
    /// requested.
    fn drain_time_max(&self) -> Duration {
        match self {
            Self::Asked | Self::AskedAgain(_) => Duration::MAX,
            Self::Replica(_) if self.changes_store() => SWAP_DRAIN_TIME_MAX,
            Self::WriteFailed | Self::SpaceAgain | Self::Replica(_) => FAILED_DRAIN_TIME_MAX,
        }
    }

    /// Returns the end of the node for this reason.
    fn ended(self) -> Result<NodeEnd, Error> {
        match self {
            Self::Asked => Ok(NodeEnd::InOrder),
            Self::AskedAgain(signal) => Ok(NodeEnd::AtOnce(signal)),
            Self::WriteFailed => Err(Error::WriteFailed),
            Self::SpaceAgain => Err(Error::SpaceAgain),
            Self::Replica(ReplicaExit::Restart(error)) => {
                tracing::error!(
                    "the replica's store cannot be written, so the server stops: {error}"
                );
                Err(Error::WriteFailed)
            }
            Self::Replica(_) => Err(Error::FollowerGone),
        }
    }
}

/// The signals that are taken over from the system before any step that takes long.
struct Signals {
    ends: TerminationSignals,
    reloads: ReloadSignals,
    /// True if a hang-up may be that of an operator's terminal.
    on_terminal: bool,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        Ok(Self {
            ends: TerminationSignals::listen().map_err(Error::Runtime)?,
            reloads: ReloadSignals::listen().map_err(Error::Runtime)?,
            on_terminal: io::stderr().is_terminal(),
        })
    }

    /// True if the terminal that the process was started at is closed, which sends a hang-up, too.
    fn terminal_is_closed(&self) -> bool {
        self.on_terminal && !io::stderr().is_terminal()
    }
}

/// Ends without waiting for work under way.
fn end_at_once(signal: TerminationSignal) -> StopReason {
    tracing::warn!("{}: stopped at once", signal.name());
    StopReason::AskedAgain(signal)
}

/// One thread for every core; with one core, that thread is this one.
fn runtime() -> io::Result<Runtime> {
    let cores = available_parallelism().map_or(1, usize::from);
    let mut builder = if cores == 1 {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    builder
        .worker_threads(cores)
        // The API's reads, and the operator's; the names of the service that is asked about reviews.
        .max_blocking_threads(
            2 * api::BLOCKING_READS_PER_CORE * cores + api::CHECK_CALLS_MAX + OTHER_BLOCKING_MAX,
        )
        .enable_all()
        .build()
}
