//! The answers of the admin port: probes, the requests of replicas, and their status; and, while there is no
//! store to serve, the reason.

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http_body_util::Either;
use hyper::body::Body as Incoming;
use hyper::header::X_CONTENT_TYPE_OPTIONS;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::api::{Admin, BodyPieces, NO_SNIFFING, ReplicaProof};
use crate::replication::{Body, PeerProof, Primary, ReplicaProgress, SessionStatus};
use crate::store::{self, Store};

/// The routes of the admin port.
pub(super) struct AdminPort {
    admin: Admin,
    /// The part that serves backups, and replicas where this is no replica itself.
    primary: Arc<Primary>,
}

/// The primary that a replica follows, and its progress.
pub(super) struct Followed {
    pub(super) url: Arc<str>,
    pub(super) progress: Arc<ReplicaProgress>,
}

type AdminResponse = Response<Either<BodyPieces, Body>>;

impl AdminPort {
    /// The routes of `admin` with the replication status of `store`, and those of `primary` beside them.
    /// `followed` is the primary that this node follows, if it is a replica.
    pub(super) fn new(
        admin: Admin,
        store: Store,
        primary: Arc<Primary>,
        followed: Option<Followed>,
    ) -> Self {
        let serving = Arc::clone(&primary);
        let admin = admin.with_replication(move || status(&store, &serving, followed.as_ref()));
        Self { admin, primary }
    }

    pub(super) async fn handle<B>(&self, request: Request<B>, peer: IpAddr) -> AdminResponse
    where
        B: Incoming<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let mut answer = self.answer(request, peer).await;
        answer
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        answer
    }

    async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> AdminResponse
    where
        B: Incoming<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let (mut head, body) = request.into_parts();
        if let Some(refusal) = Admin::malformed(&mut head) {
            return refusal.map(Either::Left);
        }
        if Primary::owns(head.uri.path()) {
            // Under any host name, the token admits a replica.
            let proof = match self.admin.replica_proof(&head, peer) {
                ReplicaProof::Token => PeerProof::Role,
                ReplicaProof::Certificate => PeerProof::Certificate,
                ReplicaProof::Local => PeerProof::Local,
                ReplicaProof::Missing => PeerProof::Missing,
            };
            let request = Request::from_parts(head, body);
            let answer = self.primary.handle(request, peer, proof).await;
            if answer.status() == StatusCode::UNAUTHORIZED
                && let Some(refusal) = self.admin.too_many_failures(peer)
            {
                return refusal.map(Either::Left);
            }
            return answer.map(Either::Right);
        }
        let request = Request::from_parts(head, body);
        self.admin.handle(request, peer).await.map(Either::Left)
    }
}

/// The replication status of a node.
fn status(store: &Store, primary: &Primary, followed: Option<&Followed>) -> Value {
    let feed = store.feed();
    let (at, durable) = (*feed.applied().borrow(), *feed.durable().borrow());
    let mut status = json!({
        "store": format!("{:032x}", store.identity().store_id),
        "epoch": at.epoch,
        "seq": at.seq,
        "chain": format!("{:016x}", at.chain),
        "durable_seq": durable.seq,
        "kept_aside": kept_aside(store),
        "read_only": store.full().map(|full| full.why.to_string()),
    });
    let sessions = primary.replicas().into_iter();
    let (backups, replicas): (Vec<_>, Vec<_>) = sessions.partition(|session| session.is_backup);
    let backups: Vec<_> = backups.iter().map(session).collect();
    let part = match followed {
        None => json!({
            "role": "primary",
            "fenced": store.fence().map(|fence| fence.to_string()),
            "replicas": replicas.iter().map(session).collect::<Vec<_>>(),
            "backups": backups,
            "ring_bytes": feed.bytes(),
            "refused_tokens": primary.refused_tokens(),
        }),
        Some(Followed { url, progress }) => json!({
            "role": "replica",
            "primary": **url,
            "connected": progress.is_connected(),
            "held": progress.held(),
            "lag_rows": progress.lag_rows(),
            "lag_ms": u64::try_from(progress.lag_time(Instant::now()).as_millis()).unwrap_or(u64::MAX),
            "streams": progress.streams(),
            "backups": backups,
        }),
    };
    if let (Some(status), Value::Object(part)) = (status.as_object_mut(), part) {
        status.extend(part);
    }
    status
}

/// The names of the diverged stores here.
fn kept_aside(store: &Store) -> Vec<String> {
    // A directory that cannot be listed shows by other means.
    let kept = store::kept(store.data_dir()).unwrap_or_default();
    let names = kept.iter().filter_map(|kept| kept.path.file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

fn session(of: &SessionStatus) -> Value {
    json!({
        "peer": of.peer.to_string(),
        "sent_seq": of.sent,
        "acked_seq": of.acked,
    })
}
