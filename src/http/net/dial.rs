//! Connections to other servers.
//!
//! Must not know the requests on them. Invariants: connecting is bounded; over https, nothing is sent before
//! the server's certificate is verified.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
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

/// The address of a server, and the certificates to reach it with.
#[derive(Clone)]
pub struct Dialer {
    authority: String,
    /// The certificates and the name to verify, for https.
    tls: Option<(Arc<Tls>, ServerName<'static>)>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialer").field(&self.authority).finish()
    }
}

impl Dialer {
    /// The server at `url`: `http://10.0.0.1:8081`, or `https://…`, which uses the files of
    /// `tls`. `None` for any other text.
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
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Opens a connection. It lasts until the returned handle is dropped or the server closes it.
    pub(super) async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoConnection> {
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

async fn begin(
    io: impl Read + Write + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, NoConnection> {
    let (send, connection) = handshake(io).await.map_err(NoConnection::Http)?;
    tokio::spawn(async move {
        // The request in flight returns its error.
        let _ = connection.await;
    });
    Ok(send)
}

/// The reason there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// Connecting took too long.
    Slow,
    /// An error of the network, the system or TLS.
    Io(io::Error),
    /// The server does not speak HTTP.
    Http(hyper::Error),
    /// No CA file is configured to verify the server with.
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
            Self::NoAuthority => {
                f.write_str("https:// needs tls.ca_file, the CA file to verify the server with")
            }
        }
    }
}

impl std::error::Error for NoConnection {}
