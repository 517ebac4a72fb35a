//! Sockets: admission of connections, time limits for clients, shutdown; and connections to other servers.
//!
//! Knows HTTP as far as a connection goes, and must not know requests or answers. Invariants: there are never
//! more than `connections_max` connections, and one that waits to be served; a connection without progress is
//! closed; a shutdown ends every connection within its bound.

mod accept;
mod certificate;
mod clock;
mod connection;
mod counts;
mod dial;
mod http_client;
mod options;
mod secure;
mod server_handle;
mod shutdown;
mod table;
mod tls;
mod tracked_body;
mod tracked_io;
mod trouble;
mod upstream;

use {::metrics, ::model};

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;

pub use accept::{BoundAddress, Listener, OpenAtShutdown, SameMachine};
pub use certificate::ClientCertificate;
pub use counts::{Counts, describe};
pub use dial::{Dialer, NoConnection};
pub use http_client::{HttpClient, NoAnswer, read_whole};
pub use server_handle::ServerHandle;
pub use shutdown::Idle;
pub use table::PeerLimits;
pub use tls::{Tls, TlsError, TlsFiles, provider};
pub use trouble::trouble;
pub use upstream::{Unanswered, Upstream};

/// The body of an answer: in one piece, or in pieces as they are made.
pub trait ResponseBody:
    Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> ResponseBody for B where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static
{
}

/// The limits of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request line with all headers; beyond it the answer is 431.
    pub head_bytes_max: usize,
    /// From connecting, or from the first byte of a later request, to the end of its headers.
    pub head_time_max: Duration,
    /// From an answer to the first byte of the next request.
    pub idle_time_max: Duration,
    /// The time without progress after which a response is given up and its connection closed.
    pub write_time_max: Duration,
    /// Bytes a second at which a client must read the answer beyond that time; 0 is no such rate.
    pub rate_min: u64,
    /// Connections at once. One more takes the place of the one that idles for longest; where none
    /// does, it waits, and those behind it wait in the backlog of the listener.
    pub connections_max: usize,
    /// The time for which a shutdown waits for requests under way.
    pub drain_time_max: Duration,
}
