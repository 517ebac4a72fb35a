//! The hash by which a store knows a client again without keeping its address.
//!
//! Must not know how an address was found. Invariants: the same client has the same hash in one store, on
//! every replica and in every backup of it, and another one in another store; the hashes are on disks, so
//! they never change. A hash is a pseudonym: anyone who has the store can try all addresses.

use std::net::IpAddr;

use xxhash_rust::xxh3::Xxh3;

use super::scan::EmailAddress;
use super::store::Store;
use crate::model::ClientHash;
use crate::model::customer;

/// The salt of a store: its id, which all of its replicas have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Salt(pub(super) u128);

impl Salt {
    /// Returns the hash of the client with this address; an IPv6 address stands for its /64.
    pub(super) fn hash(self, address: IpAddr) -> ClientHash {
        let address = match customer::of(address) {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut hash = Xxh3::new();
        hash.update(&self.0.to_be_bytes());
        hash.update(&address.octets());
        ClientHash(hash.digest())
    }
}

impl Salt {
    /// Returns the hash of an e-mail address, whatever the case of its letters; `None` for no address. It is never
    /// that of a client.
    pub(super) fn hash_email(self, email: &str) -> Option<u64> {
        let address = EmailAddress::new(email)?;
        let mut hash = Xxh3::new();
        hash.update(&self.0.to_be_bytes());
        hash.update(b"e-mail");
        hash.update(address.as_str().as_bytes());
        Some(hash.digest())
    }
}

impl Store {
    /// Returns the hash by which this store knows the client with this address.
    #[must_use]
    pub fn client_hash(&self, address: IpAddr) -> ClientHash {
        self.salt().hash(address)
    }

    /// Returns the client that a text names: by its hash, or by its address.
    #[must_use]
    pub fn client_of(&self, text: &str) -> Option<ClientHash> {
        let hash = text.parse().ok();
        hash.or_else(|| Some(self.client_hash(text.parse().ok()?)))
    }

    pub(super) fn salt(&self) -> Salt {
        Salt(self.identity().store_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(salt: u128, address: &str) -> String {
        Salt(salt).hash(address.parse().unwrap()).to_string()
    }

    /// They are on disks.
    #[test]
    fn hashes_of_clients_never_change() {
        assert_eq!(hash(7, "192.0.2.1"), "5b9477ae98044e6c");
        assert_eq!(hash(1, "192.0.2.1"), "34f3bded04cc8fd0");
        assert_eq!(hash(7, "2001:db8::1"), "53d810777eeedc6e");
    }

    /// The same.
    #[test]
    fn hashes_of_addresses_never_change() {
        let hash = |salt, email| Salt(salt).hash_email(email);
        assert_eq!(hash(7, "ana@example.org"), hash(7, " Ana@Example.org "));
        assert_ne!(hash(7, "ana@example.org"), hash(8, "ana@example.org"));
        assert_eq!(hash(7, " "), None);
        let golden = format!("{:016x}", hash(7, "ana@example.org").unwrap());
        assert_eq!(golden, "852e11a941371435");
    }

    #[test]
    fn a_client_has_one_hash_in_a_store_and_others_elsewhere() {
        assert_eq!(hash(7, "192.0.2.1"), hash(7, "::ffff:192.0.2.1"));
        assert_eq!(hash(7, "2001:db8::1"), hash(7, "2001:db8::2:1"));
        assert_ne!(hash(7, "192.0.2.1"), hash(7, "192.0.2.2"));
        assert_ne!(hash(7, "192.0.2.1"), hash(8, "192.0.2.1"));
    }
}
