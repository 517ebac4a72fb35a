//! Requests to one server, over connections that are reused.
//!
//! Must not know the requests. Invariants: connecting, waiting and the bytes of a whole response are bounded; a
//! request that the server may have read is not sent a second time.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, http};
use tokio::time::{Instant, timeout, timeout_at};

use super::dial::{Dialer, NoConnection};
use super::trouble::trouble;

/// The time for which an idle connection is retained. Much shorter than the idle timeout of a server, so that a
/// request hardly ever meets a connection that is being closed.
const IDLE_TIME_MAX: Duration = Duration::from_secs(20);
/// The time for an idle connection to become ready. One whose last response was not read to its end never
/// does.
const READY_TIME_MAX: Duration = Duration::from_millis(100);

type Connection = SendRequest<Full<Bytes>>;

/// A client of one server.
pub struct HttpClient {
    dialer: Dialer,
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// The reason there is no response.
#[derive(Debug)]
pub enum NoAnswer {
    /// There is no connection. Nothing was sent.
    NoConnection(NoConnection),
    /// The connection was closed before the request was sent.
    Unsent(hyper::Error),
    /// The request is invalid, and was not sent.
    Invalid(http::Error),
    /// This part did not arrive in time.
    Slow(&'static str),
    /// The connection failed, or the server does not speak HTTP.
    Http(hyper::Error),
    /// The response has more bytes than the caller takes.
    Long,
}

impl NoAnswer {
    /// True if the server cannot have read the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::NoConnection(_) | Self::Unsent(_) | Self::Invalid(_) => true,
            Self::Slow(_) | Self::Http(_) | Self::Long => false,
        }
    }
}

impl HttpClient {
    /// A client that connects with its first request.
    #[must_use]
    pub fn new(dialer: Dialer) -> Self {
        Self {
            dialer,
            idle: Mutex::default(),
        }
    }

    /// The host and the port of the server.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.dialer.authority()
    }

    /// Sends a request, and returns the response as soon as its head has arrived. The body comes as it is
    /// read, without a bound.
    ///
    /// # Errors
    ///
    /// When no head arrives before `deadline`.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let (connection, response) = self.begin(request, deadline).await?;
        self.keep(connection);
        Ok(response)
    }

    /// Sends a request, and returns the whole response.
    ///
    /// # Errors
    ///
    /// When it does not arrive before `deadline`, or has more than `bytes_max` bytes.
    pub async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let (connection, response) = self.begin(request, deadline).await?;
        let response = read_whole(response, bytes_max, deadline).await?;
        self.keep(connection);
        Ok(response)
    }

    async fn begin(
        &self,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(Connection, Response<Incoming>), NoAnswer> {
        let host = HeaderValue::from_str(self.authority());
        let host = host.map_err(|error| NoAnswer::Invalid(error.into()))?;
        request.headers_mut().insert(HOST, host);
        let mut idle = self.take().await;
        loop {
            let is_reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(idle) => idle,
                None => self.connect(deadline).await?,
            };
            let sent = connection.try_send_request(request);
            let sent = timeout_at(deadline, sent).await;
            match sent.map_err(|_| NoAnswer::Slow("the answer"))? {
                Ok(response) => return Ok((connection, response)),
                Err(mut error) => match error.take_message() {
                    // The server closed it meanwhile. A new connection is tried, once.
                    Some(unsent) if is_reused => request = unsent,
                    Some(_) => return Err(NoAnswer::Unsent(error.into_error())),
                    None => return Err(NoAnswer::Http(error.into_error())),
                },
            }
        }
    }

    async fn connect(&self, deadline: Instant) -> Result<Connection, NoAnswer> {
        let connected = timeout_at(deadline, self.dialer.connect()).await;
        let connected = connected.unwrap_or(Err(NoConnection::Slow));
        connected.map_err(NoAnswer::NoConnection)
    }

    /// Takes an idle connection that is ready, if there is one.
    async fn take(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if since.elapsed() > IDLE_TIME_MAX {
                // Those before it have been idle for longer.
                self.idle().clear();
                return None;
            }
            if let Ok(Ok(())) = timeout(READY_TIME_MAX, connection.ready()).await {
                return Some(connection);
            }
        }
    }

    /// Retains a connection for the next request: no more of them than there were requests at once.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        idle.retain(|(connection, since)| {
            !connection.is_closed() && since.elapsed() <= IDLE_TIME_MAX
        });
        idle.push((connection, Instant::now()));
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a response to its end.
///
/// # Errors
///
/// When the end does not arrive before `deadline`, or has more than `bytes_max` bytes before it.
pub async fn read_whole(
    response: Response<Incoming>,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Response<Bytes>, NoAnswer> {
    let (head, body) = response.into_parts();
    let body = timeout_at(deadline, Limited::new(body, bytes_max).collect()).await;
    let body = body.map_err(|_| NoAnswer::Slow("the rest of the answer"))?;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => NoAnswer::Http(*error),
        Err(_) => NoAnswer::Long,
    })?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(error) => error.fmt(f),
            Self::Unsent(error) | Self::Http(error) => {
                // A server that rejects our certificate says so only here.
                if let Some(trouble) = trouble(error) {
                    return f.write_str(&trouble);
                }
                error.fmt(f)?;
                std::error::Error::source(error).map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::Invalid(error) => error.fmt(f),
            Self::Slow(what) => write!(f, "{what} took too long"),
            Self::Long => f.write_str("the answer is too long"),
        }
    }
}

impl std::error::Error for NoAnswer {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::{Tls, TlsFiles};

    /// A client of a server that does `serve` with each connection.
    async fn client<F>(
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> (HttpClient, JoinHandle<()>)
    where
        F: Future<Output = ()> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                serve(socket).await;
            }
        });
        let tls = Tls::load(TlsFiles::default()).unwrap();
        let dialer = Dialer::new(&url, &Arc::new(tls)).unwrap();
        (HttpClient::new(dialer), server)
    }

    /// Reads the head of a request; `false` where the client closed the connection.
    async fn read_head(socket: &mut TcpStream) -> bool {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match socket.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return false,
            }
        }
        true
    }

    fn request() -> Request<Full<Bytes>> {
        Request::new(Full::default())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test]
    async fn a_response_that_stops_halfway_ends_at_the_deadline() {
        let (client, server) = client(|mut socket| async move {
            read_head(&mut socket).await;
            let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
            socket.write_all(half).await.unwrap();
            // Until the client gives up.
            let _ = socket.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let response = client.send(request(), soon()).await.unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let read = read_whole(response, 9, deadline).await;
        assert!(matches!(read, Err(NoAnswer::Slow(_))), "{read:?}");
        server.abort();
    }

    #[tokio::test]
    async fn a_response_beyond_the_bound_is_an_error() {
        let (client, server) = client(|mut socket| async move {
            read_head(&mut socket).await;
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour";
            socket.write_all(whole).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let read = client.exchange(request(), 3, soon()).await;
        assert!(matches!(read, Err(NoAnswer::Long)), "{read:?}");
        server.abort();
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_replaced() {
        let (client, server) = client(|mut socket| async move {
            // One response for each connection, which does not say that it is the last.
            if read_head(&mut socket).await {
                let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                socket.write_all(whole).await.unwrap();
            }
        })
        .await;
        for _ in 0..3 {
            let response = client.exchange(request(), 2, soon()).await.unwrap();
            assert_eq!(response.body(), "ok");
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_connection_is_used_for_the_next_request() {
        let (client, server) = client(|mut socket| async move {
            // Each response counts the requests of its connection.
            for count in 1.. {
                if !read_head(&mut socket).await {
                    break;
                }
                let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{count}");
                socket.write_all(whole.as_bytes()).await.unwrap();
            }
        })
        .await;
        for expected in ["1", "2", "3"] {
            let response = client.exchange(request(), 1, soon()).await.unwrap();
            assert_eq!(response.body(), expected);
        }
        server.abort();
    }

    #[tokio::test]
    async fn a_request_that_the_server_read_is_not_sent_again() {
        let (client, server) = client(|mut socket| async move {
            // The first request of a connection is answered, the second is read.
            for whole in ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""] {
                read_head(&mut socket).await;
                socket.write_all(whole.as_bytes()).await.unwrap();
            }
        })
        .await;
        client.exchange(request(), 0, soon()).await.unwrap();
        let lost = client.exchange(request(), 0, soon()).await.unwrap_err();
        assert!(!lost.is_unsent(), "{lost:?}");
        server.abort();
    }
}
