//! The server's side of TLS: from a socket to a connection with verified peers.
//!
//! Invariants: a client that speaks plain HTTP gets an answer in HTTP; a handshake takes no longer than the
//! head of a request may.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::ClientCertificate;
use super::trouble::trouble;

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;
/// The answer to a request without TLS.
const PLAIN: &str = "Error: this port speaks TLS only; use https://";
/// The time for which the rest of such a request is read and thrown away, so that its client reads the
/// answer instead of a reset.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// Makes the TLS handshake; otherwise returns why it failed, if the peer or this node is at fault.
pub(super) async fn greet(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    time_max: Duration,
) -> Result<TlsStream<TcpStream>, Option<String>> {
    let greeted = timeout(time_max, agree(socket, config)).await;
    let greeted = greeted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    greeted.map_err(|error| match error.kind() {
        // A probe that only looks whether the port is open.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => None,
        _ => Some(trouble(&error).unwrap_or_else(|| error.to_string())),
    })
}

/// Returns the certificate that the client of a connection showed, if it was asked for one.
pub(super) fn certificate(stream: &TlsStream<TcpStream>) -> Option<ClientCertificate> {
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates()?.first()?;
    Some(ClientCertificate::of(shown))
}

async fn agree(
    mut socket: TcpStream,
    config: Arc<ServerConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if socket.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first != [HANDSHAKE] {
        // The client reads the answer, or has disconnected.
        let _ = timeout(LINGER_TIME, refuse(&mut socket)).await;
        return Err(io::Error::other("it does not speak TLS"));
    }
    TlsAcceptor::from(config).accept(socket).await
}

async fn refuse(socket: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{PLAIN}",
        PLAIN.len()
    );
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    let mut unread = [0; 1024];
    let mut left = LINGER_BYTES;
    while left > 0 {
        let read = socket.read(&mut unread).await?;
        if read == 0 {
            break;
        }
        left = left.saturating_sub(read);
    }
    Ok(())
}
