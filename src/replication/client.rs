//! The replica's side of HTTP: one request after the other on a connection that is kept.
//!
//! Must not know what is asked. Invariants: connecting and waiting for an answer are bounded; an
//! answer that is no stream is read within a bound.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, HOST, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::token::Token;
use crate::net::{Dialer, NoConnection, Tls, trouble};

/// The time for a kept connection to be ready for use again.
const READY_TIME_MAX: Duration = Duration::from_millis(100);
/// An answer that is read whole has so many bytes at most: the names of a million files.
const WHOLE_BYTES_MAX: usize = 64 << 20;
/// The time for all of them.
const WHOLE_TIME_MAX: Duration = Duration::from_mins(1);

/// A primary: its address, the way there and the secret.
#[derive(Debug, Clone)]
pub struct PrimaryAddress {
    /// Like `http://10.0.0.1:8081`, or `https://…`.
    pub primary: String,
    /// The way there.
    pub dialer: Dialer,
    /// The shared secret.
    pub token: Token,
}

/// The way to other servers, which are told no secret.
#[derive(Clone)]
pub struct Dial(Arc<Tls>);

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dial")
    }
}

impl Dial {
    /// With what `tls` has, where an address asks for it.
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

    /// The whole answer of a server to `GET path`; `None` where there is none.
    pub(super) async fn ask(&self, url: &str, path: &str) -> Option<Bytes> {
        let dialer = Dialer::new(url, &self.0)?;
        let mut connection = dialer.connect().await.ok()?;
        let request = Request::get(path).header(HOST, dialer.authority());
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        let answer = connection.send_request(request).await.ok()?;
        whole(answer).await.ok()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// It did not come in time.
    Slow(&'static str),
    /// There is no connection.
    NoConnection(NoConnection),
    /// The request is none.
    Unfit(hyper::http::Error),
    /// The other side does not speak HTTP.
    Http(hyper::Error),
    /// It is too long.
    Long,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow(doing) => write!(f, "{doing} took too long"),
            Self::NoConnection(error) => error.fmt(f),
            Self::Unfit(error) => error.fmt(f),
            Self::Http(error) => {
                // Whether our certificate is taken shows only with the first answer.
                if let Some(trouble) = trouble(error) {
                    return f.write_str(&trouble);
                }
                error.fmt(f)?;
                std::error::Error::source(error).map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::Long => f.write_str("the answer is too long"),
        }
    }
}

/// A connection to a primary.
pub struct PrimaryConnection {
    source: PrimaryAddress,
    kept: Option<SendRequest<Empty<Bytes>>>,
}

impl PrimaryConnection {
    /// One that connects when it has something to ask.
    #[must_use]
    pub fn new(source: PrimaryAddress) -> Self {
        Self { source, kept: None }
    }

    /// Asks for `path`, from byte `from` on.
    pub async fn get(
        &mut self,
        path: &str,
        from: u64,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.ask(Method::GET, path, from, answer_time_max).await
    }

    /// Tells something that needs no body.
    pub async fn post(
        &mut self,
        path: &str,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.ask(Method::POST, path, 0, answer_time_max).await
    }

    /// Gives something back.
    pub async fn delete(
        &mut self,
        path: &str,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        self.ask(Method::DELETE, path, 0, answer_time_max).await
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        from: u64,
        answer_time_max: Duration,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut connection = match self.kept().await {
            Some(kept) => kept,
            None => self
                .source
                .dialer
                .connect()
                .await
                .map_err(NoAnswer::NoConnection)?,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.source.dialer.authority())
            .header(AUTHORIZATION, self.source.token.authorization());
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let request = request.body(Empty::new());
        let request = request.map_err(NoAnswer::Unfit)?;
        let answer = timeout(answer_time_max, connection.send_request(request)).await;
        let answer = answer.map_err(|_| NoAnswer::Slow("the answer"))?;
        let answer = answer.map_err(NoAnswer::Http)?;
        self.kept = Some(connection);
        Ok(answer)
    }

    /// The connection of the last request, if it can be used again.
    async fn kept(&mut self) -> Option<SendRequest<Empty<Bytes>>> {
        let mut kept = self.kept.take()?;
        // One whose last answer was not read to its end never gets ready.
        let ready = timeout(READY_TIME_MAX, kept.ready()).await;
        matches!(ready, Ok(Ok(()))).then_some(kept)
    }
}

/// Returns the meaning of a status that a primary should not answer with.
pub(super) fn unexpected(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "the primary has another token".to_owned(),
        StatusCode::NOT_FOUND => {
            "what answers there serves no copies (is replication.token_file set?)".to_owned()
        }
        StatusCode::BAD_REQUEST => {
            "what answers there does not take the question (does it speak TLS? then follow https://)"
                .to_owned()
        }
        status => format!("the primary answers {status}"),
    }
}

/// Reads an answer to its end, which must come within a bound.
pub async fn whole(answer: Response<Incoming>) -> Result<Bytes, NoAnswer> {
    whole_within(answer, WHOLE_TIME_MAX).await
}

async fn whole_within(answer: Response<Incoming>, time_max: Duration) -> Result<Bytes, NoAnswer> {
    let body = Limited::new(answer.into_body(), WHOLE_BYTES_MAX);
    let body = timeout(time_max, body.collect()).await;
    let body = body.map_err(|_| NoAnswer::Slow("the rest of the answer"))?;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => NoAnswer::Http(*error),
            Err(_) => NoAnswer::Long,
        })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_stops_in_the_middle_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let primary = format!("http://{}", listener.local_addr().unwrap());
        let silent = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            assert!(socket.read(&mut head).await.unwrap() > 0);
            let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
            socket.write_all(begun).await.unwrap();
            // Until the client gives up.
            let _ = socket.read_to_end(&mut Vec::new()).await;
        });
        let tls = Tls::load(crate::net::TlsFiles::default()).unwrap();
        let mut client = PrimaryConnection::new(PrimaryAddress {
            dialer: Dialer::new(&primary, &Arc::new(tls)).unwrap(),
            primary,
            token: Token::none(),
        });
        let answer = client.get("/", 0, WHOLE_TIME_MAX).await.unwrap();
        let read = whole_within(answer, Duration::from_millis(50)).await;
        assert!(matches!(read, Err(NoAnswer::Slow(_))), "{read:?}");
        drop(client);
        silent.await.unwrap();
    }
}
