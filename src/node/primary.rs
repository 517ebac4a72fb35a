//! A node that takes writes: its writer, and the server of the streams of replicas and backups.
//!
//! Invariant: no write is accepted before the replicas that were served last were asked whether one of them
//! took this primary's place.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::listeners::{ServedParts, clock};
use super::worker::StoreWorker;
use super::{Error, Interruptible, Node, NodeEnd, StoreRole};
use crate::api::{Acks, Backend, Generations, Health, Operator, Role};
use crate::config::{Config, DurabilityConfig};
use crate::model::clock::now_ms;
use crate::replication::{Dial, Primary, PrimaryOptions, Token};
use crate::store::{self, Fallback, ModerationSettings, OpenOptions, Store, Writer, WriterOptions};

/// Takes writes until it is asked to end, or one fails.
pub(super) fn run(node: &mut Node) -> Result<NodeEnd, Error> {
    let options = PrimaryOptions {
        dial: Some(Dial::over(&node.tls)),
        ..options(node)?
    };
    node.serve_store(PrimaryRole { options })?.ended()
}

/// The role of a node that takes writes.
struct PrimaryRole {
    options: PrimaryOptions,
}

impl StoreRole for PrimaryRole {
    fn open_options(&self, node: &Node) -> OpenOptions {
        let config = node.config();
        // By replicas, or by backups, which may be away for a while.
        let is_followed = self.options.expects_replicas() || config.backup.to.is_some();
        let log_keep_time = if is_followed {
            config.replication.wal_keep_time.into()
        } else {
            Duration::ZERO
        };
        OpenOptions {
            memory: node.store_bytes,
            log_keep_time: Some(log_keep_time),
            as_copy: false,
            accept_loss: node.accept_loss,
            // To begin anew is to write.
            fallback: if node.begins_anew {
                Fallback::Refuse
            } else {
                Fallback::ReadWhenFull
            },
        }
    }

    fn start(
        self,
        node: &mut Node,
        runtime: &Runtime,
        store: Store,
    ) -> Interruptible<(ServedParts, StoreWorker)> {
        if let Some(fence) = store.fence() {
            tracing::error!("{fence}");
        }
        let primary = Primary::start(store.clone(), self.options).map_err(Error::Runtime)?;
        // Before it takes writes: it may have been replaced while it was away.
        let is_answered = runtime.block_on(primary.ask_replicas());
        if !is_answered {
            tracing::warn!("no known replica answers; asking them again");
        }
        let config = node.config();
        let acks = acks(config, &store);
        let (fail, failed) = watch::channel(false);
        let (backend, writer) =
            backend(store.clone(), acks.clone(), config, fail).map_err(Error::Store)?;
        let mut metrics = node.registry();
        let primary = Arc::new(primary);
        let (meters, described) = (writer.meters(), Arc::clone(&primary));
        metrics.add(move |page| meters.describe(page));
        metrics.add(move |page| described.describe(page));
        let parts = ServedParts {
            backend,
            primary,
            followed: None,
            metrics,
            operator: Operator::new(store, writer.clone(), acks),
            heartbeat: writer.heartbeat(),
        };
        let worker = StoreWorker::Writer {
            writer,
            failed,
            free_space_min: config.writes.free_space_min.0,
        };
        Ok(Ok((parts, worker)))
    }
}

/// Returns the writer, and the parts of it that the API uses.
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
    let options = writer_options(config);
    let started = || {
        Writer::start(
            &store,
            options,
            now_ms,
            move |product| committed.begin(product),
            move |error| {
                if error.is_no_space() {
                    // Reads go on, and the task that waits for that reports why.
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

/// Returns the options of serving replicas and backups.
pub(super) fn options(node: &Node) -> Result<PrimaryOptions, Error> {
    let config = node.config();
    let replication = &config.replication;
    let token = replication
        .token_file
        .as_ref()
        .map(|file| Token::read(file));
    let token = token.transpose().map_err(Error::Token)?;
    Ok(PrimaryOptions {
        dial: None,
        token,
        roles: node.access.roles(),
        ring_bytes: usize::try_from(replication.ring.0).unwrap_or(usize::MAX),
        wal_keep_size: replication.wal_keep_size.0,
        bootstrap_bytes_per_second: replication.bootstrap_rate.0,
        waits: replication.acks > 0,
        is_replica: false,
    })
}

/// Returns the acknowledgements that writes to `store` wait for.
fn acks(config: &Config, store: &Store) -> Acks {
    let replication = &config.replication;
    let time_max = (replication.acks > 0).then(|| replication.ack_time_max.into());
    Acks::new(store.feed().acked(), time_max)
}

fn writer_options(config: &Config) -> WriterOptions {
    let writes = &config.writes;
    WriterOptions {
        loss_time_max: match writes.durability {
            DurabilityConfig::Fsync => None,
            DurabilityConfig::Interval => Some(writes.interval.into()),
        },
        queue_max: writes.queue_max,
        free_space_min: writes.free_space_min.0,
        idempotency_keys_per_client_max: writes.idempotency_keys_per_client_max,
        moderation: ModerationSettings::DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::IDEMPOTENCY_KEYS_MAX;

    #[test]
    fn one_client_may_have_all_idempotency_keys_and_no_more() {
        let is_valid = |keys| {
            let mut config = Config::default();
            config.store.data = Some("data".into());
            config.writes.idempotency_keys_per_client_max = keys;
            config.validate().is_ok()
        };
        assert!(is_valid(IDEMPOTENCY_KEYS_MAX));
        assert!(!is_valid(IDEMPOTENCY_KEYS_MAX + 1));
    }
}
