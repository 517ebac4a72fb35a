//! `reviewsd serve`: configuration, store, writer, listeners, signals.
//!
//! Invariants: it ends with 0 when it was asked to end, however long the drain took, and never after
//! a write that failed; what the writer took is committed before it ends.

mod choices;
mod descriptors;
mod log;
mod reload;
mod supervisor;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::api::{self, Admin, Api, Backend, Generations, Health, Operator};
use crate::cli::ServeArgs;
use crate::clock::now_ms;
use crate::config::{self, Config};
use crate::metrics::{Exposition, Process, Registry};
use crate::net::{self, Listener};
use crate::signals::{End, Ends, Reloads};
use crate::store::{self, Counters, Store, Writer};
use crate::systemd;
use crate::version;

use super::sources;

use descriptors::Descriptors;
use reload::Choice;
use supervisor::Supervisor;

/// One part in so many of the memory is for rendered answers, the others are the store's. An answer
/// takes a fraction of the block its rows are in, so what is asked for often is kept cheapest so.
const ANSWERS_SHARE: u64 = 2;
/// How long reads that nobody waits for any more may hold up the end.
const LAST_READS_TIME_MAX: Duration = Duration::from_secs(1);
/// How long, after a write that failed, whoever waits has to be told so.
const FAILED_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves until it is asked to end.
///
/// # Errors
///
/// When it cannot start, or a write failed.
pub fn run(args: &ServeArgs) -> Result<ExitCode, Error> {
    let sources = sources::of(&args.settings);
    let settled = sources.settle().map_err(Error::Config)?;
    let config = &settled.config;
    let data = config.store.data.clone().unwrap_or_default();
    let memory = config.store.memory.or_else(config::share_of_machine);
    let memory = memory.ok_or(Error::UnknownMemory)?;
    let (log, level) = log::start(&config.log).map_err(Error::Runtime)?;
    let descriptors = Descriptors::raise()?;
    let mut supervisor = Supervisor::meet().map_err(Error::Passed)?;
    supervisor.opening(&data);
    let answer_bytes_max = memory.0 / ANSWERS_SHARE;
    let store_bytes_max = memory.0 - answer_bytes_max;
    let runtime = runtime().map_err(Error::Runtime)?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let open = move || Store::open(&data, "reviewsd serve", store_bytes_max, now_ms());
    let drain_time_max = config.net.drain_time_max.into();
    let opened = runtime.block_on(opened(open, &mut signals.ends, drain_time_max))?;
    let store = match opened {
        Opened::Store(store) => store,
        Opened::Ended(code) => {
            supervisor.ending();
            runtime.shutdown_timeout(LAST_READS_TIME_MAX);
            return Ok(code);
        }
    };
    let choice = Choice {
        connections_max: descriptors.for_connections(config.net.connections_max)?,
        sources,
        settled,
        answer_bytes_max,
        level,
    };
    let (fail, failed) = watch::channel(false);
    let backend = backend(store, choice.config(), fail).map_err(Error::Store)?;
    let writer = backend.writer.clone();
    let mut metrics = Registry::default();
    let process = Process::starting_now();
    metrics.add(describe_build);
    metrics.add(move |page| process.describe(page));
    metrics.add(log.describe());
    let served = serve(
        backend,
        choice,
        &mut supervisor,
        signals,
        failed.clone(),
        metrics,
    );
    let code = runtime.block_on(served);
    runtime.shutdown_timeout(LAST_READS_TIME_MAX);
    // The last one: with it the writer commits what waits, and ends.
    drop(writer);
    if *failed.borrow() {
        return Err(Error::WriteFailed);
    }
    code
}

/// The signals that are taken over from the system before anything takes its time.
struct Signals {
    ends: Ends,
    reloads: Reloads,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        Ok(Self {
            ends: Ends::listen().map_err(Error::Runtime)?,
            reloads: Reloads::listen().map_err(Error::Runtime)?,
        })
    }
}

/// What came of opening the store.
enum Opened {
    Store(Store),
    Ended(ExitCode),
}

/// Opens the store, unless the process is asked to end meanwhile. What has begun by then is waited
/// for, so that it is closed in order; cut off after `drain_time_max` it is a crash, which the store
/// survives.
async fn opened(
    open: impl FnOnce() -> Result<Store, store::Error> + Send + 'static,
    ends: &mut Ends,
    drain_time_max: Duration,
) -> Result<Opened, Error> {
    let mut opening = spawn_blocking(open);
    let end = tokio::select! {
        opened = &mut opening => {
            let store = opened.map_err(|panic| Error::Runtime(panic.into()))?;
            return store.map(Opened::Store).map_err(Error::Store);
        }
        end = ends.next() => end,
    };
    tracing::info!("{}: ending, though the store is not open yet", end.name());
    let code = tokio::select! {
        _ = timeout(drain_time_max, opening) => ExitCode::SUCCESS,
        second = ends.next() => end_at_once(second),
    };
    Ok(Opened::Ended(code))
}

async fn serve(
    backend: Backend,
    mut choice: Choice,
    supervisor: &mut Supervisor,
    signals: Signals,
    mut failed: watch::Receiver<bool>,
    mut metrics: Registry,
) -> Result<ExitCode, Error> {
    let Signals {
        mut ends,
        mut reloads,
    } = signals;
    let config = choice.config();
    let public = listener(supervisor, supervisor::PUBLIC, config.net.listen, "listen")?;
    let operator = listener(supervisor, supervisor::ADMIN, config.net.admin, "admin")?;
    let pulse = backend.writer.pulse();
    let (public_address, admin_address) = (public.address(), operator.address());

    let health = Arc::clone(&backend.health);
    let listeners = [("api", public.counts()), ("admin", operator.counts())];
    metrics.add(move |page| net::describe(page, &listeners));
    let (store, writes) = (backend.store.clone(), backend.writer.meters());
    metrics.add(move |page| writes.describe(page));
    metrics.add(move |page| store.describe(page));
    let operator_of = Operator::new(
        backend.store.clone(),
        backend.writer.clone(),
        config.net.body_time_max.into(),
    );
    let counters = backend.store.counters().map_err(Error::Store)?;
    let api = Arc::new(Api::new(backend, &choice.settings()).map_err(Error::Store)?);
    let reloaded = Arc::clone(&api);
    let described = Arc::clone(&api);
    metrics.add(move |page| described.describe(page));
    let admin = Arc::new(Admin::new(Arc::clone(&health), metrics).with(operator_of));
    let (limits, admin_limits) = choice.limits();
    let (set_limits, limits) = watch::channel(limits);
    let (set_admin_limits, admin_limits) = watch::channel(admin_limits);

    let (end_public, draining) = net::drain();
    let public = tokio::spawn(net::serve(
        public,
        limits,
        move |request, peer| {
            let api = Arc::clone(&api);
            async move { api.handle(request, peer).await }
        },
        draining,
    ));
    let (end_operator, draining) = net::drain();
    let operator = tokio::spawn(net::serve(
        operator,
        admin_limits,
        move |request, _| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(request).await }
        },
        draining,
    ));
    health.set_ready(true);
    announce(choice.config(), counters, public_address, admin_address);
    supervisor.serving(public_address, admin_address);
    if let Some(watch) = supervisor.watch(pulse) {
        tokio::spawn(watch);
    }

    let on_terminal = io::stderr().is_terminal();
    let drain_time_max = loop {
        tokio::select! {
            end = ends.next() => {
                tracing::info!("{}: finishing the requests under way", end.name());
                // The listeners have their own bounds.
                break Duration::MAX;
            }
            Ok(_) = failed.wait_for(|failed| *failed) => break FAILED_DRAIN_TIME_MAX,
            // A terminal that is closed says the same; whoever started a server there wants it to end.
            () = reloads.next() => if on_terminal && !io::stderr().is_terminal() {
                break Duration::MAX;
            } else {
                choice.renew(|choice| {
                    choice.level.set(&choice.config().log.level);
                    reloaded.reload(&choice.settings());
                    let (limits, admin_limits) = choice.limits();
                    set_limits.send_replace(limits);
                    set_admin_limits.send_replace(admin_limits);
                });
            },
        }
    };
    health.set_ready(false);
    supervisor.ending();
    end_public.begin(supervisor.idle(supervisor::PUBLIC));
    let drained = timeout(drain_time_max, async {
        let drained = public.await.unwrap_or_default();
        supervisor.keep(supervisor::PUBLIC, &drained.kept);
        // The operator's port goes last: until then it tells that the API is not ready.
        end_operator.begin(supervisor.idle(supervisor::ADMIN));
        let operator = operator.await.unwrap_or_default();
        supervisor.keep(supervisor::ADMIN, &operator.kept);
        drained.cut_off
    });
    tokio::select! {
        cut_off = drained => {
            if let Some(cut_off) = cut_off.ok().filter(|cut_off| *cut_off > 0) {
                tracing::warn!("{cut_off} connections were cut off");
            }
            tracing::info!("ended");
            Ok(ExitCode::SUCCESS)
        }
        second = ends.next() => Ok(end_at_once(second)),
    }
}

/// The writer, and what the API has to do with it.
fn backend(
    store: Store,
    config: &Config,
    fail: watch::Sender<bool>,
) -> Result<Backend, store::Error> {
    let generations = Arc::new(Generations::default());
    let committed = Arc::clone(&generations);
    let health = Arc::new(Health::default());
    let unready = Arc::clone(&health);
    let writer = Writer::start(
        &store,
        choices::writer_options(config),
        now_ms,
        move |product| committed.begin(product),
        move |error| {
            tracing::error!("a write failed, so the server ends: {error}");
            unready.set_ready(false);
            fail.send_replace(true);
        },
    )?;
    let start = Instant::now();
    Ok(Backend {
        store,
        writer,
        generations,
        health,
        clock: Arc::new(move || start.elapsed()),
    })
}

fn end_at_once(end: End) -> ExitCode {
    tracing::warn!("{}: ended at once", end.name());
    ExitCode::from(end.exit_code())
}

/// The socket that systemd passed by this name, or one of our own at `address`.
fn listener(
    supervisor: &mut Supervisor,
    name: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<Listener, Error> {
    let passed = supervisor.listener(name, address).map_err(Error::Passed)?;
    let listener = match passed {
        Some((socket, kept)) => Listener::inherit(socket, kept),
        None => Listener::bind(address),
    };
    listener.map_err(|cause| Error::Bind {
        address,
        flag,
        cause,
    })
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
        .max_blocking_threads(api::BLOCKING_READS_PER_CORE * cores)
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
fn announce(config: &Config, counters: Counters, public: SocketAddr, admin: SocketAddr) {
    let data = config.store.data.as_deref().unwrap_or(Path::new(""));
    let data = data.display();
    let Counters {
        products, reviews, ..
    } = counters;
    if io::stderr().is_terminal() {
        // Nobody is harmed by a banner that cannot be shown.
        let _ = writeln!(
            io::stderr(),
            "reviewsd {} serves {data}: {products} products, {reviews} reviews, {} dialect\n  \
             api    http://{public}\n  \
             admin  http://{admin}\n  \
             try    curl 'http://{public}/reviews?product_id=1'\n  \
             end    Ctrl-C",
            version::PROGRAM,
            config.api.dialect,
        );
    }
    tracing::info!("listening on http://{public} (api)");
    tracing::info!("listening on http://{admin} (admin)");
    if products == 0 && reviews == 0 {
        tracing::info!("the store is empty; `reviewsd import --csv DIR --data {data}` fills it");
    }
}

/// Why it does not serve.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config(config::Error),
    /// Nothing tells how much memory there is.
    UnknownMemory,
    /// The store cannot be opened.
    Store(store::Error),
    /// The sockets that systemd passed are not what can be served.
    Passed(systemd::Error),
    /// An address cannot be listened at.
    Bind {
        /// Which.
        address: SocketAddr,
        /// The flag that chooses another.
        flag: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// There are too few file descriptors.
    FewDescriptors {
        /// How many there may be.
        limit: u64,
        /// How many it takes.
        wanted: u64,
    },
    /// The system refuses threads or signals.
    Runtime(io::Error),
    /// A write failed; the log says how.
    WriteFailed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::UnknownMemory => {
                f.write_str("the system does not tell how much memory it has; give --memory SIZE")
            }
            Self::Store(error) => error.fmt(f),
            Self::Passed(error) => error.fmt(f),
            Self::Bind {
                address,
                flag,
                cause,
            } => write_bind(f, *address, flag, cause),
            Self::FewDescriptors { limit, wanted } => write!(
                f,
                "the limit of open files is {limit}, and it takes {wanted} at least; raise it with \
                 `ulimit -n`, or LimitNOFILE= in the unit"
            ),
            Self::Runtime(_) => f.write_str("the system does not let the server start"),
            Self::WriteFailed => f.write_str("ended because a write failed"),
        }
    }
}

fn write_bind(
    f: &mut fmt::Formatter<'_>,
    address: SocketAddr,
    flag: &str,
    cause: &io::Error,
) -> fmt::Result {
    match cause.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "another program listens at {address}; end it, or give another address with --{flag}"
        ),
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "this machine has no address {}; give one that it has with --{flag}, or {} for all",
            address.ip(),
            if address.is_ipv6() { "[::]" } else { "0.0.0.0" },
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "only root may listen at {address}; give a port from 1024 on with --{flag}, or the \
             program the capability CAP_NET_BIND_SERVICE"
        ),
        _ => write!(
            f,
            "cannot listen at {address}; give another address with --{flag}: {cause}"
        ),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Runtime(cause) => Some(cause),
            // Of an address that cannot be listened at, the sentence itself says why.
            Self::UnknownMemory
            | Self::Passed(_)
            | Self::Bind { .. }
            | Self::FewDescriptors { .. }
            | Self::WriteFailed => None,
        }
    }
}
