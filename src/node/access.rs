//! The tokens of the admin API while a node runs: read at its start, and again whenever their file changes.
//!
//! Must not know what a token is for. Invariants: a node whose file of tokens is wrong does not start; one whose file
//! becomes wrong goes on with the tokens that it had, and says so.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::Error;
use super::listeners::clock;
use crate::api::AccessControl;
use crate::config::AdminConfig;
use crate::figures::{counted, sentence};
use crate::metrics::Exposition;
use crate::model::clock::now_ms;
use crate::model::moderation::Role;
use crate::replication::RoleTokens;
use crate::token_file::{self, FileVersion};

/// The period at which the file is looked at, so that a token that was removed is refused soon, whether somebody
/// reloads the server or not.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// The tokens of a node, and their file.
pub(super) struct NodeAccess {
    control: Arc<AccessControl>,
    file: Option<PathBuf>,
    /// The file as it was when it was last read.
    seen: Mutex<Option<FileVersion>>,
    is_unreadable: AtomicBool,
}

impl NodeAccess {
    /// Reads the tokens.
    pub(super) fn new(config: &AdminConfig) -> Result<Self, Error> {
        let file = config.tokens_file.clone();
        // Looked at before it is read: a change in between is noticed.
        let seen = file.as_deref().and_then(FileVersion::of);
        let tokens = file.as_deref().map(token_file::read).transpose();
        let tokens = tokens.map_err(Error::Tokens)?;
        let control = AccessControl::new(tokens, config.metrics_open, clock(), now_ms);
        Ok(Self {
            control: Arc::new(control),
            file,
            seen: Mutex::new(seen),
            is_unreadable: AtomicBool::new(false),
        })
    }

    /// The clients that the admin port admits.
    pub(super) fn control(&self) -> Arc<AccessControl> {
        Arc::clone(&self.control)
    }

    /// The roles that clients can prove.
    pub(super) fn roles(&self) -> RoleTokens {
        if self.file.is_none() {
            RoleTokens::None
        } else if self.control.has_role(Role::Replica) {
            RoleTokens::Replicas
        } else {
            RoleTokens::Others
        }
    }

    /// Looks at the file again and again, and reads it when it has changed.
    pub(super) async fn watch(self: Arc<Self>) {
        if self.file.is_none() {
            return;
        }
        loop {
            sleep(LOOK_PERIOD).await;
            let own = Arc::clone(&self);
            // A look may wait for the disk.
            let looked = tokio::task::spawn_blocking(move || own.look());
            if looked.await.is_err() {
                return;
            }
        }
    }

    /// Reads the file if it has changed since it was last read.
    pub(super) fn look(&self) {
        let Some(file) = &self.file else {
            return;
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = FileVersion::of(file);
        if *seen == now {
            return;
        }
        *seen = now;
        let read = token_file::read(file);
        self.is_unreadable.store(read.is_err(), Relaxed);
        match read {
            Ok(tokens) => {
                let all = counted(tokens.iter().count(), "token");
                self.control.replace(tokens);
                tracing::info!("{} changed: {all} in effect from now on", file.display());
            }
            Err(error) => {
                let why = sentence(&error);
                tracing::error!("the tokens of the admin API stay as they were: {why}");
            }
        }
    }

    /// Reports the tokens and the refusals.
    pub(super) fn describe(&self, page: &mut Exposition) {
        self.control.describe(page);
        page.gauge(
            "reviewsd_admin_tokens_unreadable",
            "1 while the file of the admin API's tokens cannot be read, so that earlier tokens stay in effect.",
        )
        .value(self.is_unreadable.load(Relaxed));
    }
}
