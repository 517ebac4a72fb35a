//! Whom to load: `http://HOST[:PORT][/PREFIX]`, resolved once.
//!
//! Owns the spelling of a target and must not know what is sent to it. Only plain HTTP: TLS would
//! measure the generator.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A server of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// Stands before every path: empty, or begins with a slash and ends without one.
    pub(crate) prefix: String,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            prefix: String::new(),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some((scheme, _)) => {
                return Err(format!("only http:// can be loaded, not {scheme}://"));
            }
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !visible(rest) || rest.contains(['?', '#', '@']) {
            return Err(
                "a target is http://HOST:PORT, and perhaps a path before those of the API".into(),
            );
        }
        let path = path.trim_end_matches('/');
        Ok(Self {
            address: resolve(host)?,
            host: host.to_owned(),
            prefix: if path.is_empty() {
                String::new()
            } else {
                format!("/{path}")
            },
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.prefix)
    }
}

fn resolve(host: &str) -> Result<SocketAddr, String> {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let port_given = port.is_some_and(|port| port.parse::<u16>().is_ok());
    let whole = if port_given {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    whole
        .to_socket_addrs()
        .map_err(|error| format!("{host} has no address: {error}"))?
        .next()
        .ok_or_else(|| format!("{host} has no address"))
}
