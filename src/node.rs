//! A node while it serves: configuration, store, writer or primary to follow, listeners, signals.
//!
//! Invariants: it ends with 0 when it was asked to end, however long the drain took, and never after
//! a write that failed, but where that was for want of space, so that it went on; what the writer took is
//! committed before it ends.

mod admin_port;
mod descriptors;
mod diverged;
mod error;
mod full;
mod listeners;
pub(crate) mod log;
mod replica;
mod settings;
mod supervisor;
mod wiring;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::api::{self, Acks, Backend, Generations, Health, HostNames, Operator, Role};
use crate::config::{self, Config, ResolvedConfig, Sources};
use crate::figures::counted;
use crate::metrics::{Exposition, ProcessMetrics, Registry};
use crate::model::clock::now_ms;
use crate::net::{BoundAddress, Tls};
use crate::replication::{Dial, Primary, PrimaryOptions};
use crate::signals::{ReloadSignals, TerminationSignal, TerminationSignals};
use crate::store::{self, Counters, Fallback, Heartbeat, OpenOptions, Store, StoreMeters, Writer};
use crate::version;

use admin_port::NodeRole;
use descriptors::Descriptors;
pub use error::Error;
use log::{Flush, LevelSwitch};
use settings::SettingsInForce;
use supervisor::Supervisor;
pub(crate) use wiring::tls_files;

/// The exit code of a node that was asked to end.
const SUCCESS: u8 = 0;
/// The exit code of a node that ended by itself.
const FAILURE: u8 = 1;
/// One part in so many of the memory is for rendered answers, the others are the store's. An answer
/// takes a fraction of the block its rows are in, so what is asked for often is kept cheapest so.
const ANSWERS_SHARE: u64 = 2;
/// The time for which abandoned reads may hold up the end.
const LAST_READS_TIME_MAX: Duration = Duration::from_secs(1);
/// The time that the store may take to open before the log says that it does.
const QUICK_OPENING_TIME_MAX: Duration = Duration::from_secs(5);
/// The time, after a failed write, for clients to be told so.
const FAILED_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// Threads for what blocks and is no read: checkpoints, logs for copies, the page of metrics.
const OTHER_BLOCKING_MAX: usize = 4;

/// The choices that a node begins with.
pub(crate) struct NodeOptions {
    pub(crate) sources: Sources,
    pub(crate) settled: ResolvedConfig,
    pub(crate) log: Flush,
    pub(crate) level: LevelSwitch,
    /// True if a store is opened that lacks acknowledged writes.
    pub(crate) accept_loss: bool,
    /// True if the operator says that what the store holds counts.
    pub(crate) begins_anew: bool,
}

/// Serves until it is asked to end; gives the code that the process is to end with.
pub(crate) fn run(options: NodeOptions) -> Result<u8, Error> {
    let config = &options.settled.config;
    let memory = config.store.memory.or_else(config::share_of_machine);
    let memory = memory.ok_or(Error::UnknownMemory)?;
    let primary = config.replica.follow.clone();
    // Before anything else opens files.
    let supervisor = Supervisor::meet().map_err(Error::Passed)?;
    let descriptors = Descriptors::raise()?;
    let tls = Tls::load(tls_files(config)).map_err(Error::Tls)?;
    if let Some(doubt) = tls.doubt() {
        tracing::warn!("peers will not trust the certificate of this node: {doubt}");
    }
    let answer_bytes_max = memory.0 / ANSWERS_SHARE;
    let mut node = NodeParts {
        data: config.store.data.clone().unwrap_or_default(),
        settings_in_force: SettingsInForce {
            connections_max: config.net.connections_max,
            sources: options.sources,
            settled: options.settled,
            answer_bytes_max,
            level: options.level,
        },
        store_bytes: memory.0 - answer_bytes_max,
        accept_loss: options.accept_loss,
        descriptors,
        supervisor,
        log: options.log,
        process: Arc::new(ProcessMetrics::starting_now()),
        tls: Arc::new(tls),
        public: None,
        operator: None,
        begins_anew: options.begins_anew,
    };
    match primary {
        Some(_) if node.begins_anew => Err(Error::NewReplica),
        Some(primary) => replica::run(node, &primary),
        None => node.run_primary(),
    }
}

/// The parts of the server that outlive a store.
struct NodeParts {
    settings_in_force: SettingsInForce,
    data: PathBuf,
    store_bytes: u64,
    /// True if a store is opened that lacks acknowledged writes.
    accept_loss: bool,
    descriptors: Descriptors,
    supervisor: Supervisor,
    log: Flush,
    process: Arc<ProcessMetrics>,
    tls: Arc<Tls>,
    /// The address of the API, once it listens.
    public: Option<BoundAddress>,
    /// The address of the admin port, once it listens.
    operator: Option<BoundAddress>,
    /// True if the operator says that what the store holds counts.
    begins_anew: bool,
}

/// The parts that serve one store.
struct StoreParts {
    backend: Backend,
    part: NodeRole,
    /// The writer's counters, where there is a writer.
    meters: Option<Arc<StoreMeters>>,
    operator: Operator,
    heartbeat: Heartbeat,
}

/// The manner of an end that nobody asked for.
#[derive(Debug, Clone, Copy)]
struct UnexpectedEnd {
    drain_time_max: Duration,
    /// True if the address of the API is kept: who connects meanwhile waits for what comes next.
    keeps_public: bool,
}

/// The signals that are taken over from the system before anything takes its time.
struct Signals {
    ends: TerminationSignals,
    reloads: ReloadSignals,
    /// True if a hang-up may be that of a terminal that somebody sits before.
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
}

/// The result of opening the store.
enum Opened {
    Store(Store),
    Ended(u8),
}

/// Opens the store, unless the process is asked to end meanwhile. What has begun by then is waited
/// for, so that it is closed in order; cut off after `drain_time_max` it is a crash, which the store
/// survives.
async fn opened(
    open: impl FnOnce() -> Result<Store, store::Error> + Send + 'static,
    ends: &mut TerminationSignals,
    drain_time_max: Duration,
) -> Result<Opened, Error> {
    let mut open_options = spawn_blocking(open);
    let slow = sleep(QUICK_OPENING_TIME_MAX);
    let mut slow = pin!(slow);
    let end = loop {
        tokio::select! {
            opened = &mut open_options => {
                let store = opened.map_err(|panic| Error::Runtime(panic.into()))?;
                return store.map(Opened::Store).map_err(Error::Store);
            }
            end = ends.next() => break end,
            () = &mut slow, if !slow.is_elapsed() => tracing::info!(
                "still opening the store: after a crash its log is read first, which takes as long as \
                 the log is large"
            ),
        }
    };
    tracing::info!("{}: stopping before the store is open", end.name());
    let code = tokio::select! {
        _ = timeout(drain_time_max, open_options) => SUCCESS,
        second = ends.next() => end_at_once(second),
    };
    Ok(Opened::Ended(code))
}

impl NodeParts {
    /// The configuration in force.
    fn config(&self) -> &Config {
        self.settings_in_force.config()
    }

    /// Opens the store, unless a signal ends it all; what is given then is the exit code.
    fn open(
        &mut self,
        runtime: &Runtime,
        signals: &mut Signals,
        open_options: OpenOptions,
    ) -> Result<Opened, Error> {
        self.supervisor.open_options(&self.data);
        let data = self.data.clone();
        let begins_anew = self.begins_anew;
        // A primary of replicas whose store is gone may only have lost its disk for a moment.
        let is_fenced = self.config().replication.token_file.is_some() && !begins_anew;
        let open = move || {
            let open = if is_fenced {
                Store::open_fenced
            } else {
                Store::open_as
            };
            let store = open(&data, "reviewsd serve", open_options, now_ms())?;
            if begins_anew {
                let at = store.begin_anew()?;
                tracing::warn!("--new: this store, at {at}, is the primary's from now on");
            }
            Ok(store)
        };
        let drain_time_max = self.config().net.drain_time_max.into();
        let opened = runtime.block_on(opened(open, &mut signals.ends, drain_time_max))?;
        match &opened {
            Opened::Store(store) => {
                if let Some(loss) = store.loss() {
                    tracing::warn!("the loss was accepted: {loss}");
                }
                diverged::prune(store, &self.config().replica);
                diverged::report(&self.data);
            }
            Opened::Ended(_) => self.supervisor.ending(),
        }
        Ok(opened)
    }

    /// Takes writes until it is asked to end, or one fails.
    fn run_primary(&mut self) -> Result<u8, Error> {
        let replicas = PrimaryOptions {
            dial: Some(Dial::over(&self.tls)),
            ..wiring::primary_options(self.config()).map_err(Error::Token)?
        };
        // For copies, or for backups that follow, which may be away for a while.
        let is_followed = replicas.token.is_some() || self.config().backup.to.is_some();
        let log_keep_time = if is_followed {
            self.config().replication.wal_keep_time.into()
        } else {
            Duration::ZERO
        };
        let open_options = OpenOptions {
            memory: self.store_bytes,
            log_keep_time: Some(log_keep_time),
            as_copy: false,
            accept_loss: self.accept_loss,
            // To begin anew is to write.
            fallback: if self.begins_anew {
                Fallback::Refuse
            } else {
                Fallback::ReadWhenFull
            },
        };
        let runtime = runtime().map_err(Error::Runtime)?;
        let mut signals = runtime.block_on(async { Signals::listen() })?;
        let store = match self.open(&runtime, &mut signals, open_options)? {
            Opened::Store(store) => store,
            Opened::Ended(code) => {
                runtime.shutdown_timeout(LAST_READS_TIME_MAX);
                return Ok(code);
            }
        };
        if let Some(fence) = store.fence() {
            tracing::error!("{fence}");
        }
        let primary = Primary::start(store.clone(), replicas).map_err(Error::Runtime)?;
        // Before it takes writes: it may have been replaced while it was away.
        let is_answered = runtime.block_on(primary.ask_replicas());
        if !is_answered {
            tracing::warn!("no known replica answers; asking them again");
        }
        let config = self.config();
        let (fail, mut failed) = watch::channel(false);
        let acks = wiring::acks(config, &store);
        let filled = full::over(store.clone(), config.writes.free_space_min.0);
        let (backend, writer) = backend(store, acks.clone(), config, fail).map_err(Error::Store)?;
        let operator = Operator::new(backend.store.clone(), writer.clone(), acks);
        let served = StoreParts {
            backend,
            part: NodeRole::Primary(Arc::new(primary)),
            meters: Some(writer.meters()),
            operator,
            heartbeat: writer.heartbeat(),
        };
        let ending = failed.clone();
        let stop = async move {
            let failed = async {
                if failed.wait_for(|failed| *failed).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = failed => UnexpectedEnd {
                    drain_time_max: FAILED_DRAIN_TIME_MAX,
                    keeps_public: false,
                },
                stop = filled => stop,
            }
        };
        let ended = runtime.block_on(self.serve(served, signals, stop));
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        // The last one: with it the writer commits what waits, and ends.
        drop(writer);
        if *ending.borrow() {
            return Err(Error::WriteFailed);
        }
        ended?.ok_or(Error::SpaceAgain)
    }

    fn public(&mut self) -> Result<&mut BoundAddress, Error> {
        let address = self.config().net.listen;
        let there = self.public.take();
        let place = take_place(
            there,
            &mut self.supervisor,
            supervisor::PUBLIC,
            address,
            "listen",
        )?;
        Ok(self.public.insert(place))
    }

    fn operator(&mut self) -> Result<&mut BoundAddress, Error> {
        let address = self.config().net.admin;
        let there = self.operator.take();
        let place = take_place(
            there,
            &mut self.supervisor,
            supervisor::ADMIN,
            address,
            "admin",
        )?;
        Ok(self.operator.insert(place))
    }

    /// The names under which the operator's port answers.
    fn host_names(&self) -> HostNames {
        wiring::host_names(self.config(), self.tls.serves())
    }

    /// Returns the URL of the admin port at an address.
    fn admin_url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.serves() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Returns the metrics of the process, whatever it serves.
    fn registry(&self) -> Registry {
        let mut metrics = Registry::default();
        let process = Arc::clone(&self.process);
        metrics.add(describe_build);
        metrics.add(move |page| process.describe(page));
        metrics.add(self.log.describe());
        metrics
    }
}

/// The place that is there, the socket that systemd passed by this name, or one of our own.
fn take_place(
    there: Option<BoundAddress>,
    supervisor: &mut Supervisor,
    name: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<BoundAddress, Error> {
    if let Some(there) = there {
        return Ok(there);
    }
    let passed = supervisor.listener(name, address).map_err(Error::Passed)?;
    let place = match passed {
        Some((socket, kept)) => BoundAddress::inherit(socket, kept),
        None => BoundAddress::bind(address),
    };
    place.map_err(|cause| Error::Bind {
        address,
        flag,
        cause,
    })
}

/// The writer, and what the API has to do with it.
fn backend(
    store: Store,
    acks: Acks,
    config: &Config,
    fail: watch::Sender<bool>,
) -> Result<(Backend, Writer), store::Error> {
    let generations = Arc::new(Generations::default());
    let committed = Arc::clone(&generations);
    let health = Arc::new(Health::default());
    let unready = Arc::clone(&health);
    let fenced = store.clone();
    health.add_fence(move || fenced.fence().map(|fence| fence.to_string()));
    let options = wiring::writer_options(config);
    let started = || {
        Writer::start(
            &store,
            options,
            now_ms,
            move |product| committed.begin(product),
            move |error| {
                if error.is_no_space() {
                    // Reads go on, and what waits for that says why.
                    return;
                }
                tracing::error!("a write failed, so the server stops: {error}");
                unready.set_ready(false);
                fail.send_replace(true);
            },
        )
    };
    let writer = match store.full() {
        Some(_) => Writer::of_full(&store, options),
        None => match started() {
            Err(error) if error.is_no_space() => {
                store.run_full(&error, true);
                Writer::of_full(&store, options)
            }
            started => started?,
        },
    };
    let backend = Backend {
        store,
        role: Role::Primary(writer.clone(), acks),
        generations,
        health,
        clock: clock(),
    };
    Ok((backend, writer))
}

fn clock() -> api::MonotonicClock {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}

fn end_at_once(end: TerminationSignal) -> u8 {
    tracing::warn!("{}: stopped at once", end.name());
    end.exit_code()
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
        // The API's reads, and the operator's.
        .max_blocking_threads(2 * api::BLOCKING_READS_PER_CORE * cores + OTHER_BLOCKING_MAX)
        .enable_all()
        .build()
}

fn describe_build(page: &mut Exposition) {
    page.gauge(
        "reviewsd_build_info",
        "Always 1; the labels say which program this is.",
    )
    .sample(
        &[
            ("version", version::PROGRAM),
            ("commit", version::COMMIT),
            ("rocksdb", version::ROCKSDB),
        ],
        1,
    );
}

/// Says where it listens and what it serves: to whoever sits before a terminal, and to the log.
fn announce(config: &Config, counters: Counters, public: SocketAddr, admin: &str) {
    let data = config.store.data.as_deref().unwrap_or(Path::new(""));
    let data = data.display();
    let Counters {
        products, reviews, ..
    } = counters;
    if io::stderr().is_terminal() {
        // Nobody is harmed by a banner that cannot be shown.
        let _ = writeln!(
            io::stderr(),
            "reviewsd {} serves {data}: {}, {}, {} dialect\n  \
             api    http://{public}\n  \
             admin  {admin}\n  \
             try    curl 'http://{public}/reviews?product_id=1'\n  \
             end    Ctrl-C",
            version::PROGRAM,
            counted(products, "product"),
            counted(reviews, "review"),
            config.api.dialect,
        );
    }
    tracing::info!("listening on http://{public} (api)");
    announce_admin(admin);
    if products == 0 && reviews == 0 {
        tracing::info!("the store is empty; `reviewsd import --csv DIR --data {data}` fills it");
    }
}

fn announce_admin(admin: &str) {
    tracing::info!("listening on {admin} (admin)");
}
