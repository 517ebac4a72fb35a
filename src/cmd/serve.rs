//! `reviewsd serve`: configuration, store, writer, listeners, signals.
//!
//! Invariants: it ends with 0 when it was asked to end, however long the drain took, and never after
//! a write that failed; what the writer took is committed before it ends.

mod choices;
mod log;
mod supervisor;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::{self, Admin, Api, Backend, Generations, Health, Operator, Settings};
use crate::cli::ServeArgs;
use crate::clock::now_ms;
use crate::config::{self, Config};
use crate::metrics::{Exposition, Process, Registry};
use crate::net::{self, Listener};
use crate::signals::{End, Ends};
use crate::store::{self, Store, Writer};
use crate::systemd;

use supervisor::Supervisor;

use super::sources;

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
    let config = sources.settle().map_err(Error::Config)?.config;
    let data = config.store.data.clone().unwrap_or_default();
    let memory = config.store.memory.or_else(config::share_of_machine);
    let memory = memory.ok_or(Error::UnknownMemory)?;
    let log = log::start(&config.log).map_err(Error::Runtime)?;
    raise_file_limit();
    let mut supervisor = Supervisor::meet().map_err(Error::Passed)?;
    supervisor.opening(&data);
    let answer_bytes_max = memory.0 / ANSWERS_SHARE;
    let store =
        Store::open(&data, "reviewsd serve", memory.0 - answer_bytes_max).map_err(Error::Store)?;
    let (fail, failed) = watch::channel(false);
    let backend = backend(store, &config, fail).map_err(Error::Store)?;
    let writer = backend.writer.clone();
    let settings = choices::settings(&config, answer_bytes_max);
    let runtime = runtime().map_err(Error::Runtime)?;
    let mut metrics = Registry::default();
    let process = Process::starting_now();
    metrics.add(describe_build);
    metrics.add(move |page| process.describe(page));
    metrics.add(log.describe());
    let code = runtime.block_on(serve(
        backend,
        settings,
        &config,
        &mut supervisor,
        failed.clone(),
        metrics,
    ));
    runtime.shutdown_timeout(LAST_READS_TIME_MAX);
    // The last one: with it the writer commits what waits, and ends.
    drop(writer);
    if *failed.borrow() {
        return Err(Error::WriteFailed);
    }
    code
}

async fn serve(
    backend: Backend,
    settings: Settings,
    config: &Config,
    supervisor: &mut Supervisor,
    mut failed: watch::Receiver<bool>,
    mut metrics: Registry,
) -> Result<ExitCode, Error> {
    let mut ends = Ends::listen().map_err(Error::Runtime)?;
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
    let api = Arc::new(Api::new(backend, settings).map_err(Error::Store)?);
    let described = Arc::clone(&api);
    metrics.add(move |page| described.describe(page));
    let admin = Arc::new(Admin::new(Arc::clone(&health), metrics).with(operator_of));
    let (limits, admin_limits) = choices::limits(config);

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
    announce(config, public_address, admin_address);
    supervisor.serving(public_address, admin_address);
    if let Some(watch) = supervisor.watch(pulse) {
        tokio::spawn(watch);
    }

    let drain_time_max = tokio::select! {
        end = ends.next() => {
            tracing::info!("{}: finishing the requests under way", end.name());
            // The listeners have their own bounds.
            Duration::MAX
        }
        Ok(_) = failed.wait_for(|failed| *failed) => FAILED_DRAIN_TIME_MAX,
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

/// Takes as many file descriptors as the system lets: the store wants one a file, every connection
/// one, and the usual soft limit of 1,024 is for programs that use `select`.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

fn describe_build(page: &mut Exposition) {
    page.gauge(
        "reviewsd_build_info",
        "Always 1; the labels say which program this is.",
    )
    .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
}

/// Says where it listens: to whoever sits before a terminal, and always to the log.
fn announce(config: &Config, public: SocketAddr, admin: SocketAddr) {
    if io::stderr().is_terminal() {
        let data = config.store.data.as_deref().unwrap_or(Path::new(""));
        // Nobody is harmed by a banner that cannot be shown.
        let _ = writeln!(
            io::stderr(),
            "reviewsd {} serves {} in the {} dialect\n  \
             try  curl 'http://{public}/reviews?product_id=1'\n  \
             end  Ctrl-C",
            env!("CARGO_PKG_VERSION"),
            data.display(),
            config.api.dialect,
        );
    }
    tracing::info!("listening on http://{public} (api)");
    tracing::info!("listening on http://{admin} (admin)");
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
            } if cause.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "another program listens at {address}; end it, or give another address with --{flag}"
            ),
            Self::Bind { address, flag, .. } => write!(
                f,
                "cannot listen at {address}; give another address with --{flag}"
            ),
            Self::Runtime(_) => f.write_str("the system does not let the server start"),
            Self::WriteFailed => f.write_str("ended because a write failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Bind { cause, .. } if cause.kind() == io::ErrorKind::AddrInUse => None,
            Self::Bind { cause, .. } | Self::Runtime(cause) => Some(cause),
            Self::UnknownMemory | Self::Passed(_) | Self::WriteFailed => None,
        }
    }
}
