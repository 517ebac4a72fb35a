//! The HTTP contract: what a request asks, what the store answers, and how that reads on the wire.
//!
//! Must not know sockets, configuration files or how the store keeps its rows. Invariant: a
//! request is answered on the calling thread only from memory; whatever may wait for the disk, or
//! is long, runs in the blocking pool, a bounded number at a time; writes run on the writer's
//! thread.

mod acks;
mod admin;
mod aside;
mod body;
mod budget;
mod cache;
mod campus;
mod client;
#[cfg(test)]
#[path = "../corpus.rs"]
mod corpus;
mod cors;
mod date;
mod dialect;
mod document;
mod draft;
mod error;
mod faults;
mod fields;
mod forward;
mod generations;
mod health;
mod http1;
mod journal;
mod json;
mod limits;
mod live;
mod lookup;
mod mean;
mod meta;
mod meters;
mod neighbours;
mod pieces;
mod products;
#[cfg(test)]
mod properties;
mod query;
mod question;
mod reads;
mod render;
mod rendering;
mod reply;
mod request_id;
mod reviews;
mod route;
mod rules;
mod seen;
mod session;
mod spelling;
mod styles;
mod writes;

use {::metrics, ::model, ::net, ::store};

use std::error::Error;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{Request, Response};

use crate::metrics::Exposition;
use store::{Store, Writer};

pub use acks::Acks;
pub use admin::{Admin, HostNames, Operator, REPLICATION};
pub use date::iso8601;
pub use dialect::Dialect;
pub use forward::Forward;
pub use generations::Generations;
pub use health::Health;
pub use journal::JournalSettings;
pub use limits::RateLimit;
pub use pieces::Pieces;
pub use reads::BLOCKING_READS_PER_CORE;
pub use reply::{JSON, NO_SNIFFING};
pub use rules::{Profile, Rules};
pub use spelling::CatalogueSettings;
pub use writes::{Clock, WriteSettings};

use body::{Bodies, Pace};
use campus::Campus;
use client::Proxies;
use cors::Cors;
use error::ApiError;
use journal::Answered;
use live::Live;
use lookup::{Answer, Ask, Lookup};
use meters::{Endpoint, Meters};
use question::Question;
use reads::Reads;
use reply::Reply;
use request_id::RequestId;
use route::{Route, Surface, Target};
use seen::Seen;
use session::Sessions;
use spelling::Spelling;
use writes::Writes;

/// One part in so many of the memory for answers is for large ones on their way to clients.
const BUDGET_SHARE: u64 = 4;
/// One part in so many of the same is for the bodies of requests under way.
const BODIES_SHARE: u64 = 16;

/// The settings of the API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The dialect that clients expect.
    pub dialect: Dialect,
    /// The members that the catalogue's answers have beside.
    pub catalogue: CatalogueSettings,
    /// True if what front ends ask other services for is answered as empty, false if it is not served.
    pub empty_neighbours: bool,
    /// The origins whose pages may read the answers; `*` is any.
    pub cors_origins: Vec<String>,
    /// Rows in one page at most.
    pub page_rows_max: usize,
    /// Bytes of one page, unless one row has more.
    pub page_bytes_max: usize,
    /// The time for which an answer that is not small waits for its part of the response budget.
    pub wait_time_max: Duration,
    /// Bytes of rendered answers, those that are kept and large ones on their way, and of the bodies
    /// of requests.
    pub answer_bytes_max: u64,
    /// True if a copy that is behind for too long goes on answering.
    pub serve_stale: bool,
    /// The time for which a read waits, on a replica, for what its client has seen elsewhere.
    pub session_wait_max: Duration,
    /// The settings of writes.
    pub writes: WriteSettings,
    /// The settings of the access log.
    pub journal: JournalSettings,
}

/// The role of a server among those with the same store.
pub enum Role {
    /// It takes writes; this is the way to make them, and how far copies have them.
    Primary(Writer, Acks),
    /// It is a copy of the one at this address, and takes none.
    Replica(Arc<str>),
    /// It is a copy, and passes them on.
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
    pub clock: Clock,
}

/// The way that writes take.
enum Taken {
    Here(Writes),
    /// Clients are told who takes them.
    Elsewhere(Arc<str>),
    /// The primary is asked, once their bodies came.
    Passed(Arc<Forward>),
}

impl Taken {
    /// The same with other settings.
    fn with(&self, settings: &Settings) -> Self {
        match self {
            Self::Here(writes) => Self::Here(writes.with(settings.writes.clone())),
            Self::Elsewhere(primary) => Self::Elsewhere(Arc::clone(primary)),
            Self::Passed(forward) => Self::Passed(Arc::clone(forward)),
        }
    }
}

/// The public API over one store.
pub struct Api {
    reads: Reads,
    lookup: Lookup,
    bodies: Bodies,
    sessions: Sessions,
    surface: Surface,
    /// True if products are asked for as those of a campus.
    has_campus: bool,
    terms: Live<Terms>,
    health: Arc<Health>,
    meters: Meters,
}

/// The settings that a reload replaces.
struct Terms {
    page_rows_max: usize,
    page_bytes_max: usize,
    wait_time_max: Duration,
    trusted_proxies: Proxies,
    serve_stale: bool,
    /// The time for which a read waits for what its client has seen; `None` on a primary.
    session_wait_max: Option<Duration>,
    cors: Cors,
    pace: Pace,
    writes: Taken,
    journal: JournalSettings,
}

impl Terms {
    fn new(settings: &Settings, writes: Taken) -> Self {
        // What is written on a primary is here before it is answered.
        let is_primary = matches!(writes, Taken::Here(_));
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
            journal: settings.journal,
        }
    }
}

impl Api {
    /// An API over `backend`.
    ///
    /// # Errors
    ///
    /// When the store does not tell what it holds.
    pub fn new(backend: Backend, settings: &Settings) -> Result<Self, store::Error> {
        let Backend {
            store,
            role,
            generations,
            health,
            clock,
        } = backend;
        let budget_bytes = settings.answer_bytes_max / BUDGET_SHARE;
        let body_bytes = settings.answer_bytes_max / BODIES_SHARE;
        let writes = match role {
            Role::Primary(writer, acks) => {
                let has_catalogue = store.counters()?.products > 0;
                let settings = settings.writes.clone();
                Taken::Here(Writes::new(writer, acks, settings, has_catalogue, clock))
            }
            Role::Replica(primary) => Taken::Elsewhere(primary),
            Role::Forwarding(forward) => Taken::Passed(Arc::new(forward)),
        };
        let spelling = Spelling {
            dialect: settings.dialect,
            price_decimals: settings.catalogue.price_decimals,
            made_ms: store.identity().made_ms,
        };
        Ok(Self {
            sessions: Sessions::new(store.clone()),
            reads: Reads::new(store),
            lookup: Lookup::new(
                settings.answer_bytes_max - budget_bytes - body_bytes,
                budget_bytes,
                generations,
                spelling,
            ),
            bodies: Bodies::new(body_bytes),
            surface: if settings.empty_neighbours {
                Surface::WithNeighbours
            } else {
                Surface::Public
            },
            has_campus: settings.catalogue.hosted_fields,
            terms: Live::new(Terms::new(settings, writes)),
            health,
            meters: Meters::new(),
        })
    }

    /// Takes other settings for the requests that begin from now on: all but the spelling, which what
    /// is kept was rendered in, the paths, and the memory, which is divided once.
    pub fn reload(&self, settings: &Settings) {
        let writes = self.terms.now().writes.with(settings);
        self.terms.replace(Terms::new(settings, writes));
    }

    /// Answers one request, that came from `peer`. Its body is read only where a route takes one.
    pub async fn handle<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Pieces>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        let terms = self.terms.now();
        let under_way = self.meters.begin();
        let (mut head, body) = request.into_parts();
        let mut id = RequestId::of(&head.headers);
        let target = http1::admit(&head).and_then(|()| {
            route::find(self.surface, &head.method, head.uri.path()).map_err(ApiError::from)
        });
        let endpoint = Endpoint::of(&target);
        let reply = match self.answer(&terms, target, &head, body, peer).await {
            Ok(reply) => reply,
            Err(error) => error.report(&head, &mut id),
        };
        let answered = Answered {
            head: &head,
            peer,
            status: reply.status(),
            body_bytes: reply.body_bytes(),
            time: under_way.end(endpoint, &head.method, reply.status()),
        };
        terms.journal.note(&answered, &mut id);
        let opening = terms.cors.open(&head.headers);
        reply.into_response(&mut head, opening, id)
    }

    /// Tells of requests, of the answers that are kept, and of reads that wait for the disk.
    pub fn describe(&self, page: &mut Exposition) {
        self.health.describe(page);
        match &self.terms.now().writes {
            Taken::Here(writes) => writes.describe(page),
            Taken::Elsewhere(_) => {}
            Taken::Passed(forward) => forward.describe(page),
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
            "Bytes of the buffers that the bodies of requests under way are read into.",
        )
        .value(self.bodies.held_bytes());
        page.gauge(
            "reviewsd_request_body_max_bytes",
            "Bytes that those buffers may take together.",
        )
        .value(self.bodies.max_bytes());
        page.counter(
            "reviewsd_request_body_refusals_total",
            "Requests that were answered 503, because other bodies held the bytes for theirs.",
        )
        .value(self.bodies.refused());
    }

    async fn answer<B>(
        &self,
        terms: &Terms,
        target: Result<Target<'_>, ApiError>,
        head: &Parts,
        body: B,
        peer: IpAddr,
    ) -> Result<Reply, ApiError>
    where
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>>,
    {
        match target? {
            Target::Options { allow } => Ok(cors::options(allow, &head.headers)),
            Target::Read(Route::Livez) => Ok(self.health.live()),
            Target::Read(Route::Readyz) => self.health.ready(),
            Target::Read(Route::Questions) => {
                query::product(head.uri.query()).map(neighbours::questions)
            }
            Target::Read(Route::Cart) => Ok(neighbours::cart()),
            Target::Discard => {
                Box::pin(self.bodies.read(body, terms.pace)).await?;
                Ok(neighbours::interaction())
            }
            Target::Read(route) => {
                if !terms.serve_stale
                    && let Some(why) = self.health.stale()
                {
                    return Err(ApiError::Stale(why));
                }
                let mut question =
                    query::understand(&route, head.uri.query(), terms.page_rows_max)?;
                if self.has_campus {
                    question = question.of_campus(Campus::of(route::campus(head.uri.path())));
                }
                let ask = Ask {
                    peer,
                    headers: &head.headers,
                    trusted_proxies: &terms.trusted_proxies,
                    page_bytes_max: terms.page_bytes_max,
                    wait_time_max: terms.wait_time_max,
                };
                match Seen::of(&head.headers)? {
                    None => self.reply(question, ask).await,
                    // On the heap, as below.
                    Some(seen) => Box::pin(self.after(seen, question, ask, terms)).await,
                }
            }
            // A copy that passed it on has looked already, and no page can say that one did.
            Target::Write(_)
                if !terms.cors.may_write(&head.headers)
                    && !forward::came_from_copy(&head.headers) =>
            {
                Err(ApiError::ForeignOrigin)
            }
            Target::Write(deed) => {
                // On the heap, so that a read does not carry the room that a write takes.
                match &terms.writes {
                    Taken::Here(writes) => {
                        let body = (body, &self.bodies);
                        let answer = writes.answer(deed, head, body, peer, &self.reads);
                        Box::pin(answer).await
                    }
                    Taken::Elsewhere(primary) => Err(ApiError::ReadOnly {
                        allow: deed.allow_without(),
                        primary: Arc::clone(primary),
                    }),
                    Taken::Passed(forward) => {
                        let body = Box::pin(self.bodies.read(body, terms.pace)).await?;
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
        seen: Seen,
        question: Question,
        ask: Ask<'_>,
        terms: &Terms,
    ) -> Result<Reply, ApiError> {
        let wait_time_max = terms.session_wait_max;
        self.sessions
            .reach(seen, wait_time_max, &self.reads)
            .await?;
        let reply = self.reply(question, ask).await?;
        let place = self.sessions.place(&self.reads).await?;
        Ok(reply.at(place))
    }

    /// The answer to `question`.
    async fn reply(&self, question: Question, ask: Ask<'_>) -> Result<Reply, ApiError> {
        let answer = self.lookup.answer(question, ask, &self.reads, &self.meters);
        let Answer { body, truncated } = answer.await?;
        Ok(Reply::json(body).truncated(truncated))
    }
}
