//! `[tls]`: the certificate of a node, and the CA that it trusts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigErrors;

/// `[tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate of this node; with one the admin port speaks TLS only.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// The certificate of the authority that signed those of all nodes.
    pub ca_file: Option<PathBuf>,
    /// True if clients of the admin port must show a certificate.
    pub ask_clients: bool,
}

impl TlsConfig {
    /// Checks the values that are valid or invalid only together.
    pub(super) fn validate(&self, addresses: [Option<&str>; 3], faults: &mut ConfigErrors) {
        faults.check(
            "tls.key_file",
            self.cert_file.is_some() == self.key_file.is_some(),
            "set together with tls.cert_file",
        );
        faults.check(
            "tls.ask_clients",
            !self.ask_clients || (self.cert_file.is_some() && self.ca_file.is_some()),
            "false without tls.cert_file and tls.ca_file: clients could not be verified",
        );
        let mut addresses = addresses.into_iter().flatten();
        faults.check(
            "tls.ca_file",
            self.ca_file.is_some() || !addresses.any(|address| address.starts_with("https://")),
            "set if an address of [replica], or moderation.check_url, begins with https://: it verifies that server",
        );
    }
}
