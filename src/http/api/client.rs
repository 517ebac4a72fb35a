//! The identity of a client: the address that its writes are counted by.
//!
//! Must not know what is counted. Invariant: a header of a client never chooses the address; only proxies that
//! are configured as trusted are believed, each for the hop before it.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::model::customer;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of the trusted proxies.
pub(super) type Proxies = Vec<IpNet>;

/// A client, as far as it can be distinguished from other clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Returns the client of a request with these headers that came from `peer`.
    pub(super) fn of(peer: IpAddr, request: &HeaderMap, trusted: &[IpNet]) -> Self {
        let peer = peer.to_canonical();
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        let mut client = peer;
        if is_trusted(&peer) {
            // Each proxy appends the address of its own client.
            let lines = request.get_all(FORWARDED_FOR);
            let lines = lines.iter().map(|line| line.to_str().unwrap_or(""));
            let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
            for hop in hops.into_iter().rev() {
                let Some(address) = address(hop.trim()) else {
                    break;
                };
                client = address;
                if !is_trusted(&address) {
                    break;
                }
            }
        }
        Self(customer::of(client))
    }

    /// The first address that the client has.
    pub(super) fn address(self) -> IpAddr {
        self.0
    }
}

/// An address as proxies write it: alone, or with a port behind it.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let alone = bracketed.unwrap_or(text).parse().ok();
    let address: Option<IpAddr> = alone.or_else(|| {
        text.parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    });
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|net| net.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let ClientAddress(address) = ClientAddress::of(peer.parse().unwrap(), &headers, &trusted);
        address.to_string()
    }

    #[test]
    fn a_client_that_is_no_proxy_is_not_believed() {
        assert_eq!(client("198.51.100.1", &["203.0.113.9"]), "198.51.100.1");
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_counts() {
        let lines = ["1.1.1.1, 203.0.113.9", "10.0.0.7"];
        assert_eq!(client("127.0.0.1", &lines), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("fd00::1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(
            client("::ffff:127.0.0.1", &["::ffff:203.0.113.9"]),
            "203.0.113.9"
        );
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["203.0.113.9, unknown"]), "127.0.0.1");
        assert_eq!(
            client("127.0.0.1", &["203.0.113.9, , 10.0.0.7"]),
            "10.0.0.7"
        );
        assert_eq!(client("127.0.0.1", &["10.0.0.7"]), "10.0.0.7");
    }

    #[test]
    fn the_addresses_of_one_ipv6_customer_are_one_client() {
        let first = client("2001:db8:1:2:3:4:5:6", &[]);
        assert_eq!(first, client("2001:db8:1:2::9", &[]));
        assert_ne!(first, client("2001:db8:1:3::9", &[]));
        assert_eq!(client("127.0.0.1", &["[2001:db8:1:2::9]:443"]), first);
        assert_eq!(client("127.0.0.1", &["[2001:db8:1:2::9]"]), first);
    }
}
