//! 127.0.0.1:8080: where a server listens.

use std::fmt;
use std::net::SocketAddr;

use serde::de::{Deserialize, Deserializer, Error};

/// The text is no address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidAddress(String);

/// Returns the address that a text spells.
///
/// # Errors
///
/// When it is not an IP address and a port.
pub fn address(text: &str) -> Result<SocketAddr, InvalidAddress> {
    text.parse().map_err(|_| InvalidAddress(text.to_owned()))
}

pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    address(&String::deserialize(from)?).map_err(D::Error::custom)
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an address is an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 (any IPv4) or \
             [::]:8080 (any), not {:?}",
            self.0
        )
    }
}

impl std::error::Error for InvalidAddress {}
