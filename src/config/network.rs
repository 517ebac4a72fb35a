//! Networks, as people write them: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A network, of one address or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkRange(pub IpNet);

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a network is an IP address, alone or with its bits, like 10.0.0.0/8")
    }
}

impl std::error::Error for InvalidNetwork {}

impl FromStr for NetworkRange {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let alone = || text.parse().map(|address: IpAddr| IpNet::from(address));
        let network = text.parse().or_else(|_| alone());
        network.map(Self).map_err(|_| InvalidNetwork)
    }
}

impl fmt::Display for NetworkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for NetworkRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NetworkRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, address: &str) -> bool {
        let NetworkRange(network) = network.parse().unwrap();
        network.contains(&address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn networks_are_read_with_and_without_their_bits() {
        assert!(holds("10.0.0.0/8", "10.1.2.3"));
        assert!(!holds("10.0.0.0/8", "11.1.2.3"));
        assert!(holds("127.0.0.1", "127.0.0.1"));
        assert!(!holds("127.0.0.1", "127.0.0.2"));
        assert!(holds("fd00::/8", "fd12::1"));
        assert!(holds("::1", "::1"));
    }

    #[test]
    fn other_texts_are_no_networks() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0/8",
            "localhost",
            "10.0.0.1:80",
            "/8",
        ] {
            assert_eq!(text.parse::<NetworkRange>(), Err(InvalidNetwork), "{text}");
        }
    }
}
