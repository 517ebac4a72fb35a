//! The replica's requests to its primary, and a primary's to its peers.
//!
//! Must not know what the requests are for. Invariant: a response that is no stream is read within a bound.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use super::token::Token;
pub use crate::net::NoAnswer;
use crate::net::{Dialer, HttpClient, Tls, read_whole};

/// Bytes of a response that is read whole: the names of a million files.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// The time for all of them.
const WHOLE_TIME_MAX: Duration = Duration::from_mins(1);

/// A primary: its address, the way there and the secret.
#[derive(Debug, Clone)]
pub struct PrimaryAddress {
    /// Like `http://10.0.0.1:8081`, or `https://…`.
    pub primary: String,
    /// The connections to it.
    pub dialer: Dialer,
    /// The shared secret.
    pub token: Token,
}

/// Requests to peers, which are sent no secret.
#[derive(Clone)]
pub struct Dial(Arc<Tls>);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    /// With the certificates of `tls`, for peers at an https address.
    #[must_use]
    pub fn over(tls: &Arc<Tls>) -> Self {
        Self(Arc::clone(tls))
    }

    /// Without TLS.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self::over(&Arc::new(
            Tls::load(crate::net::TlsFiles::default()).unwrap(),
        ))
    }

    /// True if `url` is the address of a server.
    pub(super) fn takes(&self, url: &str) -> bool {
        Dialer::new(url, &self.0).is_some()
    }

    /// Returns the whole response of a server to `GET path`; `None` if there is none.
    pub(super) async fn ask(&self, url: &str, path: &str) -> Option<Bytes> {
        let client = HttpClient::new(Dialer::new(url, &self.0)?);
        let request = Request::get(path).body(Full::default()).ok()?;
        let deadline = Instant::now() + WHOLE_TIME_MAX;
        let response = client.exchange(request, WHOLE_BYTES_MAX, deadline).await;
        Some(response.ok()?.into_body())
    }
}

/// A client of a primary.
pub struct PrimaryConnection {
    client: HttpClient,
    token: Token,
}

impl PrimaryConnection {
    /// A client that connects with its first request.
    #[must_use]
    pub fn new(source: PrimaryAddress) -> Self {
        Self {
            client: HttpClient::new(source.dialer),
            token: source.token,
        }
    }

    /// Gets `path`, from byte `from` on.
    pub async fn get(
        &mut self,
        path: &str,
        from: u64,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.send(Method::GET, path, from, answer_time_max).await
    }

    /// Posts to `path` without a body.
    pub async fn post(
        &mut self,
        path: &str,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.send(Method::POST, path, 0, answer_time_max).await
    }

    /// Deletes what is at `path`.
    pub async fn delete(
        &mut self,
        path: &str,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.send(Method::DELETE, path, 0, answer_time_max).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        from: u64,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(authorization) = self.token.header() {
            request = request.header(AUTHORIZATION, authorization);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Full::default()).map_err(NoAnswer::Invalid)?;
        let deadline = Instant::now() + answer_time_max;
        self.client.send(request, deadline).await
    }
}

/// Returns the meaning of a status that a primary should not answer with.
pub(super) fn unexpected(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "the primary has another token".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => {
            "the primary has another token, and was asked too often with this one".to_owned()
        }
        StatusCode::NOT_FOUND => {
            "the server there serves no replicas (is replication.token_file set?)".to_owned()
        }
        StatusCode::BAD_REQUEST => {
            "the server there rejects the request (does it speak TLS? then follow https://)"
                .to_owned()
        }
        status => format!("the primary answers {status}"),
    }
}

/// Reads a response to its end, which must come within a bound.
pub async fn whole(response: Response<Incoming>) -> Result<Bytes, NoAnswer> {
    let deadline = Instant::now() + WHOLE_TIME_MAX;
    let whole = read_whole(response, WHOLE_BYTES_MAX, deadline).await?;
    Ok(whole.into_body())
}
