//! Requests that are passed on to another server.
//!
//! Must not know the requests. Invariants: requests, time and responses are bounded; a request that the server
//! may have read is sent again only when the caller says that it may be.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::dial::Dialer;
use super::http_client::HttpClient;
use crate::metrics::{Counter, Exposition};

/// Requests in flight at once; those above it wait, within the time of each.
const IN_FLIGHT_MAX: usize = 64;
/// A response to a write is a sentence, or the list of a body's validation errors.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

/// Another server.
pub struct Upstream {
    client: HttpClient,
    slots: Semaphore,
    time_max: Duration,
    answered: Counter,
    unreached: Counter,
    lost: Counter,
}

/// The reason there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The request was not sent, not even in part.
    Unsent(String),
    /// The server may have processed the request.
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
            client: HttpClient::new(dialer),
            slots: Semaphore::new(IN_FLIGHT_MAX),
            time_max,
            answered: Counter::default(),
            unreached: Counter::default(),
            lost: Counter::default(),
        }
    }

    /// Passes a request on, and returns the whole response. `is_repeatable` states that the server treats a
    /// repeated request as one.
    ///
    /// # Errors
    ///
    /// When there is no response within the bounds.
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
        is_repeatable: bool,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Unanswered> {
        let slot = timeout_at(deadline, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(Unanswered::Unsent("too many requests wait".to_owned()));
        };
        let mut was_sent = false;
        loop {
            let sent = self
                .client
                .exchange(request.clone(), RESPONSE_BYTES_MAX, deadline);
            match sent.await {
                Ok(response) => return Ok(response),
                Err(error) if !error.is_unsent() && is_repeatable && !was_sent => was_sent = true,
                Err(error) if error.is_unsent() && !was_sent => {
                    return Err(Unanswered::Unsent(error.to_string()));
                }
                Err(error) => return Err(Unanswered::Lost(error.to_string())),
            }
        }
    }

    /// Reports the outcomes of requests.
    pub fn describe(&self, page: &mut Exposition) {
        let mut requests = page.counter(
            "reviewsd_forwarded_writes_total",
            "Writes that were forwarded to the primary: answered; unreached, because it could not be \
             reached; or lost, because there was no answer.",
        );
        for (outcome, count) in [
            ("answered", &self.answered),
            ("unreached", &self.unreached),
            ("lost", &self.lost),
        ] {
            requests.sample(&[("outcome", outcome)], count.get());
        }
        let in_flight = IN_FLIGHT_MAX - self.slots.available_permits();
        page.gauge(
            "reviewsd_forwarded_writes_in_flight",
            "Writes that are being forwarded.",
        )
        .value(in_flight as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Tls, TlsFiles};

    #[tokio::test]
    async fn a_write_sent_once_and_not_again_counts_as_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            // No second connection, and no answer on the first.
            drop(listener);
            socket.read_u8().await.unwrap();
        });
        let tls = Arc::new(Tls::load(TlsFiles::default()).unwrap());
        let dialer = Dialer::new(&url, &tls).unwrap();
        let upstream = Upstream::new(dialer, Duration::from_mins(1));
        let request = Request::new(Full::default());
        let sent = upstream.send(&request, true).await;
        assert!(matches!(sent, Err(Unanswered::Lost(_))), "{sent:?}");
        server.await.unwrap();
        let sent = upstream.send(&request, true).await;
        assert!(matches!(sent, Err(Unanswered::Unsent(_))), "{sent:?}");
    }
}
