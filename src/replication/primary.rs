//! A primary's answers to replicas.
//!
//! Must not know how they are used. Invariants: where there is a token, a request without it is never answered, but
//! for one with a role that replicates; a stream begins only at a position that this store has been at, which is looked up, not assumed.

pub(crate) mod body;
pub(crate) mod catch_up;
mod checkpoint_files;
pub(crate) mod checkpoints;
pub(crate) mod handshake;
pub(crate) mod peers;
pub(crate) mod sessions;
pub(crate) mod stream;
pub(crate) mod stream_writer;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::client::Dial;
use super::meters::PrimaryMeters;
use super::token::Token;
use super::wire::protocol::{
    ACK, ADMIN, BACKED_UP, BASE, CHECKPOINT, STREAM, StreamRefusal, StreamRequest, is_for_backup,
    parameter,
};
use crate::metrics::Exposition;
use crate::model::clock::now_ms;
use crate::store::{BackedUp, Fence, Predecessor, Store, lineage};
use body::{Body, PIECE_BYTES, answer, done, json, nothing, text, unavailable};
use catch_up::CatchUp;
use checkpoints::Checkpoints;
use handshake::{HandshakeOutcome, PrimaryPosition};
use peers::Peers;
use sessions::{SessionStatus, Sessions};
use stream::ReplicaStream;
use stream_writer::{StreamWriter, hello};

/// The period at which the replicas that were served are asked.
const ASK_PERIOD: Duration = Duration::from_secs(30);
/// The period while none of them answers.
const ASK_AGAIN_PERIOD: Duration = Duration::from_secs(5);
/// The minimum time between two rounds.
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// The options for serving replicas.
#[derive(Debug, Clone)]
pub struct PrimaryOptions {
    /// The client for the replicas that were served, which are asked; without it none is.
    pub dial: Option<Dial>,
    /// The secret that replicas must know, unless they prove a role; without it there are no others.
    pub token: Option<Token>,
    /// The roles that clients can prove.
    pub roles: RoleTokens,
    /// Bytes of the latest commits that are cached in memory.
    pub ring_bytes: usize,
    /// Bytes of logs that are archived for replicas.
    pub wal_keep_size: u64,
    /// Bytes of checkpoints that are sent a second.
    pub bootstrap_bytes_per_second: u64,
    /// True if writes wait for acknowledgements.
    pub waits: bool,
    /// True if this is itself a replica, which gives backups what they ask for and feeds no replicas.
    pub is_replica: bool,
}

/// The roles that the tokens of a node prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleTokens {
    /// There are no such tokens.
    None,
    /// No token is a replica's yet.
    Others,
    /// At least one token is a replica's.
    Replicas,
}

impl PrimaryOptions {
    /// True if replicas are expected, for which the latest commits are cached from the start.
    #[must_use]
    pub fn expects_replicas(&self) -> bool {
        self.token.is_some() || self.roles == RoleTokens::Replicas
    }
}

/// The proof of a peer that was found before its request came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerProof {
    /// A token with a role that replicates.
    Role,
    /// A certificate that the node verified.
    Certificate,
    /// The peer is a program on this machine, where none is needed.
    Local,
    /// None was found; the peer may know the secret.
    Missing,
}

/// The side of replication that is followed.
pub struct Primary {
    store: Store,
    predecessors: Vec<Predecessor>,
    /// The replicas that were served; none where there can be none.
    peers: Option<Arc<Peers>>,
    token: Option<Token>,
    roles: RoleTokens,
    ring_bytes: usize,
    waits: bool,
    is_replica: bool,
    sessions: Arc<Sessions>,
    catch_up: Arc<CatchUp>,
    checkpoints: Arc<Checkpoints>,
    end: watch::Sender<bool>,
    ring_bytes_max: usize,
    meters: Arc<PrimaryMeters>,
}

type PrimaryResponse = Response<Body>;

impl Primary {
    /// Begins to retain commits for replicas.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread.
    pub fn start(store: Store, options: PrimaryOptions) -> std::io::Result<Self> {
        if options.expects_replicas() && !options.is_replica {
            store.feed().keep(options.ring_bytes);
        }
        let rate = options.bootstrap_bytes_per_second;
        let checkpoints = Arc::new(Checkpoints::new(store.clone(), rate));
        let kept = Arc::clone(&checkpoints);
        let catch_up = CatchUp::start(store.clone(), kept, options.wal_keep_size)?;
        let peers = match options.dial {
            Some(dial) if options.token.is_some() || options.roles != RoleTokens::None => {
                let peers = Peers::of(store.clone(), dial).map_err(std::io::Error::other)?;
                Some(Arc::new(peers))
            }
            _ => None,
        };
        Ok(Self {
            peers,
            catch_up: Arc::new(catch_up),
            predecessors: store.predecessors().map_err(std::io::Error::other)?,
            store,
            token: options.token,
            roles: options.roles,
            ring_bytes: options.ring_bytes,
            waits: options.waits,
            is_replica: options.is_replica,
            sessions: Arc::default(),
            checkpoints,
            end: watch::Sender::new(false),
            ring_bytes_max: options.ring_bytes,
            meters: Arc::default(),
        })
    }

    /// Asks the replicas that were served whether this store is still what it was. Must be called before it
    /// takes writes. Returns whether any of them answered, if there are any.
    pub async fn ask_replicas(&self) -> bool {
        if self.is_undecided() {
            return true;
        }
        match &self.peers {
            Some(peers) => peers.ask().await,
            None => true,
        }
    }

    /// Returns true if the store takes no writes for want of space and took none since its start: an epoch
    /// that it is to begin is not begun, so that its positions prove nothing, neither here nor to a
    /// replica.
    fn is_undecided(&self) -> bool {
        self.store.full().is_some_and(|full| full.since_start)
    }

    /// Asks them whenever a stream ends, whenever a client has seen a later epoch, and now and then, until
    /// [`Self::end`].
    pub async fn keep_asking(self: Arc<Self>) {
        let mut end = self.end.subscribe();
        let asking = async {
            loop {
                let is_answered = self.ask_replicas().await;
                sleep(ASK_PAUSE).await;
                let period = if is_answered {
                    ASK_PERIOD
                } else {
                    ASK_AGAIN_PERIOD
                };
                // A stream ends as well when this process was stopped for a while, and replaced; and a
                // client may have seen a later epoch.
                let _ = timeout(period, self.store.feed().doubt().notified()).await;
            }
        };
        tokio::select! {
            () = asking => {}
            _ = end.wait_for(|end| *end) => {}
        }
    }

    /// Returns true if a path is one of those answered here.
    #[must_use]
    pub fn owns(path: &str) -> bool {
        path.starts_with(BASE)
    }

    /// Ends all streams once they have sent what there is, and removes the checkpoints, which are no longer
    /// given to replicas.
    pub fn end(&self) {
        self.end.send_replace(true);
        self.checkpoints.clear();
    }

    /// The replicas that follow.
    #[must_use]
    pub fn replicas(&self) -> Vec<SessionStatus> {
        self.sessions.list()
    }

    /// The number of requests that came with another token, or none.
    #[must_use]
    pub fn refused_tokens(&self) -> u64 {
        self.meters.refused_tokens.get()
    }

    /// Reports the replicas, and the resources held for them; nothing where there can be none.
    pub fn describe(&self, page: &mut Exposition) {
        let expects_replicas = self.token.is_some() || self.roles == RoleTokens::Replicas;
        if !expects_replicas || self.is_replica {
            return;
        }
        let feed = self.store.feed();
        let durable = feed.durable().borrow().seq;
        let mut replicas = self.replicas();
        replicas.retain(|session| !session.is_backup);
        self.meters.describe(page, &replicas, durable);
        page.gauge(
            "reviewsd_replication_ring_bytes",
            "Bytes of the latest commits in memory.",
        )
        .value(feed.bytes() as u64);
        page.gauge(
            "reviewsd_replication_ring_max_bytes",
            "Limit of these bytes.",
        )
        .value(self.ring_bytes_max as u64);
    }

    /// Answers one request, whose path is one of [`Self::owns`], of a peer with this proof.
    pub async fn handle<B>(
        &self,
        request: Request<B>,
        peer: IpAddr,
        proof: PeerProof,
    ) -> PrimaryResponse {
        let (head, _unread) = request.into_parts();
        let known = head.headers.get(header::AUTHORIZATION);
        let is_admitted = match (&self.token, proof) {
            (_, PeerProof::Role) => true,
            (Some(token), _) => known.is_some_and(|guess| token.admits(guess.as_bytes())),
            (None, PeerProof::Certificate) => self.roles != RoleTokens::None,
            (None, PeerProof::Local | PeerProof::Missing) => false,
        };
        if is_admitted {
            return self.answer(&head, peer, true).await;
        }
        if self.token.is_none() && self.roles == RoleTokens::None {
            // A client that sends a token takes this for a primary with replicas, which it is not.
            let is_bare = known.is_none_or(|said| said.as_bytes().trim_ascii() == b"Bearer");
            if is_bare && proof == PeerProof::Local {
                return self.answer(&head, peer, false).await;
            }
            return nothing();
        }
        self.meters.refused_tokens.count();
        tracing::warn!("{peer} asked to replicate with a wrong token or none");
        let mut refusal = text(StatusCode::UNAUTHORIZED, "the token is wrong\n");
        let scheme = HeaderValue::from_static("Bearer");
        refusal
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
        refusal
    }

    /// Answers a client that may ask. `is_believed` says that it has proved to be a replica, or an operator.
    async fn answer(&self, head: &Parts, peer: IpAddr, is_believed: bool) -> PrimaryResponse {
        let path = head.uri.path().strip_prefix(BASE).unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        let (what, rest) = path.split_once('/').unwrap_or((path, ""));
        let begins = head.method == Method::GET && rest.is_empty();
        if self.is_replica && begins && !is_for_backup(query) {
            return text(
                StatusCode::NOT_FOUND,
                "this is a replica, which streams to no others; follow the primary\n",
            );
        }
        if begins && self.is_undecided() {
            return unavailable("its disk is full, so the store is read-only; free space there");
        }
        match (&head.method, what, rest) {
            (&Method::GET, STREAM, "") => self.stream(query, peer, is_believed).await,
            (&Method::POST, ACK, "") => self.ack(query),
            (&Method::POST, BACKED_UP, "") => self.backed_up(query).await,
            (&Method::GET, CHECKPOINT, "") => self.checkpoint(query).await,
            (&Method::DELETE, CHECKPOINT, id) => self.give_back(id),
            (&Method::GET, CHECKPOINT, file) => self.file(file, &head.headers),
            _ => nothing(),
        }
    }

    async fn stream(&self, query: &str, peer: IpAddr, is_believed: bool) -> PrimaryResponse {
        let Some(asked) = StreamRequest::read(query) else {
            return text(StatusCode::BAD_REQUEST, "a position is missing\n");
        };
        match self.verify(asked).await {
            Ok(None) => {}
            Ok(Some(refusal)) => {
                let position = asked.position;
                tracing::warn!(
                    "{peer} asked for a stream from {position} and was rejected: {refusal}"
                );
                self.meters.refused(&refusal);
                if is_believed && !is_for_backup(query) {
                    self.heed(asked, &refusal).await;
                }
                return refused(&refusal);
            }
            Err(InternalFailure(why)) => return unavailable(&why),
        }
        // While no stream was expected, memory is taken for commits only once one comes.
        self.store.feed().keep(self.ring_bytes);
        let is_backup = is_for_backup(query);
        let session = self.sessions.begin(peer, is_backup, asked.position.seq);
        let Some(session) = session else {
            return unavailable("it has the maximum number of streams; end one of them");
        };
        if !is_backup {
            // A replica asks from where it is durable, and this store has been there.
            self.store.feed().ack(asked.position.seq);
        }
        self.meters.streams.count();
        tracing::info!("{peer} follows from {}", asked.position);
        let durable = *self.store.feed().durable().borrow();
        let store = self.store.identity().store_id;
        let hello = hello(session.id(), self.waits, store, durable);
        let (pieces, body) = Body::pieces(None);
        let stream = ReplicaStream {
            store: self.store.clone(),
            catch_up: Arc::clone(&self.catch_up),
            session,
            stream_writer: StreamWriter::of(store, asked.position),
            pieces,
            end: self.end.subscribe(),
        };
        if let Some(peers) = &self.peers
            && !is_backup
            && let Some(admin) = parameter(query, ADMIN)
        {
            peers.remember(admin, peer).await;
        }
        let doubt = Arc::clone(self.store.feed().doubt());
        tokio::spawn(async move {
            stream.run(hello.into()).await;
            doubt.notify_one();
        });
        answer(StatusCode::OK, "application/octet-stream", body)
    }

    /// Takes no writes any more if a replica shows that this store is not what it was. Only a client that
    /// has proved to be a replica is believed.
    async fn heed(&self, asked: StreamRequest, refusal: &StreamRefusal) {
        let fence = match refusal {
            StreamRefusal::Ahead { .. } => Fence::Ahead {
                replica: asked.position,
            },
            StreamRefusal::Later { .. } => Fence::Superseded {
                epoch: asked.position.epoch,
            },
            _ => return,
        };
        // A replica has writes of its primary only.
        if !self.is_replica {
            put_up(&self.store, fence).await;
        }
    }

    /// Returns the refusal of a position whose commits behind it are not sent, if so.
    async fn verify(&self, asked: StreamRequest) -> Result<Option<StreamRefusal>, InternalFailure> {
        let (feed, position) = (self.store.feed(), asked.position);
        let lineage = lineage(&self.store, position).map_err(failed)?;
        let own = PrimaryPosition {
            store: self.store.identity().store_id,
            predecessors: &self.predecessors,
            epoch: feed.applied().borrow().epoch,
            durable: *feed.durable().borrow(),
        };
        match own.judge(&asked, lineage, &feed.behind(position, PIECE_BYTES)) {
            HandshakeOutcome::Send => Ok(None),
            HandshakeOutcome::Refuse(refusal) => Ok(Some(refusal)),
            HandshakeOutcome::AskLog => {
                let found = self.catch_up.read(position).await;
                let found = found.map_err(|_| InternalFailure("it ends".to_owned()))?;
                Ok(own.judge_by_log(position, &found))
            }
        }
    }

    fn ack(&self, query: &str) -> PrimaryResponse {
        let number = |name| parameter(query, name)?.parse().ok();
        let (Some(session), Some(seq)) = (number("session"), number("seq")) else {
            return text(StatusCode::BAD_REQUEST, "session and seq are missing\n");
        };
        let Some(session) = self.sessions.ack(session, seq) else {
            return text(StatusCode::NOT_FOUND, "there is no such stream\n");
        };
        if !session.is_backup {
            self.store.feed().ack(seq);
        }
        done()
    }

    /// Notes that a backup is complete.
    async fn backed_up(&self, query: &str) -> PrimaryResponse {
        let store = parameter(query, "store").and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let seq = parameter(query, "seq").and_then(|seq| seq.parse().ok());
        let (Some(store), Some(seq)) = (store, seq) else {
            return text(StatusCode::BAD_REQUEST, "store and seq are missing\n");
        };
        let time_ms = now_ms();
        let own = self.store.clone();
        let noted = move || own.set_backed_up(store, BackedUp { time_ms, seq });
        let noted = tokio::task::spawn_blocking(noted).await;
        match noted.map_err(std::io::Error::other) {
            Ok(Ok(true)) => done(),
            Ok(Ok(false)) => text(StatusCode::CONFLICT, "it is not a backup of this store\n"),
            Ok(Err(error)) => unnoted(&error),
            Err(error) => unnoted(&error),
        }
    }
}

/// Has a store take no writes, and logs that, the first time.
pub(super) async fn put_up(store: &Store, fence: Fence) {
    let store = store.clone();
    let done = tokio::task::spawn_blocking(move || store.put_up_fence(fence)).await;
    match done.map_err(std::io::Error::other) {
        Ok(Ok(true)) => tracing::error!("{fence}"),
        Ok(Ok(false)) => {}
        Ok(Err(error)) => tracing::error!("{fence}; this does not survive a restart: {error}"),
        Err(error) => tracing::error!("{fence}; this does not survive a restart: {error}"),
    }
}

/// An internal failure, with its message, which the log has, too.
struct InternalFailure(String);

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what map_err hands over"
)]
fn failed(error: crate::store::Error) -> InternalFailure {
    tracing::error!("{error}");
    InternalFailure(error.to_string())
}

fn refused(refusal: &StreamRefusal) -> PrimaryResponse {
    let status = match refusal {
        StreamRefusal::Version { .. } => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::CONFLICT,
    };
    json(status, refusal)
}

fn unnoted(error: &dyn std::error::Error) -> PrimaryResponse {
    let why = format!("cannot record that a backup is complete: {error}");
    tracing::warn!("{why}");
    unavailable(&why)
}
