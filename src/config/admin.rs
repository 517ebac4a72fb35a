//! `[admin]`: the clients of the admin port.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[admin]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// The file with the tokens that clients must have; without one, only clients on this machine, and those with a
    /// certificate, are admitted.
    pub tokens_file: Option<PathBuf>,
    /// True if the metrics are for everybody who reaches the port.
    pub metrics_open: bool,
}
