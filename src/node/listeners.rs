//! One store while it is served: from the listeners to their end.
//!
//! Invariant: the operator's port begins with the API and ends after it, so that whoever asks there
//! whether the API is ready is told.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::admin_port::AdminPort;
use super::{
    Error, FAILED_DRAIN_TIME_MAX, NodeParts, SUCCESS, Signals, StoreParts, UnexpectedEnd, announce,
    end_at_once, supervisor,
};
use crate::api::{Admin, Api, Health};
use crate::figures::counted;
use crate::net::{self, Idle, ServerHandle};
use crate::replication::Primary;
use crate::signals::TerminationSignals;

/// A running listener, and the ways to change and to end it.
struct RunningListener {
    health: Arc<Health>,
    api: Arc<Api>,
    replicas: Arc<Primary>,
    public: ServerHandle,
    operator: ServerHandle,
    /// The address of the API, and the URL of the admin port.
    public_address: SocketAddr,
    admin_url: String,
}

impl NodeParts {
    /// Serves until a signal, which gives an exit code, or until `stop`, which gives none.
    pub(super) async fn serve(
        &mut self,
        served: StoreParts,
        mut signals: Signals,
        stop: impl Future<Output = UnexpectedEnd>,
    ) -> Result<Option<u8>, Error> {
        let running = self.begin(served)?;
        let stopped = self.stopped(&running, &mut signals, stop).await;
        Ok(self.drain(running, stopped, &mut signals.ends).await)
    }

    fn begin(&mut self, served: StoreParts) -> Result<RunningListener, Error> {
        let wanted = self.config().net.connections_max;
        self.settings_in_force.connections_max = self.descriptors.for_connections(wanted)?;
        let public = self.public()?;
        let (public_address, api_counts) = (public.address(), public.counts());
        let public = public.listener().map_err(Error::Runtime)?;
        let operator = self.operator()?;
        let (admin_address, admin_counts) = (operator.address(), operator.counts());
        let operator = operator.listener().map_err(Error::Runtime)?;
        let operator = operator.secured(&self.tls);
        let admin_url = self.admin_url(admin_address);

        let health = Arc::clone(&served.backend.health);
        let mut metrics = self.registry();
        let listeners = [("api", api_counts), ("admin", admin_counts)];
        metrics.add(move |page| net::describe(page, &listeners));
        if let Some(writes) = served.meters {
            metrics.add(move |page| writes.describe(page));
        }
        let store = served.backend.store.clone();
        let counters = store.counters().map_err(Error::Store)?;
        let described = store.clone();
        metrics.add(move |page| described.describe(page));
        let settings = self.settings_in_force.settings();
        let api = Arc::new(Api::new(served.backend, &settings).map_err(Error::Store)?);
        let (described, answering) = (Arc::clone(&api), Arc::clone(&api));
        metrics.add(move |page| described.describe(page));
        served.part.describe(&mut metrics);
        let replicas = served.part.primary();
        tokio::spawn(Arc::clone(&replicas).keep_asking());
        let admin =
            Admin::new(Arc::clone(&health), self.host_names(), metrics).with(served.operator);
        let port = Arc::new(AdminPort {
            admin,
            store,
            part: served.part,
        });

        let (limits, admin_limits) = self.settings_in_force.limits();
        let public = ServerHandle::open(public, limits, move |request, peer| {
            let api = Arc::clone(&answering);
            async move { api.handle(request, peer).await }
        });
        let operator = ServerHandle::open(operator, admin_limits, move |request, peer| {
            let port = Arc::clone(&port);
            async move { port.handle(request, peer).await }
        });

        health.set_ready(true);
        announce(self.config(), counters, public_address, &admin_url);
        self.supervisor.serving(public_address, &admin_url);
        if let Some(watch) = self.supervisor.watch(served.heartbeat) {
            tokio::spawn(watch);
        }
        Ok(RunningListener {
            health,
            api,
            replicas,
            public,
            operator,
            public_address,
            admin_url,
        })
    }

    /// Waits for the end, and reads the configuration again where that is wished for; `None` where a
    /// signal ends it.
    async fn stopped(
        &mut self,
        running: &RunningListener,
        signals: &mut Signals,
        stop: impl Future<Output = UnexpectedEnd>,
    ) -> Option<UnexpectedEnd> {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                end = signals.ends.next() => {
                    tracing::info!("{}: finishing the requests in flight", end.name());
                    return None;
                }
                stop = &mut stop => return Some(stop),
                // A terminal that is closed says the same; whoever started a server there wants it to
                // end.
                () = signals.reloads.next() => if signals.on_terminal && !io::stderr().is_terminal() {
                    return None;
                } else {
                    self.supervisor.reloading();
                    self.settings_in_force.renew(|settings_in_force| {
                        settings_in_force.level.set(&settings_in_force.config().log.level);
                        running.api.reload(&settings_in_force.settings());
                        let (limits, admin_limits) = settings_in_force.limits();
                        running.public.allow(limits);
                        running.operator.allow(admin_limits);
                    });
                    self.renew_certificates();
                    self.supervisor.serving(running.public_address, &running.admin_url);
                },
            }
        }
    }

    /// Reads the files of TLS again, which keep their names when a certificate is replaced.
    fn renew_certificates(&self) {
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

    /// Finishes what is under way; gives the exit code where the process is to end.
    async fn drain(
        &mut self,
        running: RunningListener,
        stopped: Option<UnexpectedEnd>,
        ends: &mut TerminationSignals,
    ) -> Option<u8> {
        let RunningListener {
            health,
            replicas,
            public,
            operator,
            ..
        } = running;
        health.set_ready(false);
        let (mut idle_public, mut idle_admin) = (Idle::End, Idle::End);
        if !stopped.is_some_and(|stop| stop.keeps_public) {
            // Whoever comes now is refused instead of waiting for nothing.
            self.public = None;
        }
        if stopped.is_none_or(|stop| stop.drain_time_max == FAILED_DRAIN_TIME_MAX) {
            self.operator = None;
            self.supervisor.ending();
            idle_public = self.supervisor.idle(supervisor::PUBLIC);
            // What both sides of TLS agreed upon cannot be handed over.
            if !self.tls.serves() {
                idle_admin = self.supervisor.idle(supervisor::ADMIN);
            }
        }
        // The listeners have bounds of their own.
        let drain_time_max = stopped.map_or(Duration::MAX, |stop| stop.drain_time_max);
        let drained = timeout(drain_time_max, async {
            let drained = public.close(idle_public).await;
            self.supervisor.keep(supervisor::PUBLIC, &drained.kept);
            replicas.end();
            // The operator's port goes last: until then it tells that the API is not ready.
            let operator = operator.close(idle_admin).await;
            self.supervisor.keep(supervisor::ADMIN, &operator.kept);
            drained.cut_off
        });
        tokio::select! {
            cut_off = drained => {
                if let Some(cut_off) = cut_off.ok().filter(|cut_off| *cut_off > 0) {
                    tracing::warn!("closed {}", counted(cut_off, "connection"));
                }
                if stopped.is_some() {
                    return None;
                }
                tracing::info!("ended");
                Some(SUCCESS)
            }
            second = ends.next() => Some(end_at_once(second)),
        }
    }
}
