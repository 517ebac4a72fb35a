//! The part of an address that one customer of a network has.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of the network of a customer: an IPv6 customer mostly has 2^64 addresses.
const IPV6_CUSTOMER_BITS: u32 = 64;

/// The first address that the customer with this one has; an IPv4 address is one customer's, however it is
/// written.
#[must_use]
pub fn of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - IPV6_CUSTOMER_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_has_one_ipv4_address_or_64_bits_of_ipv6() {
        let of = |address: &str| of(address.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
