//! The clients of the admin port: who they are, and what each role may use.
//!
//! Must not know the endpoints, nor where tokens are kept. Invariants: an operator may use every endpoint; to a client
//! of another machine, and once there are tokens to every client, only what is open is answered without a token or a
//! certificate; no token gets into a log, an answer or a metric.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use crate::client::ClientAddress;
use crate::error::ApiError;
use crate::metrics::{Counter, Exposition};
use crate::model::moderation::{Actor, Role};
use crate::net::{ClientCertificate, SameMachine};
use crate::writes::MonotonicClock;
use crate::writes::limits::{RateLimit, Rates};

use super::tokens::TokenTable;

/// Requests with a wrong token that are answered as such for each address; beyond it the answer is 429. A token has
/// 256 random bits, so this bounds what failures cost and not the chance of a guess.
const FAILURES: RateLimit = RateLimit {
    per_second: 1,
    burst: 10,
};

/// The clients that may use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Every client that reaches the port.
    Open,
    /// Clients with any role, and every client if the metrics are open.
    Metrics,
    /// Clients with any role; others get the position of the store alone.
    Position,
    /// Clients with one of these roles.
    Roles(&'static [Role]),
}

impl Access {
    /// Admits a client with `role`.
    pub(super) fn admit(self, role: Role) -> Result<(), ApiError> {
        match self {
            Self::Roles(needed) if !needed.contains(&role) => Err(ApiError::OtherRole { needed }),
            Self::Open | Self::Metrics | Self::Position | Self::Roles(_) => Ok(()),
        }
    }
}

/// True if clients with this role are shown the e-mail addresses of reviewers.
pub(super) fn sees_addresses(role: Role) -> bool {
    match role {
        Role::Moderator | Role::Operator => true,
        Role::Reader | Role::Catalogue | Role::Replica => false,
    }
}

/// The proof by which a client may fetch the store and its commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaProof {
    /// A token with a role that replicates.
    Token,
    /// A certificate.
    Certificate,
    /// None is needed: the client is on this machine, and there are no tokens.
    Local,
    /// None.
    Missing,
}

/// The tokens that an admin port accepts, and its count of refusals.
pub struct AccessControl {
    /// `None` if no file of tokens is configured.
    tokens: ArcSwapOption<TokenTable>,
    is_metrics_open: bool,
    failures: Rates,
    clock: MonotonicClock,
    /// The time of day, in milliseconds since 1970.
    now_ms: fn() -> i64,
    refusals: AccessRefusals,
}

/// Requests that were refused, by reason.
#[derive(Debug, Default)]
struct AccessRefusals {
    missing: Counter,
    unknown: Counter,
    expired: Counter,
    role: Counter,
    rate: Counter,
}

/// The reason a client is not identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotIdentified {
    /// It has neither a token nor a certificate.
    Missing,
    /// No token of the server is its token.
    Unknown,
    /// Its token has expired.
    Expired,
}

impl AccessControl {
    /// Accepts `tokens`, if there are any; `None` is for a server without a file of tokens.
    #[must_use]
    pub fn new(
        tokens: Option<TokenTable>,
        is_metrics_open: bool,
        clock: MonotonicClock,
        now_ms: fn() -> i64,
    ) -> Self {
        Self {
            tokens: ArcSwapOption::from_pointee(tokens),
            is_metrics_open,
            failures: Rates::small(FAILURES),
            clock,
            now_ms,
            refusals: AccessRefusals::default(),
        }
    }

    /// Accepts these tokens from now on, and no others.
    pub fn replace(&self, tokens: TokenTable) {
        self.tokens.store(Some(Arc::new(tokens)));
    }

    /// True if there is a token with this role.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        let tokens = self.tokens.load();
        let mut all = tokens.iter().flat_map(|tokens| tokens.iter());
        all.any(|token| token.role == role)
    }

    /// True if there is a file of tokens, so that clients on this machine need one, too.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        self.tokens.load().is_some()
    }

    /// Admits a request to an endpoint with `access`. Returns the client, unless it needs no proof and has none.
    pub(super) fn admit(
        &self,
        access: Access,
        head: &Parts,
        peer: IpAddr,
    ) -> Result<Option<Actor>, ApiError> {
        match access {
            Access::Open => return Ok(None),
            Access::Metrics if self.is_metrics_open => return Ok(None),
            Access::Metrics | Access::Position | Access::Roles(_) => {}
        }
        let actor = match (self.identify(head, peer), access) {
            (Ok(actor), _) => actor,
            (Err(NotIdentified::Missing), Access::Position) => return Ok(None),
            (Err(why), _) => return Err(self.refuse(why, peer)),
        };
        access.admit(actor.role).inspect_err(|_| {
            self.refusals.role.count();
        })?;
        Ok(Some(actor))
    }

    /// Returns the proof by which a request may fetch the store.
    pub(super) fn replica_proof(&self, head: &Parts, peer: IpAddr) -> ReplicaProof {
        let may = |actor: &Actor| matches!(actor.role, Role::Replica | Role::Operator);
        match self.identify(head, peer) {
            Ok(actor) if may(&actor) && self.has_tokens() && bearer(&head.headers).is_some() => {
                ReplicaProof::Token
            }
            Ok(actor) if may(&actor) && certificate(head).is_some() => ReplicaProof::Certificate,
            Ok(_) if !self.has_tokens() && is_local(head, peer) => ReplicaProof::Local,
            Ok(_) | Err(_) => ReplicaProof::Missing,
        }
    }

    /// Returns the client of a request. A token that is sent counts alone, so that a client is never more than its
    /// token says.
    fn identify(&self, head: &Parts, peer: IpAddr) -> Result<Actor, NotIdentified> {
        let tokens = self.tokens.load();
        if let (Some(tokens), Some(token)) = (&*tokens, bearer(&head.headers)) {
            let record = tokens.find(token).ok_or(NotIdentified::Unknown)?;
            if record.is_expired((self.now_ms)()) {
                return Err(NotIdentified::Expired);
            }
            return Ok(Actor {
                name: record.name.clone(),
                role: record.role,
            });
        }
        if let Some(shown) = certificate(head) {
            return Ok(Actor {
                name: format!("certificate {}", shown.name()),
                role: Role::Operator,
            });
        }
        if tokens.is_none() && is_local(head, peer) {
            return Ok(Actor {
                name: "loopback".to_owned(),
                role: Role::Operator,
            });
        }
        Err(NotIdentified::Missing)
    }

    /// Counts a refusal, and returns the error for the client.
    fn refuse(&self, why: NotIdentified, peer: IpAddr) -> ApiError {
        let counter = match why {
            NotIdentified::Missing => {
                self.refusals.missing.count();
                let has_tokens = self.has_tokens();
                return ApiError::NoToken { has_tokens };
            }
            NotIdentified::Unknown => &self.refusals.unknown,
            NotIdentified::Expired => &self.refusals.expired,
        };
        if let Err(error) = self.count_failure(peer) {
            return error;
        }
        counter.count();
        let is_expired = why == NotIdentified::Expired;
        let what = if is_expired {
            "an expired"
        } else {
            "an unknown"
        };
        tracing::warn!("{peer} sent {what} token to the admin API");
        ApiError::WrongToken { is_expired }
    }

    /// Counts a wrong secret from `peer`; an error if there were too many.
    pub(super) fn count_failure(&self, peer: IpAddr) -> Result<(), ApiError> {
        let client = ClientAddress::of(peer, &HeaderMap::new(), &[]);
        self.failures.take(&client, (self.clock)()).map_err(|wait| {
            self.refusals.rate.count();
            ApiError::TooManyTokens { wait }
        })
    }

    /// Reports the refusals.
    pub fn describe(&self, page: &mut Exposition) {
        let AccessRefusals {
            missing,
            unknown,
            expired,
            role,
            rate,
        } = &self.refusals;
        let mut family = page.counter(
            "reviewsd_admin_refused_total",
            "Requests to the admin API that were refused: no token, an unknown or expired one, a role that may not, \
             or too many wrong tokens from one address.",
        );
        for (reason, counter) in [
            ("missing", missing),
            ("unknown", unknown),
            ("expired", expired),
            ("role", role),
            ("rate", rate),
        ] {
            family.sample(&[("reason", reason)], counter.get());
        }
    }
}

/// The token that a request sends; none if it is empty, as of a command that has none. Credentials of another scheme
/// are a token that nobody has.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let given = headers.get(AUTHORIZATION)?.as_bytes().trim_ascii();
    if given.is_empty() {
        return None;
    }
    let (scheme, token) = match given.iter().position(|byte| *byte == b' ') {
        Some(end) => given.split_at_checked(end)?,
        None => (given, &b""[..]),
    };
    let token = token.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"Bearer") {
        return (!token.is_empty()).then_some(token);
    }
    Some(b"")
}

fn certificate(head: &Parts) -> Option<&ClientCertificate> {
    head.extensions.get()
}

/// True if a client is on this machine: by loopback, or by another address of the machine.
fn is_local(head: &Parts, peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || head.extensions.get::<SameMachine>().is_some()
}
