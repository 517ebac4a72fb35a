//! Requests that are handed on to another server, over connections that are kept.
//!
//! Must not know what is asked. Invariants: connections, time and answers are bounded; a request that
//! may have been read by the other side is sent again only when whoever hands it on says that it may
//! be.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::dial::Dialer;
use crate::metrics::{Counter, Exposition};

/// Requests under way at once; whoever comes beyond waits, within the time of its request.
const UNDER_WAY_MAX: usize = 64;
/// The time for which a connection is kept for the next request. Much shorter than the other side's, so
/// that hardly ever a request meets a connection that is just being closed.
const KEEP_TIME_MAX: Duration = Duration::from_secs(20);
/// The time after which a kept connection must be usable again.
const READY_TIME_MAX: Duration = Duration::from_millis(100);
/// An answer to a write is a sentence, or as many as are told of a body's faults.
const ANSWER_BYTES_MAX: usize = 64 << 10;

type Connection = SendRequest<Full<Bytes>>;

/// Another server.
pub struct Upstream {
    dialer: Dialer,
    kept: Mutex<Vec<(Connection, Instant)>>,
    slots: Semaphore,
    time_max: Duration,
    answered: Counter,
    unreached: Counter,
    lost: Counter,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// Nothing of the request was sent.
    Unsent(String),
    /// The other side may have done what was asked.
    Lost(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsent(why) => write!(f, "it could not be sent: {why}"),
            Self::Lost(why) => write!(f, "it was sent, and there is no answer: {why}"),
        }
    }
}

impl std::error::Error for Unanswered {}

impl Upstream {
    /// The server that `dialer` reaches. A request with its answer takes `time_max` at most.
    #[must_use]
    pub fn new(dialer: Dialer, time_max: Duration) -> Self {
        Self {
            dialer,
            kept: Mutex::default(),
            slots: Semaphore::new(UNDER_WAY_MAX),
            time_max,
            answered: Counter::default(),
            unreached: Counter::default(),
            lost: Counter::default(),
        }
    }

    /// The host and the port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.dialer.authority()
    }

    /// Hands a request on and gives the whole answer. `is_repeatable` tells that the other side takes
    /// the request twice for one.
    ///
    /// # Errors
    ///
    /// When there is no answer, or none of a sane size.
    pub async fn send(
        &self,
        request: &Request<Full<Bytes>>,
        is_repeatable: bool,
    ) -> Result<Response<Bytes>, Unanswered> {
        let deadline = Instant::now() + self.time_max;
        let answer = self.send_until(request, is_repeatable, deadline).await;
        match &answer {
            Ok(_) => &self.answered,
            Err(Unanswered::Unsent(_)) => &self.unreached,
            Err(Unanswered::Lost(_)) => &self.lost,
        }
        .count();
        answer
    }

    async fn send_until(
        &self,
        request: &Request<Full<Bytes>>,
        mut is_repeatable: bool,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Unanswered> {
        let slot = timeout_at(deadline, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(Unanswered::Unsent("too many wait".to_owned()));
        };
        let mut kept = self.take().await;
        loop {
            let was_kept = kept.is_some();
            let mut connection = match kept.take() {
                Some(kept) => kept,
                None => self.connect(deadline).await?,
            };
            match exchange(&mut connection, request.clone(), deadline).await {
                Ok(answer) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                // It was closed meanwhile. A new one is tried, once.
                Err(Unanswered::Unsent(_)) if was_kept => {}
                Err(Unanswered::Lost(_)) if is_repeatable => is_repeatable = false,
                Err(unanswered) => return Err(unanswered),
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, Unanswered> {
        let connected = timeout_at(deadline, self.dialer.connect()).await;
        let connected = connected.map_err(|_| Unanswered::Unsent("it took too long".to_owned()))?;
        connected.map_err(|error| Unanswered::Unsent(error.to_string()))
    }

    /// A connection that can be used again, if there is one.
    async fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.kept().pop()?;
            if since.elapsed() > KEEP_TIME_MAX {
                // Those before it have waited for longer.
                self.kept().clear();
                return None;
            }
            if let Ok(Ok(())) = timeout(READY_TIME_MAX, connection.ready()).await {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept();
        kept.retain(|(connection, since)| {
            !connection.is_closed() && since.elapsed() <= KEEP_TIME_MAX
        });
        // No more than there are requests at once.
        kept.push((connection, Instant::now()));
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what became of requests.
    pub fn describe(&self, page: &mut Exposition) {
        let mut requests = page.counter(
            "reviewsd_forwarded_writes_total",
            "Writes that were passed on to the primary: answered; not sent, because it could not be \
             reached; or sent, and without an answer.",
        );
        for (outcome, count) in [
            ("answered", &self.answered),
            ("unreached", &self.unreached),
            ("lost", &self.lost),
        ] {
            requests.sample(&[("outcome", outcome)], count.get());
        }
        let under_way = UNDER_WAY_MAX - self.slots.available_permits();
        page.gauge(
            "reviewsd_forwarded_writes_in_flight",
            "Writes that are being passed on.",
        )
        .value(under_way as u64);
    }
}

/// One request and its whole answer.
async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
    deadline: Instant,
) -> Result<Response<Bytes>, Unanswered> {
    let slow = |_| Unanswered::Lost("it took too long".to_owned());
    let sent = connection.try_send_request(request);
    let answer = timeout_at(deadline, sent).await.map_err(slow)?;
    let answer = answer.map_err(|mut error| {
        let is_unsent = error.take_message().is_some();
        let why = error.into_error().to_string();
        if is_unsent {
            Unanswered::Unsent(why)
        } else {
            Unanswered::Lost(why)
        }
    })?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect();
    let body = timeout_at(deadline, body).await.map_err(slow)?;
    let body = body.map_err(|error| Unanswered::Lost(error.to_string()))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
