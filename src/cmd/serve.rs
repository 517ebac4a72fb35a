//! `reviewsd serve`: configuration, store, writer or primary to follow, listeners, signals.
//!
//! Invariants: it ends with 0 when it was asked to end, however long the drain took, and never after
//! a write that failed; what the writer took is committed before it ends.

mod admin_port;
mod choices;
mod copy;
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

use crate::api::{self, Admin, Api, Backend, Generations, Health, Operator, Role};
use crate::cli::ServeArgs;
use crate::clock::now_ms;
use crate::config::{self, Config};
use crate::metrics::{Exposition, Process, Registry};
use crate::net::{self, Address, Idle};
use crate::replication::{Primary, TokenError};
use crate::signals::{End, Ends};
use crate::store::{self, Meters, Opening, Pulse, Store, Writer};
use crate::systemd;

use admin_port::{AdminPort, Part};
use log::Flush;
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
    let config = settle(args).map_err(Error::Config)?;
    let data = config.store.data.clone().unwrap_or_default();
    let memory = config.store.memory.or_else(config::share_of_machine);
    let memory = memory.ok_or(Error::UnknownMemory)?;
    let log = log::start(&config.log).map_err(Error::Runtime)?;
    raise_file_limit();
    let mut house = House {
        config: &config,
        data: &data,
        answer_bytes_max: memory.0 / ANSWERS_SHARE,
        store_bytes: memory.0 - memory.0 / ANSWERS_SHARE,
        supervisor: Supervisor::meet().map_err(Error::Passed)?,
        log,
        process: Arc::new(Process::starting_now()),
        public: None,
        operator: None,
    };
    match &config.replica.follow {
        Some(primary) => copy::run(house, primary),
        None => house.run_primary(),
    }
}

/// What outlives a store.
struct House<'a> {
    config: &'a Config,
    data: &'a Path,
    answer_bytes_max: u64,
    store_bytes: u64,
    supervisor: Supervisor,
    log: Flush,
    process: Arc<Process>,
    /// Where the API listens, once it does.
    public: Option<Address>,
    /// Where the operator's port does.
    operator: Option<Address>,
}

/// What is served.
struct Served {
    backend: Backend,
    part: Part,
    /// What tells of the writer, where there is one.
    meters: Option<Arc<Meters>>,
    operator: Option<Operator>,
    pulse: Pulse,
}

/// How serving ends where nobody asked for it.
#[derive(Debug, Clone, Copy)]
struct Stop {
    drain_time_max: Duration,
    /// Whether the address of the API is kept: who connects meanwhile waits for what comes next.
    keeps_public: bool,
}

/// The defaults, the file over them, the flags over both.
fn settle(args: &ServeArgs) -> Result<Config, config::Error> {
    let mut config = match &args.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.store.data = args.data.clone().or(config.store.data);
    config.store.memory = args.memory.or(config.store.memory);
    config.api.dialect = args.dialect.unwrap_or(config.api.dialect);
    config.net.listen = args.listen.unwrap_or(config.net.listen);
    config.net.admin = args.admin.unwrap_or(config.net.admin);
    config.replica.follow = args.follow.clone().or(config.replica.follow);
    config.validate()?;
    Ok(config)
}

impl House<'_> {
    /// Takes writes until it is asked to end, or one fails.
    fn run_primary(&mut self) -> Result<ExitCode, Error> {
        let config = self.config;
        let replicas = choices::primary_options(config).map_err(Error::Token)?;
        self.supervisor.opening(self.data);
        let opening = Opening {
            memory: self.store_bytes,
            log_keep_time: Some(replicas.as_ref().map_or(Duration::ZERO, |_| {
                config.replication.wal_keep_time.into()
            })),
            as_copy: false,
        };
        let store = Store::open_as(self.data, "reviewsd serve", opening).map_err(Error::Store)?;
        let (fail, mut failed) = watch::channel(false);
        let (backend, writer) = backend(store, config, fail).map_err(Error::Store)?;
        let primary = replicas
            .map(|options| Primary::start(backend.store.clone(), options))
            .transpose();
        let operator = Operator::new(
            backend.store.clone(),
            writer.clone(),
            config.net.body_time_max.into(),
        );
        let served = Served {
            backend,
            part: Part::Primary(primary.map_err(Error::Runtime)?.map(Arc::new)),
            meters: Some(writer.meters()),
            operator: Some(operator),
            pulse: writer.pulse(),
        };
        let ending = failed.clone();
        let stop = async move {
            if failed.wait_for(|failed| *failed).await.is_err() {
                std::future::pending::<()>().await;
            }
            Stop {
                drain_time_max: FAILED_DRAIN_TIME_MAX,
                keeps_public: false,
            }
        };
        let runtime = runtime().map_err(Error::Runtime)?;
        let ended = runtime.block_on(self.serve(served, stop));
        runtime.shutdown_timeout(LAST_READS_TIME_MAX);
        // The last one: with it the writer commits what waits, and ends.
        drop(writer);
        if *ending.borrow() {
            return Err(Error::WriteFailed);
        }
        ended.map(|code| code.unwrap_or(ExitCode::SUCCESS))
    }

    /// Serves until a signal, which gives an exit code, or until `stop`, which gives none.
    async fn serve(
        &mut self,
        served: Served,
        stop: impl Future<Output = Stop>,
    ) -> Result<Option<ExitCode>, Error> {
        let mut ends = Ends::listen().map_err(Error::Runtime)?;
        let public = self.public()?;
        let (public_address, api_counts) = (public.address(), public.counts());
        let public = public.listener().map_err(Error::Runtime)?;
        let operator = self.operator()?;
        let (admin_address, admin_counts) = (operator.address(), operator.counts());
        let operator = operator.listener().map_err(Error::Runtime)?;

        let health = Arc::clone(&served.backend.health);
        let pulse = served.pulse.clone();
        let replicas = served.part.primary();
        let listeners = [("api", api_counts), ("admin", admin_counts)];
        let (api, port) = self.desks(served, listeners)?;
        let (limits, admin_limits) = choices::limits(self.config);

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
            move |request, peer| {
                let port = Arc::clone(&port);
                async move { port.handle(request, peer).await }
            },
            draining,
        ));
        health.set_ready(true);
        announce(self.config, public_address, admin_address);
        self.supervisor.serving(public_address, admin_address);
        if let Some(watch) = self.supervisor.watch(pulse) {
            tokio::spawn(watch);
        }

        let stopped = tokio::select! {
            end = ends.next() => {
                tracing::info!("{}: finishing the requests under way", end.name());
                None
            }
            stop = stop => Some(stop),
        };
        health.set_ready(false);
        let goes_on = stopped.is_some_and(|stop| stop.keeps_public);
        let (mut idle_public, mut idle_admin) = (Idle::End, Idle::End);
        if !goes_on {
            // Whoever comes now is refused instead of waiting for nothing.
            self.public = None;
        }
        if stopped.is_none_or(|stop| stop.drain_time_max == FAILED_DRAIN_TIME_MAX) {
            self.operator = None;
            self.supervisor.ending();
            idle_public = self.supervisor.idle(supervisor::PUBLIC);
            idle_admin = self.supervisor.idle(supervisor::ADMIN);
        }
        end_public.begin(idle_public);
        // The listeners have bounds of their own.
        let drain_time_max = stopped.map_or(Duration::MAX, |stop| stop.drain_time_max);
        let drained = timeout(drain_time_max, async {
            let drained = public.await.unwrap_or_default();
            self.supervisor.keep(supervisor::PUBLIC, &drained.kept);
            if let Some(replicas) = replicas {
                replicas.end();
            }
            // The operator's port goes last: until then it tells that the API is not ready.
            end_operator.begin(idle_admin);
            let operator = operator.await.unwrap_or_default();
            self.supervisor.keep(supervisor::ADMIN, &operator.kept);
            drained.cut_off
        });
        tokio::select! {
            cut_off = drained => {
                if let Some(cut_off) = cut_off.ok().filter(|cut_off| *cut_off > 0) {
                    tracing::warn!("{cut_off} connections were cut off");
                }
                if stopped.is_some() {
                    return Ok(None);
                }
                tracing::info!("ended");
                Ok(Some(ExitCode::SUCCESS))
            }
            second = ends.next() => Ok(Some(end_at_once(second))),
        }
    }

    /// What answers at the two addresses.
    fn desks(
        &self,
        served: Served,
        listeners: [(&'static str, Arc<net::Counts>); 2],
    ) -> Result<(Arc<Api>, Arc<AdminPort>), Error> {
        let health = Arc::clone(&served.backend.health);
        let mut metrics = self.registry();
        metrics.add(move |page| net::describe(page, &listeners));
        if let Some(writes) = served.meters {
            metrics.add(move |page| writes.describe(page));
        }
        let store = served.backend.store.clone();
        let described = store.clone();
        metrics.add(move |page| described.describe(page));
        let settings = choices::settings(self.config, self.answer_bytes_max);
        let api = Arc::new(Api::new(served.backend, settings).map_err(Error::Store)?);
        let described = Arc::clone(&api);
        metrics.add(move |page| described.describe(page));
        let mut admin = Admin::new(health, metrics);
        if let Some(operator) = served.operator {
            admin = admin.with(operator);
        }
        let part = served.part;
        let port = Arc::new(AdminPort { admin, store, part });
        Ok((api, port))
    }

    fn public(&mut self) -> Result<&mut Address, Error> {
        let address = self.config.net.listen;
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

    fn operator(&mut self) -> Result<&mut Address, Error> {
        let address = self.config.net.admin;
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

    /// What is told of the process, whatever it serves.
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
    there: Option<Address>,
    supervisor: &mut Supervisor,
    name: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<Address, Error> {
    if let Some(there) = there {
        return Ok(there);
    }
    let passed = supervisor.listener(name, address).map_err(Error::Passed)?;
    let place = match passed {
        Some((socket, kept)) => Address::inherit(socket, kept),
        None => Address::bind(address),
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
    config: &Config,
    fail: watch::Sender<bool>,
) -> Result<(Backend, Writer), store::Error> {
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
    let backend = Backend {
        store,
        role: Role::Primary(writer.clone()),
        generations,
        health,
        clock: clock(),
    };
    Ok((backend, writer))
}

fn clock() -> api::Clock {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
}

fn end_at_once(end: End) -> ExitCode {
    tracing::warn!("{}: ended at once", end.name());
    ExitCode::from(end.exit_code())
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
    announce_admin(admin);
}

fn announce_admin(admin: SocketAddr) {
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
    /// There is no token to replicate with.
    Token(TokenError),
    /// A copy is to follow, and nothing says what the token is.
    NoToken,
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
            Self::Token(error) => error.fmt(f),
            Self::NoToken => f.write_str(
                "nothing says what the token of the primary is; give token_file in [replica] of \
                 the configuration",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Token(error) => error.source(),
            Self::Bind { cause, .. } if cause.kind() == io::ErrorKind::AddrInUse => None,
            Self::Bind { cause, .. } | Self::Runtime(cause) => Some(cause),
            Self::UnknownMemory | Self::Passed(_) | Self::WriteFailed | Self::NoToken => None,
        }
    }
}
