//! `reviewsd serve`: configuration, store, listeners, signals.
//!
//! Invariant: it ends with 0 when it was asked to end, however long the drain took.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::api::{self, Admin, Api, Health};
use crate::cli::ServeArgs;
use crate::config::{self, Config};
use crate::net::{self, Limits, Listener};
use crate::signals::{End, Ends};
use crate::store::{self, Store};

/// One part in so many of the memory is for rendered answers, the others are the store's. An answer
/// takes a fraction of the block its rows are in, so what is asked for often is kept cheapest so.
const ANSWERS_SHARE: u64 = 2;
/// A request line with all headers; what browsers and proxies send is well below.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Connections of the operator's port: probes and a person or two.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// How long the operator's port outlives the API.
const ADMIN_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// How long reads that nobody waits for any more may hold up the end.
const LAST_READS_TIME_MAX: Duration = Duration::from_secs(1);

/// Serves until it is asked to end.
///
/// # Errors
///
/// When it cannot start.
pub fn run(args: &ServeArgs) -> Result<ExitCode, Error> {
    let config = settle(args).map_err(Error::Config)?;
    let data = config.store.data.clone().unwrap_or_default();
    let memory = config.store.memory.or_else(config::share_of_machine);
    let memory = memory.ok_or(Error::UnknownMemory)?;
    log_to_stderr();
    raise_file_limit();
    let answer_bytes_max = memory.0 / ANSWERS_SHARE;
    let store =
        Store::open(&data, "reviewsd serve", memory.0 - answer_bytes_max).map_err(Error::Store)?;
    let runtime = runtime().map_err(Error::Runtime)?;
    let code = runtime.block_on(serve(store, &config, answer_bytes_max));
    runtime.shutdown_timeout(LAST_READS_TIME_MAX);
    code
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
    config.validate()?;
    Ok(config)
}

async fn serve(store: Store, config: &Config, answer_bytes_max: u64) -> Result<ExitCode, Error> {
    let mut ends = Ends::listen().map_err(Error::Runtime)?;
    let public = bind(config.net.listen, "listen")?;
    let operator = bind(config.net.admin, "admin")?;
    let (public_address, admin_address) = (public.address(), operator.address());

    let health = Arc::new(Health::default());
    let api = Arc::new(Api::new(
        store,
        &settings(config, answer_bytes_max),
        Arc::clone(&health),
    ));
    let admin = Arc::new(Admin::new(Arc::clone(&health)));
    let (limits, admin_limits) = limits(config);

    let (end_public, draining) = net::drain();
    let public = tokio::spawn(net::serve(
        public,
        limits,
        move |request| {
            let api = Arc::clone(&api);
            async move { api.handle(request).await }
        },
        draining,
    ));
    let (end_operator, draining) = net::drain();
    let operator = tokio::spawn(net::serve(
        operator,
        admin_limits,
        move |request| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(request).await }
        },
        draining,
    ));
    health.set_ready(true);
    announce(config, public_address, admin_address);

    let end = ends.next().await;
    tracing::info!("{}: finishing the requests under way", end.name());
    health.set_ready(false);
    end_public.begin();
    let drained = async {
        let cut_off = public.await.unwrap_or(0);
        // The operator's port goes last: until then it tells that the API is not ready.
        end_operator.begin();
        let _ = operator.await;
        cut_off
    };
    tokio::select! {
        cut_off = drained => {
            if cut_off > 0 {
                tracing::warn!("{cut_off} connections were cut off");
            }
            tracing::info!("ended");
            Ok(ExitCode::SUCCESS)
        }
        second = ends.next() => Ok(end_at_once(second)),
    }
}

fn end_at_once(end: End) -> ExitCode {
    tracing::warn!("{}: ended at once", end.name());
    ExitCode::from(end.exit_code())
}

fn bind(address: SocketAddr, flag: &'static str) -> Result<Listener, Error> {
    Listener::bind(address).map_err(|cause| Error::Bind {
        address,
        flag,
        cause,
    })
}

fn settings(config: &Config, answer_bytes_max: u64) -> api::Settings {
    api::Settings {
        dialect: match config.api.dialect {
            config::Dialect::Atelier => api::Dialect::Atelier,
            config::Dialect::Greenfield => api::Dialect::Greenfield,
        },
        cors_origins: config.api.cors_origins.clone(),
        page_rows_max: config.api.page_rows_max,
        answer_bytes_max,
    }
}

/// The limits of the API and of the operator's port.
fn limits(config: &Config) -> (Limits, Limits) {
    let limits = Limits {
        head_bytes_max: HEAD_BYTES_MAX,
        head_time_max: config.net.head_time_max.into(),
        idle_time_max: config.net.idle_time_max.into(),
        write_time_max: config.net.write_time_max.into(),
        connections_max: config.net.connections_max,
        drain_time_max: config.net.drain_time_max.into(),
    };
    let admin_limits = Limits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        drain_time_max: ADMIN_DRAIN_TIME_MAX.min(limits.drain_time_max),
        ..limits
    };
    (limits, admin_limits)
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

fn log_to_stderr() {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    // It fails only where there is one already, which then is as good.
    let _ = log.try_init();
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::UnknownMemory => {
                f.write_str("the system does not tell how much memory it has; give --memory SIZE")
            }
            Self::Store(error) => error.fmt(f),
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
            Self::UnknownMemory => None,
        }
    }
}
