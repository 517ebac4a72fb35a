//! Reasons why a server does not start, or ends: a sentence each, and the code that the process ends with.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config;
use crate::net::TlsError;
use crate::replication::TokenError;
use crate::store;
use crate::systemd;
use crate::token_file::TokenFileError;

/// The reason it does not serve.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config(config::Error),
    /// The memory of the machine is unknown.
    UnknownMemory,
    /// The store cannot be opened.
    Store(store::Error),
    /// The sockets that systemd passed cannot be served.
    Passed(systemd::Error),
    /// An address cannot be listened at.
    Bind {
        /// The address.
        address: SocketAddr,
        /// The flag that chooses another.
        flag: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// There are too few file descriptors.
    FewDescriptors {
        /// The limit.
        limit: u64,
        /// The number that is needed.
        wanted: u64,
    },
    /// The system refuses threads or signals.
    Runtime(io::Error),
    /// A write failed; the log has the error.
    WriteFailed,
    /// The store was a primary's, and the disk has no space to compare it with the one that it is to follow.
    Uncompared(Arc<str>),
    /// A write failed for want of space, and there is some again.
    SpaceAgain,
    /// The thread that follows the primary ended without an error.
    FollowerGone,
    /// There is no token to replicate with.
    Token(TokenError),
    /// The file of the admin API's tokens is wrong.
    Tokens(TokenFileError),
    /// A replica is to follow, and no token is configured.
    NoToken,
    /// A replica was to begin a new epoch.
    NewReplica,
    /// A host cannot be reached over TLS by this name.
    Address(String),
    /// The certificates, or their keys or CA files, are wrong.
    Tls(TlsError),
}

impl Error {
    /// True if the error is in the configuration or the command line.
    pub(crate) fn is_misconfigured(&self) -> bool {
        match self {
            Self::Config(_)
            | Self::UnknownMemory
            | Self::Token(_)
            | Self::Tokens(_)
            | Self::NoToken
            | Self::NewReplica
            | Self::Address(_)
            | Self::Tls(_) => true,
            Self::Store(_)
            | Self::Passed(_)
            | Self::Bind { .. }
            | Self::FewDescriptors { .. }
            | Self::Runtime(_)
            | Self::WriteFailed
            | Self::Uncompared(_)
            | Self::SpaceAgain
            | Self::FollowerGone => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::UnknownMemory => {
                f.write_str("cannot determine the memory of the machine; give --memory SIZE")
            }
            Self::Store(error) => error.fmt(f),
            Self::Passed(error) => error.fmt(f),
            Self::Bind {
                address,
                flag,
                cause,
            } => write_bind(f, *address, flag, cause),
            Self::FewDescriptors { limit, wanted } => write!(
                f,
                "the limit of open files is {limit}, and the server needs at least {wanted}; raise it with \
                 `ulimit -n`, or LimitNOFILE= in the unit"
            ),
            Self::Runtime(_) => f.write_str("the system does not let the server start"),
            Self::WriteFailed => f.write_str("stopped because a write failed"),
            Self::Uncompared(why) => write!(
                f,
                "the store was a primary's, and must be compared with the primary before it is served \
                 as a replica's, which needs space on the disk: {why}"
            ),
            Self::SpaceAgain => f.write_str(
                "stopped because the full disk has space again; start the server again to take writes",
            ),
            Self::FollowerGone => f.write_str("stopped because the replica stopped following"),
            Self::Token(error) => error.fmt(f),
            Self::Tokens(error) => error.fmt(f),
            Self::Address(url) => {
                write!(
                    f,
                    "the host of {url} is neither a name nor an address that a certificate can be for"
                )
            }
            Self::Tls(error) => error.fmt(f),
            Self::NewReplica => f.write_str(
                "--new is for a primary, and replica.follow makes this a replica; promote it first \
                 with `reviewsd promote`",
            ),
            Self::NoToken => f.write_str(
                "no token of the primary is configured; give token_file in [replica] of the configuration",
            ),
        }
    }
}

fn write_bind(
    f: &mut fmt::Formatter<'_>,
    address: SocketAddr,
    flag: &str,
    cause: &io::Error,
) -> fmt::Result {
    match cause.kind() {
        io::ErrorKind::AddrInUse => write!(
            f,
            "another program listens at {address}; end it, or give another address with --{flag}"
        ),
        io::ErrorKind::AddrNotAvailable => write!(
            f,
            "this machine has no address {}; give one that it has with --{flag}, or {} for all",
            address.ip(),
            if address.is_ipv6() { "[::]" } else { "0.0.0.0" },
        ),
        io::ErrorKind::PermissionDenied => write!(
            f,
            "only root may listen at {address}; give a port from 1024 on with --{flag}, or the \
             program the capability CAP_NET_BIND_SERVICE"
        ),
        _ => write!(
            f,
            "cannot listen at {address}; give another address with --{flag}: {cause}"
        ),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Store(error) => error.source(),
            Self::Token(error) => error.source(),
            Self::Tokens(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Runtime(cause) => Some(cause),
            // For an address that cannot be listened at, the sentence itself has the cause.
            Self::UnknownMemory
            | Self::Passed(_)
            | Self::Bind { .. }
            | Self::FewDescriptors { .. }
            | Self::WriteFailed
            | Self::Uncompared(_)
            | Self::SpaceAgain
            | Self::FollowerGone
            | Self::NoToken
            | Self::NewReplica
            | Self::Address(_) => None,
        }
    }
}
