//! What can go wrong in either command, each as one sentence for the caller.
//!
//! Owns the wording and must not know how to recover; nothing here does.
//! Every variant names the thing it concerns: a path, an address or a list.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::scenario;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file or directory could not be used; `verb` says for what.
    File {
        verb: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The listening socket could not be opened or shared.
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// A thread's runtime could not be built.
    Runtime(io::Error),
    /// The word lists contradict themselves.
    Words(String),
    /// The workers ended before the last block, which only a bug can cause.
    WorkersGone,
    /// A workload that is not one; `place` is the file, with line and key where they are known.
    Workload { place: String, what: String },
    /// No connection could be made to the server that is to be loaded.
    Unreachable { target: String, source: io::Error },
    /// A fact that the load needs could not be learned.
    Learn { path: String, what: String },
    /// The system refused what sending takes.
    Engine(io::Error),
    /// A scenario could not be run.
    Scenario(Box<scenario::Error>),
    /// Standard output is closed.
    Output(io::Error),
}

impl Error {
    /// For `map_err`: names the file and what was being done with it.
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { verb, path, source } => {
                write!(f, "cannot {verb} {}: {source}", path.display())
            }
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Runtime(source) => write!(f, "cannot start a runtime: {source}"),
            Self::Words(what) => write!(f, "the word lists are wrong: {what}"),
            Self::WorkersGone => write!(f, "a rendering thread ended early"),
            Self::Workload { place, what } => write!(f, "{place}: {what}"),
            Self::Unreachable { target, source } => {
                write!(f, "cannot reach {target}: {source}; is the server running?")
            }
            Self::Learn { path, what } => {
                write!(
                    f,
                    "cannot learn from {path} what the load needs to know: {what}"
                )
            }
            Self::Engine(source) => write!(f, "cannot send requests: {source}"),
            Self::Scenario(error) => write!(f, "{error}"),
            Self::Output(source) => write!(f, "cannot write to standard output: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. }
            | Self::Listen { source, .. }
            | Self::Runtime(source)
            | Self::Unreachable { source, .. }
            | Self::Engine(source)
            | Self::Output(source) => Some(source),
            Self::Scenario(error) => Some(error),
            Self::Words(_) | Self::Workload { .. } | Self::Learn { .. } | Self::WorkersGone => None,
        }
    }
}
