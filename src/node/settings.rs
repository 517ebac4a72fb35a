//! What is chosen for a server, and how it is chosen anew.
//!
//! Invariant: a configuration that is wrong changes nothing, and what does not change is said.

use crate::api::Settings;
use crate::config::{Config, Error, Reload, ResolvedConfig, Sources};
use crate::figures::sentence;

use super::log::LevelSwitch;
use super::wiring::{self, ConnectionLimits};

/// The settings in force.
pub(super) struct SettingsInForce {
    pub(super) sources: Sources,
    pub(super) settled: ResolvedConfig,
    /// The part of the memory that is for rendered answers.
    pub(super) answer_bytes_max: u64,
    /// Connections that there are descriptors for.
    pub(super) connections_max: usize,
    /// The switch of the log's levels.
    pub(super) level: LevelSwitch,
}

impl SettingsInForce {
    /// The configuration in force.
    pub(super) fn config(&self) -> &Config {
        &self.settled.config
    }

    /// Returns the settings of the API.
    pub(super) fn settings(&self) -> Settings {
        wiring::settings(self.config(), self.answer_bytes_max)
    }

    /// The limits of the API and of the operator's port.
    pub(super) fn limits(&self) -> (ConnectionLimits, ConnectionLimits) {
        wiring::limits(self.config(), self.connections_max)
    }

    /// Asks the sources again, lets `apply` put in effect what may be, and says in the log what came
    /// of it.
    pub(super) fn renew(&mut self, apply: impl FnOnce(&Self)) {
        let reload = match self.asked_again() {
            Ok(reload) => reload,
            Err(error) => {
                let what = sentence(&error);
                tracing::error!(
                    "SIGHUP: nothing changes, because the configuration is invalid: {what}"
                );
                return;
            }
        };
        self.settled = reload.settled;
        if reload.changed.is_empty() {
            tracing::info!("SIGHUP: no setting changed");
        } else {
            apply(self);
            let changed = reload.changed.join(", ");
            tracing::info!("SIGHUP: {changed}: in effect from now on");
        }
        if !reload.waiting.is_empty() {
            let waiting = reload.waiting.join(", ");
            tracing::warn!("SIGHUP: {waiting}: in effect after a restart");
        }
    }

    fn asked_again(&self) -> Result<Reload, Error> {
        self.settled.reload(&self.sources.settle()?)
    }
}
