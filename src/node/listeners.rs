//! The two ports of a node: the addresses that it holds, and the listeners that serve a store there.
//!
//! Invariants: the admin port begins with the API and ends after it, so that a probe there can ask whether the
//! API is ready; an address is held from one store to the next.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;

use super::admin_port::{AdminPort, Followed};
use super::supervisor::{self, Supervisor};
use super::{Error, Node, Signals, StopReason, end_at_once};
use crate::api::{Admin, Api, Backend, Health, HostNames, MonotonicClock, Operator};
use crate::config::Config;
use crate::figures::counted;
use crate::metrics::{Exposition, Registry};
use crate::net::{self, BoundAddress, Idle, ServerHandle};
use crate::replication::{Primary, ReplicaMeters};
use crate::signals::TerminationSignals;
use crate::store::{Counters, Heartbeat};
use crate::version;

/// The addresses that a node listens at, as soon as it does.
#[derive(Default)]
pub(super) struct Addresses {
    public: Option<BoundAddress>,
    admin: Option<BoundAddress>,
}

/// The parts that serve one store.
pub(super) struct ServedParts {
    pub(super) backend: Backend,
    /// The part that serves backups, and replicas where this is no replica itself.
    pub(super) primary: Arc<Primary>,
    /// The primary that this node follows, if it is a replica.
    pub(super) followed: Option<Followed>,
    /// The metrics of the process and of the worker.
    pub(super) metrics: Registry,
    pub(super) operator: Operator,
    pub(super) heartbeat: Heartbeat,
}

/// The listeners that serve one store, and the ways to change and to end them.
pub(super) struct Listeners {
    health: Arc<Health>,
    api: Arc<Api>,
    primary: Arc<Primary>,
    public: ServerHandle,
    admin: ServerHandle,
    public_address: SocketAddr,
    admin_url: String,
}

impl Node {
    /// Opens both ports, and reports the node as ready.
    pub(super) fn listen(&mut self, parts: ServedParts) -> Result<Listeners, Error> {
        let wanted = self.config().net.connections_max;
        self.settings.connections_max = self.descriptors.for_connections(wanted)?;
        let bound = self.hold_public()?;
        let (public_address, api_counts) = (bound.address(), bound.counts());
        let public = bound.listener().map_err(Error::Runtime)?;
        let bound = self.hold_admin()?;
        let (admin_address, admin_counts) = (bound.address(), bound.counts());
        let admin = bound.listener().map_err(Error::Runtime)?;
        let admin = admin.secured(&self.tls);
        let admin_url = self.admin_url(admin_address);

        let health = Arc::clone(&parts.backend.health);
        let store = parts.backend.store.clone();
        let counters = store.counters().map_err(Error::Store)?;
        let settings = self.settings.of_api();
        let api = Arc::new(Api::new(parts.backend, &settings));
        let mut metrics = parts.metrics;
        let counts = [("api", api_counts), ("admin", admin_counts)];
        metrics.add(move |page| net::describe(page, &counts));
        let described = store.clone();
        metrics.add(move |page| described.describe(page));
        let described = Arc::clone(&api);
        metrics.add(move |page| described.describe(page));
        let access = Arc::clone(&self.access);
        metrics.add(move |page| access.describe(page));
        let (names, access) = (self.host_names(), self.access.control());
        let admin_api = Admin::new(Arc::clone(&health), names, access, metrics);
        let admin_api = admin_api.with(parts.operator);
        let primary = Arc::clone(&parts.primary);
        let routes = Arc::new(AdminPort::new(admin_api, store, primary, parts.followed));

        let (limits, admin_limits) = self.settings.limits();
        let answering = Arc::clone(&api);
        let public = ServerHandle::open(public, limits, move |request, peer| {
            let api = Arc::clone(&answering);
            async move { api.handle(request, peer).await }
        });
        let admin = ServerHandle::open(admin, admin_limits, move |request, peer| {
            let routes = Arc::clone(&routes);
            async move { routes.handle(request, peer).await }
        });
        tokio::spawn(Arc::clone(&parts.primary).keep_asking());
        tokio::spawn(Arc::clone(&self.access).watch());

        health.set_ready(true);
        announce(self.config(), counters, public_address, &admin_url);
        self.supervisor.serving(public_address, &admin_url);
        if let Some(watch) = self.supervisor.watch(parts.heartbeat) {
            tokio::spawn(watch);
        }
        Ok(Listeners {
            health,
            api,
            primary: parts.primary,
            public,
            admin,
            public_address,
            admin_url,
        })
    }

    /// Waits for the end, and reads the configuration again where that is wished for.
    pub(super) async fn until_stopped(
        &mut self,
        listeners: &Listeners,
        stop: impl Future<Output = StopReason>,
        signals: &mut Signals,
    ) -> StopReason {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                end = signals.ends.next() => {
                    tracing::info!("{}: finishing the requests in flight", end.name());
                    return StopReason::Asked;
                }
                stopped = &mut stop => return stopped,
                () = signals.reloads.next() => {
                    // An operator who starts a server at a terminal, and closes that, wants it to end.
                    if signals.terminal_is_closed() {
                        return StopReason::Asked;
                    }
                    self.reload(listeners);
                }
            }
        }
    }

    /// Reads the configuration and the files of TLS again, and applies the reloadable settings.
    fn reload(&mut self, listeners: &Listeners) {
        self.supervisor.reloading();
        self.settings.reload(|settings| {
            self.log.set_levels(&settings.config().log.level);
            listeners.api.reload(&settings.of_api());
            let (limits, admin_limits) = settings.limits();
            listeners.public.allow(limits);
            listeners.admin.allow(admin_limits);
        });
        self.reload_certificates();
        self.access.look();
        self.supervisor
            .serving(listeners.public_address, &listeners.admin_url);
    }

    /// Reads the files of TLS again, which have the same names when a certificate is replaced.
    fn reload_certificates(&self) {
        if !self.tls.is_used() {
            return;
        }
        match self.tls.reload() {
            Ok(()) => tracing::info!("SIGHUP: the certificates were reloaded"),
            Err(error) => {
                tracing::error!("SIGHUP: the certificates were not reloaded: {error}");
            }
        }
        if let Some(doubt) = self.tls.doubt() {
            tracing::warn!("peers will not trust the certificate of this node: {doubt}");
        }
    }

    /// Finishes the requests under way: no longer ready, the public port, the streams of replicas, and
    /// the admin port, which reports until then that the API is not ready.
    pub(super) async fn close(
        &mut self,
        listeners: Listeners,
        stopped: StopReason,
        ends: &mut TerminationSignals,
    ) -> StopReason {
        listeners.health.set_ready(false);
        let changes_store = stopped.changes_store();
        let (mut idle_public, mut idle_admin) = (Idle::End, Idle::End);
        // Systemd keeps its own socket open in any case, and passes it once.
        let is_kept = changes_store && self.supervisor.lasts(supervisor::PUBLIC);
        if !stopped.keeps_public() && !is_kept {
            // A client that connects now is refused instead of waiting in vain.
            self.addresses.public = None;
        }
        if !changes_store {
            self.addresses.admin = None;
            self.supervisor.ending();
            idle_public = self.supervisor.idle(supervisor::PUBLIC);
            // A TLS session cannot be handed over.
            if !self.tls.serves() {
                idle_admin = self.supervisor.idle(supervisor::ADMIN);
            }
        }
        let drained = timeout(stopped.drain_time_max(), async {
            let public = listeners.public.close(idle_public).await;
            self.supervisor.keep(supervisor::PUBLIC, &public.kept);
            listeners.primary.end();
            let admin = listeners.admin.close(idle_admin).await;
            self.supervisor.keep(supervisor::ADMIN, &admin.kept);
            public.cut_off
        });
        tokio::select! {
            cut_off = drained => {
                if let Some(cut_off) = cut_off.ok().filter(|cut_off| *cut_off > 0) {
                    tracing::warn!("closed {}", counted(cut_off, "connection"));
                }
                if matches!(stopped, StopReason::Asked) {
                    tracing::info!("ended");
                }
                stopped
            }
            second = ends.next() => end_at_once(second),
        }
    }

    /// Answers on the admin port only, until `work` is done, or a signal ends it.
    pub(super) async fn while_unserved<T>(
        &mut self,
        health: Arc<Health>,
        meters: &Arc<ReplicaMeters>,
        work: impl Future<Output = T>,
    ) -> Result<Result<T, StopReason>, Error> {
        let mut ends = TerminationSignals::listen().map_err(Error::Runtime)?;
        let bound = self.hold_admin()?;
        let (address, listener) = (bound.address(), bound.listener());
        let mut metrics = self.registry();
        let (described, meters) = (Arc::clone(&health), Arc::clone(meters));
        metrics.add(move |page| described.describe(page));
        metrics.add(move |page| meters.describe(page));
        let access = Arc::clone(&self.access);
        metrics.add(move |page| access.describe(page));
        let access = self.access.control();
        let admin = Arc::new(Admin::new(health, self.host_names(), access, metrics));
        tokio::spawn(Arc::clone(&self.access).watch());
        let listener = listener.map_err(Error::Runtime)?.secured(&self.tls);
        // A reload has no effect before there is something to serve.
        let (_, limits) = self.settings.limits();
        let listening = ServerHandle::open(listener, limits, move |request, peer| {
            let admin = Arc::clone(&admin);
            async move { admin.handle(request, peer).await }
        });
        let url = self.admin_url(address);
        announce_admin(&url);
        self.supervisor.waiting(&url);
        if let Some(watch) = self.supervisor.watch(Heartbeat::resting()) {
            tokio::spawn(watch);
        }
        let done = tokio::select! {
            done = work => Ok(done),
            asked = ends.next() => {
                tracing::info!("{}: ended", asked.name());
                Err(StopReason::Asked)
            }
        };
        if done.is_err() {
            self.addresses.admin = None;
            self.supervisor.ending();
        }
        listening.close(Idle::End).await;
        Ok(done)
    }

    fn hold_public(&mut self) -> Result<&mut BoundAddress, Error> {
        let address = self.config().net.listen;
        let held = &mut self.addresses.public;
        hold(held, &mut self.supervisor, supervisor::PUBLIC, address)
    }

    /// Returns the address of the admin port, which is bound unless it is held already.
    pub(super) fn hold_admin(&mut self) -> Result<&mut BoundAddress, Error> {
        let address = self.config().net.admin;
        let held = &mut self.addresses.admin;
        hold(held, &mut self.supervisor, supervisor::ADMIN, address)
    }

    /// Returns the URL of the admin port at an address.
    pub(super) fn admin_url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls.serves() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// The names under which the admin port answers.
    fn host_names(&self) -> HostNames {
        self.settings.host_names(self.tls.serves())
    }

    /// Returns the metrics of the process, which do not depend on what it serves.
    pub(super) fn registry(&self) -> Registry {
        let mut metrics = Registry::default();
        let process = Arc::clone(&self.process);
        metrics.add(describe_build);
        metrics.add(move |page| process.describe(page));
        metrics.add(self.log.describe());
        metrics
    }
}

/// The address that is held, the socket that systemd passed by this name, or one of our own.
fn hold<'h>(
    held: &'h mut Option<BoundAddress>,
    supervisor: &mut Supervisor,
    name: &'static str,
    address: SocketAddr,
) -> Result<&'h mut BoundAddress, Error> {
    let bound = match held.take() {
        Some(bound) => Ok(bound),
        None => match supervisor.listener(name, address).map_err(Error::Passed)? {
            Some((socket, kept)) => BoundAddress::inherit(socket, kept),
            None => BoundAddress::bind(address),
        },
    };
    let bound = bound.map_err(|cause| Error::Bind {
        address,
        flag: if name == supervisor::PUBLIC {
            "listen"
        } else {
            "admin"
        },
        cause,
    })?;
    Ok(held.insert(bound))
}

/// Returns a clock that the API measures its waits by.
pub(super) fn clock() -> MonotonicClock {
    let start = Instant::now();
    Arc::new(move || start.elapsed())
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

/// Reports the addresses and the store that it serves: on a terminal, and in the log.
fn announce(config: &Config, counters: Counters, public: SocketAddr, admin: &str) {
    let data = config.store.data.as_deref().unwrap_or(Path::new(""));
    let data = data.display();
    let Counters {
        products, reviews, ..
    } = counters;
    if io::stderr().is_terminal() {
        // A banner that cannot be shown does no harm.
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
