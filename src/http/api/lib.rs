//! The HTTP contract: the meaning of a request, the answer of the store, and its form on the wire.
//!
//! Must not know sockets, configuration files or how the store keeps its rows. Invariant: a
//! request is answered on the calling thread only from memory; whatever may wait for the disk, or
//! is long, runs in the blocking pool, a bounded number at a time; writes run on the writer's
//! thread.

mod access_log;
mod admin;
mod answer_memory;
mod body;
mod body_pieces;
mod budget;
mod client;
#[cfg(test)]
#[path = "../../corpus.rs"]
mod corpus;
mod cors;
mod endpoints;
mod error;
mod forward;
mod health;
mod http1;
mod json;
mod meters;
#[cfg(test)]
mod properties;
mod read_your_writes;
mod reads;
mod reply;
mod request_id;
mod route;
mod session_token;
mod validation;
mod writes;

use {::metrics, ::model, ::net, ::store};

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use crate::metrics::Exposition;
use crate::model::ProductId;
use store::{Store, Writer};

pub use access_log::AccessLogSettings;
pub use admin::{
    AccessControl, Admin, HostNames, Operator, ReplicaProof, TOKEN_RANDOM_BYTES, TokenRecord,
    TokenTable, TokenTableError, expiry,
};
pub use answer_memory::AnswerMemory;
pub use body_pieces::BodyPieces;
pub use forward::Forward;
pub use health::Health;
pub use reads::BLOCKING_READS_PER_CORE;
pub use reads::cache::Generations;
pub use reads::render::dialect::Dialect;
pub use reads::render::spelling::CatalogueSettings;
pub use reply::NO_SNIFFING;
pub use writes::acks::Acks;
pub use writes::limits::{Quota, RateLimit};
pub use writes::moderation::ModerationPolicy;
pub use writes::moderation::check::{CHECK_CALLS_MAX, ReviewCheck};
pub use writes::rules::{Profile, ReviewRules};
pub use writes::{MonotonicClock, WriteSettings};

use access_log::AnsweredRequest;
use body::{Bodies, BodyPace};
use client::Proxies;
use cors::Cors;
use endpoints::{Action, ReadQuery, Surface};
use error::ApiError;
use json::JsonWriter;
use meters::ApiMeters;
use read_your_writes::ReadYourWrites;
use reads::Reads;
use reads::cache::Answers;
use reads::campus::Campus;
use reads::lookup::{AnswerBody, AnswerRequest, Lookup};
use reads::parameters;
use reads::render::spelling::Spelling;
use reads::resident::fill::{Fill, FillThread};
use reply::Reply;
use request_id::RequestId;
use route::RouteTarget;
use session_token::SessionToken;
use writes::WriteService;

/// The settings of the API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The dialect that clients expect.
    pub dialect: Dialect,
    /// The members that the catalogue's answers have beside.
    pub catalogue: CatalogueSettings,
    /// True if paths that front ends request from other services are answered as empty, false if they are not
    /// served.
    pub empty_neighbours: bool,
    /// The origins whose pages may read the answers; `*` is any.
    pub cors_origins: Vec<String>,
    /// Rows in one page at most.
    pub page_rows_max: usize,
    /// Bytes of one page, unless one row has more.
    pub page_bytes_max: usize,
    /// The time for which an answer that is not small waits for its part of the response budget.
    pub wait_time_max: Duration,
    /// The memory for answers and bodies.
    pub memory: AnswerMemory,
    /// True if a replica that is behind for too long goes on answering.
    pub serve_stale: bool,
    /// The time for which a read waits, on a replica, for a commit that its client has seen elsewhere.
    pub session_wait_max: Duration,
    /// The settings of writes.
    pub writes: WriteSettings,
    /// The settings of the access log.
    pub access_log: AccessLogSettings,
}

/// The role of a server among those with the same store.
pub enum Role {
    /// A primary, with its writer, and the position up to which replicas have its commits.
    Primary(Writer, Acks),
    /// A replica of the primary at this address, which takes no writes.
    Replica(Arc<str>),
    /// A replica that passes writes on.
    Forwarding(Forward),
}

/// The parts that an API works with.
pub struct Backend {
    /// The store.
    pub store: Store,
    /// The way that writes take.
    pub role: Role,
    /// The generations of products, which the writer advances.
    pub generations: Arc<Generations>,
    /// The state that the probes see.
    pub health: Arc<Health>,
    /// The clock of rates and windows.
    pub clock: MonotonicClock,
}

/// The way that writes take.
enum WriteMode {
    Here(Box<WriteService>),
    /// Clients get the address of the primary.
    Elsewhere(Arc<str>),
    /// Writes are passed on to the primary, once their bodies are received.
    Passed(Arc<Forward>),
}

impl WriteMode {
    /// The same with other settings.
    fn with(&self, settings: &Settings) -> Self {
        match self {
            Self::Here(writes) => Self::Here(Box::new(writes.with(settings.writes.clone()))),
            Self::Elsewhere(primary) => Self::Elsewhere(Arc::clone(primary)),
            Self::Passed(forward) => Self::Passed(Arc::clone(forward)),
        }
    }
}

/// The public API over one store.
pub struct Api {
    /// Ends before the store is closed.
    _fill: FillThread,
    reads: Reads,
    lookup: Lookup,
    bodies: Bodies,
    sessions: ReadYourWrites,
    surface: Surface,
    /// True if products are requested as those of a campus.
    has_campus: bool,
    live_settings: ArcSwap<LiveSettings>,
    health: Arc<Health>,
    meters: ApiMeters,
}

/// The settings that a reload replaces.
struct LiveSettings {
    page_rows_max: usize,
    page_bytes_max: usize,
    wait_time_max: Duration,
    trusted_proxies: Proxies,
    serve_stale: bool,
    /// The time for which a read waits for a commit that its client has seen; `None` on a primary.
    session_wait_max: Option<Duration>,
    cors: Cors,
    pace: BodyPace,
    writes: WriteMode,
    access_log: AccessLogSettings,
}

impl LiveSettings {
    fn new(settings: &Settings, writes: WriteMode) -> Self {
        // A write on a primary is visible here before it is answered.
        let is_primary = matches!(writes, WriteMode::Here(_));
        let session_wait_max = (!is_primary).then_some(settings.session_wait_max);
        Self {
            page_rows_max: settings.page_rows_max,
            page_bytes_max: settings.page_bytes_max,
            wait_time_max: settings.wait_time_max,
            trusted_proxies: settings.writes.trusted_proxies.clone(),
            serve_stale: settings.serve_stale,
            session_wait_max,
            cors: Cors::new(&settings.cors_origins),
            pace: settings.writes.pace(),
            writes,
            access_log: settings.access_log,
        }
    }
}

impl Api {
    /// An API over `backend`.
    #[must_use]
    pub fn new(backend: Backend, settings: &Settings) -> Self {
        let Backend {
            store,
            role,
            generations,
            health,
            clock,
        } = backend;
        let memory = settings.memory;
        let writes = match role {
            Role::Primary(writer, acks) => {
                let settings = settings.writes.clone();
                let service = WriteService::new(writer, acks, settings, clock);
                WriteMode::Here(Box::new(service))
            }
            Role::Replica(primary) => WriteMode::Elsewhere(primary),
            Role::Forwarding(forward) => WriteMode::Passed(Arc::new(forward)),
        };
        let spelling = Spelling {
            dialect: settings.dialect,
            price_decimals: settings.catalogue.price_decimals,
            made_ms: store.identity().made_ms,
        };
        let cached = Arc::new(Answers::new(
            memory.hot_bytes,
            memory.resident_bytes,
            generations,
        ));
        let fill = Fill {
            store: store.clone(),
            answers: Arc::clone(&cached),
            spelling,
        };
        Self {
            sessions: ReadYourWrites::new(store.clone()),
            reads: Reads::new(store),
            lookup: Lookup::new(cached, memory.budget_bytes, spelling),
            _fill: fill.start(),
            bodies: Bodies::new(memory.body_bytes),
            surface: if settings.empty_neighbours {
                Surface::WithNeighbours
            } else {
                Surface::Public
            },
            has_campus: settings.catalogue.hosted_fields,
            live_settings: ArcSwap::from_pointee(LiveSettings::new(settings, writes)),
            health,
            meters: ApiMeters::new(),
        }
    }

    /// Takes other settings for the requests that begin from now on: all but the spelling, in which cached
    /// answers were rendered, the paths, and the memory, which is divided once.
    pub fn reload(&self, settings: &Settings) {
        let writes = self.live_settings.load().writes.with(settings);
        self.live_settings
            .store(Arc::new(LiveSettings::new(settings, writes)));
    }

    /// Answers one request, that came from `peer`. Its body is read only if a route takes one.
    pub async fn handle<B>(&self, request: Request<B>, peer: IpAddr) -> Response<BodyPieces>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        // All of them as they are now, until it is answered.
        let live_settings = self.live_settings.load_full();
        let under_way = self.meters.begin();
        let (mut head, body) = request.into_parts();
        let mut id = RequestId::of(&head.headers);
        let target = http1::admit(&head).and_then(|()| {
            endpoints::find(self.surface, &head.method, head.uri.path()).map_err(ApiError::from)
        });
        let series = meters::series(&target);
        let reply = match self.answer(&live_settings, target, &head, body, peer).await {
            Ok(reply) => reply,
            Err(error) => error.report(&head, &mut id),
        };
        let answered = AnsweredRequest {
            head: &head,
            peer,
            status: reply.status(),
            body_bytes: reply.body_bytes(),
            time: under_way.end(series, &head.method, reply.status()),
        };
        live_settings.access_log.note(&answered, &mut id);
        let opening = live_settings.cors.open(&head.headers);
        reply.into_response(&mut head, opening, id)
    }

    /// Writes the metrics of requests, of cached answers, and of reads that wait for the disk.
    pub fn describe(&self, page: &mut Exposition) {
        self.health.describe(page);
        match &self.live_settings.load().writes {
            WriteMode::Here(writes) => writes.describe(page),
            WriteMode::Elsewhere(_) => {}
            WriteMode::Passed(forward) => forward.describe(page),
        }
        self.meters.describe(page);
        self.lookup.describe(page);
        self.reads.describe(page);
        self.sessions.describe(page);
        self.describe_bodies(page);
    }

    /// Reports the bodies of requests, and the budget that they share.
    fn describe_bodies(&self, page: &mut Exposition) {
        page.gauge(
            "reviewsd_request_body_bytes",
            "Bytes of the buffers of request bodies.",
        )
        .value(self.bodies.held_bytes());
        page.gauge(
            "reviewsd_request_body_max_bytes",
            "Limit of the bytes of these buffers.",
        )
        .value(self.bodies.max_bytes());
        page.counter(
            "reviewsd_request_body_refusals_total",
            "Requests that were answered 503, because other request bodies used all buffers.",
        )
        .value(self.bodies.refused());
    }

    async fn answer<B>(
        &self,
        live_settings: &LiveSettings,
        target: Result<RouteTarget<'_, Action>, ApiError>,
        head: &Parts,
        body: B,
        peer: IpAddr,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let found = match target? {
            RouteTarget::Options { allow } => return Ok(cors::options(allow, &head.headers)),
            RouteTarget::Endpoint(found) => found,
        };
        match &found.endpoint.action {
            Action::Livez => Ok(self.health.live()),
            Action::Readyz => self.health.ready(),
            Action::Questions => parameters::product(head.uri.query()).map(no_questions),
            Action::Cart => Ok(Reply::json(Bytes::from_static(b"[]"))),
            Action::Interaction => {
                Box::pin(self.bodies.read(body, live_settings.pace)).await?;
                Ok(Reply::taken())
            }
            Action::Read(read) => {
                if !live_settings.serve_stale
                    && let Some(why) = self.health.stale()
                {
                    return Err(ApiError::Stale(why));
                }
                let mut read_query = parameters::understand(
                    read,
                    found.arguments,
                    head.uri.query(),
                    live_settings.page_rows_max,
                )?;
                if self.has_campus {
                    read_query = read_query.of_campus(Campus::of(route::campus(head.uri.path())));
                }
                let ask = AnswerRequest {
                    peer,
                    headers: &head.headers,
                    trusted_proxies: &live_settings.trusted_proxies,
                    page_bytes_max: live_settings.page_bytes_max,
                    wait_time_max: live_settings.wait_time_max,
                };
                match SessionToken::of(&head.headers)? {
                    None => self.reply(read_query, ask).await,
                    // On the heap, as below.
                    Some(session_token) => {
                        Box::pin(self.after(session_token, read_query, ask, live_settings)).await
                    }
                }
            }
            // A replica that passed it on has looked already, and no page can claim to be one.
            Action::Write(_)
                if !live_settings.cors.may_write(&head.headers)
                    && !forward::came_from_copy(&head.headers) =>
            {
                Err(ApiError::ForeignOrigin)
            }
            Action::Write(operation) => {
                // On the heap, so that a read does not carry the space that a write takes.
                match &live_settings.writes {
                    WriteMode::Here(writes) => {
                        let operation = (*operation, found.arguments);
                        let body = (body, &self.bodies);
                        let answer = writes.answer(operation, head, body, peer, &self.reads);
                        Box::pin(answer).await
                    }
                    WriteMode::Elsewhere(primary) => Err(ApiError::ReadOnly {
                        allow: found.allow.only_reads(),
                        primary: Arc::clone(primary),
                    }),
                    WriteMode::Passed(forward) => {
                        let body = Box::pin(self.bodies.read(body, live_settings.pace)).await?;
                        let body = Bytes::from_owner(body);
                        Box::pin(forward.answer(head, body, peer)).await
                    }
                }
            }
        }
    }

    /// The answer to `question` from a store that has what the client has seen.
    async fn after(
        &self,
        session_token: SessionToken,
        read_query: ReadQuery,
        ask: AnswerRequest<'_>,
        live_settings: &LiveSettings,
    ) -> Result<Reply, ApiError> {
        let wait_time_max = live_settings.session_wait_max;
        self.sessions
            .reach(session_token, wait_time_max, &self.reads)
            .await?;
        let reply = self.reply(read_query, ask).await?;
        let place = self.sessions.place(&self.reads).await?;
        Ok(reply.at(place))
    }

    /// The answer to `question`.
    async fn reply(
        &self,
        read_query: ReadQuery,
        ask: AnswerRequest<'_>,
    ) -> Result<Reply, ApiError> {
        let answer = self
            .lookup
            .answer(read_query, ask, &self.reads, &self.meters);
        let AnswerBody { body, truncated } = answer.await?;
        Ok(Reply::json(body).truncated(truncated))
    }
}

/// The answer of the service beside the reviews that has the questions of products: there are none.
fn no_questions(product: ProductId) -> Reply {
    let mut json = JsonWriter::with_capacity(64);
    json.raw(r#"{"product_id":"#)
        .number_text(product.0)
        .raw(r#","results":[]}"#);
    Reply::json(json.into_bytes())
}
