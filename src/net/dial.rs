//! Connections to other servers.
//!
//! Must not know what is asked over them. Invariants: connecting is bounded; where TLS is asked for,
//! nothing is sent before the other side was believed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::options;
use super::tls::Tls;
use super::trouble::trouble;

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// A server, and how it is reached.
#[derive(Clone)]
pub struct Dialer {
    authority: String,
    /// With what, and as whom, where TLS is asked for.
    tls: Option<(Arc<Tls>, ServerName<'static>)>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.authority).finish()
    }
}

impl Dialer {
    /// The server at `url`: `http://10.0.0.1:8081`, or `https://…`, which takes what is in `tls`.
    /// `None` where it is not such a text.
    #[must_use]
    pub fn new(url: &str, tls: &Arc<Tls>) -> Option<Self> {
        let (scheme, authority) = url.split_once("://")?;
        let authority = authority.trim_end_matches('/');
        let (host, _port) = authority.rsplit_once(':')?;
        let tls = match scheme {
            "http" => None,
            "https" => {
                let bare = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'));
                let name = ServerName::try_from(bare.unwrap_or(host).to_owned()).ok()?;
                Some((Arc::clone(tls), name))
            }
            _ => return None,
        };
        Some(Self {
            authority: authority.to_owned(),
            tls,
        })
    }

    /// The host and the port.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Opens a connection, which lasts as long as what is given, or until the other side ends it.
    ///
    /// # Errors
    ///
    /// When there is none; nothing was asked then.
    pub async fn connect<B>(&self) -> Result<SendRequest<B>, NoConnection>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let connected = timeout(CONNECT_TIME_MAX, async {
            let socket = TcpStream::connect(&self.authority).await;
            let socket = socket.map_err(NoConnection::Io)?;
            options::set(&socket);
            let Some((tls, name)) = &self.tls else {
                return begin(TokioIo::new(socket)).await;
            };
            let config = tls.client().ok_or(NoConnection::NoAuthority)?;
            let connector = TlsConnector::from(config);
            let stream = connector.connect(name.clone(), socket).await;
            begin(TokioIo::new(stream.map_err(NoConnection::Io)?)).await
        });
        connected.await.map_err(|_| NoConnection::Slow)?
    }
}

async fn begin<B>(
    io: impl Read + Write + Unpin + Send + 'static,
) -> Result<SendRequest<B>, NoConnection>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let (send, connection) = handshake(io).await.map_err(NoConnection::Http)?;
    tokio::spawn(async move {
        // What goes wrong with it, whoever waits for an answer hears.
        let _ = connection.await;
    });
    Ok(send)
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// It took too long.
    Slow,
    /// The network, the system or TLS says why.
    Io(io::Error),
    /// The other side does not speak HTTP.
    Http(hyper::Error),
    /// Nothing says whom to believe.
    NoAuthority,
}

impl fmt::Display for NoConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow => f.write_str("connecting took too long"),
            Self::Io(error) => match trouble(error) {
                Some(trouble) => f.write_str(&trouble),
                None => error.fmt(f),
            },
            Self::Http(error) => error.fmt(f),
            Self::NoAuthority => f.write_str("https:// needs tls.ca_file, to know whom to believe"),
        }
    }
}

impl std::error::Error for NoConnection {}
