//! The options of TCP sockets.
//!
//! Must not know whose sockets they are. Invariant: an option that the system does not take stops nothing.

use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The time for which a connection may be silent before the system asks whether the other side is still there.
const KEEPALIVE_TIME: Duration = Duration::from_mins(1);
/// The time from one such question to the next.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Questions without an answer, after which the connection is broken.
const KEEPALIVE_QUESTIONS: u32 = 6;
/// Bytes of an answer that the system takes over before it can send them. Without a bound it takes
/// megabytes for each client that does not read, which no budget of the server includes.
const UNSENT_BYTES_MAX: u32 = 32 << 10;

/// Sets the options of every connection: a peer that vanished is noticed, and written bytes are sent at once.
pub(super) fn set(socket: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_QUESTIONS);
    // One that was closed by the peer already is noticed by the first read.
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    // Requests and answers are written whole, so waiting for more bytes gains nothing.
    let _ = socket.set_nodelay(true);
}

/// Sets the further options of an accepted connection, whose client is unknown.
pub(super) fn set_accepted(socket: &TcpStream) {
    set(socket);
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn both_sides_notice_a_peer_that_vanished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap());
        let ours = ours.await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        set(&ours);
        set_accepted(&theirs);
        for socket in [&ours, &theirs] {
            let socket = SockRef::from(socket);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        }
        let unsent = SockRef::from(&theirs).tcp_notsent_lowat().unwrap();
        assert_eq!(unsent, UNSENT_BYTES_MAX);
    }
}
