//! `reviewsd serve`: the settings, the log, and a node that runs.
//!
//! Must not know the parts of a node. Invariant: the log runs before the node begins, so that every line of the
//! node is in it.

use super::doctor::machine;
use super::{Configured, sources, taken_identity};
use crate::cli::ServeArgs;
use crate::node::{Log, Node, NodeEnd, NodeOptions};
use crate::store;

pub use crate::node::Error;

/// The exit code of a node that was asked to end.
const SUCCESS: u8 = 0;

/// Serves until it is asked to end; returns the code that the process is to end with, at once: work that was
/// cut off may still be running.
///
/// # Errors
///
/// When it cannot start, or a write failed.
pub fn run(args: &ServeArgs) -> Result<u8, Error> {
    let sources = sources::of(&args.settings);
    let settled = sources.settle().map_err(Error::Config)?;
    let config = &settled.config;
    let data = config.store.data.clone().unwrap_or_default();
    let owner = store::become_owner(&data).map_err(Error::Store)?;
    let log = Log::start(&config.log).map_err(Error::Runtime)?;
    if let Some(owner) = owner {
        tracing::info!("{}", taken_identity(&data, &owner));
    }
    for warning in machine::warnings(config) {
        tracing::warn!("{warning}");
    }
    let node = Node::new(NodeOptions {
        sources,
        settled,
        log,
        accept_loss: args.accept_loss,
        begins_anew: args.new,
    })?;
    Ok(match node.run()? {
        NodeEnd::InOrder => SUCCESS,
        NodeEnd::AtOnce(signal) => signal.exit_code(),
    })
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        self.is_misconfigured()
    }
}
