//! What can go wrong in a scenario, each as one sentence.
//!
//! Owns the wording. A peer that cannot be had is no error here: it is [`Skipped`], and the rest goes on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error as BenchError;

/// Why a scenario stopped.
#[derive(Debug)]
pub(crate) enum Error {
    /// A file or directory could not be used; `verb` says for what.
    File {
        verb: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// A program ended with a failure; `said` is the end of its log.
    Failed { program: String, said: String },
    /// A server did not say in time that it is ready.
    NotReady { program: String, said: String },
    /// There is no program where it should be.
    Missing { what: &'static str, path: PathBuf },
    /// There is no scenario of this name.
    NoSuchScenario(String),
    /// A program's own words could not be read.
    Unreadable { what: String, why: String },
    /// An error of the load generator.
    Load(Box<BenchError>),
    /// Ctrl-C.
    Interrupted,
}

/// Why a peer is left out, as a sentence that names what to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Skipped(pub(crate) String);

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

impl From<BenchError> for Error {
    fn from(error: BenchError) -> Self {
        Self::Load(Box::new(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { verb, path, source } => {
                write!(f, "cannot {verb} {}: {source}", path.display())
            }
            Self::Start { program, source } => write!(f, "cannot start {program}: {source}"),
            Self::Failed { program, said } => write!(f, "{program} failed; it said: {said}"),
            Self::NotReady { program, said } => {
                write!(f, "{program} did not become ready; it said: {said}")
            }
            Self::Missing { what, path } => {
                write!(
                    f,
                    "there is no {what} at {}; run make build first",
                    path.display()
                )
            }
            Self::NoSuchScenario(name) => write!(
                f,
                "there is no scenario {name}; reviewsd-bench scenario --list names all there are"
            ),
            Self::Unreadable { what, why } => write!(f, "cannot read {what}: {why}"),
            Self::Load(error) => write!(f, "{error}"),
            Self::Interrupted => write!(f, "interrupted; what was started has been ended"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::Start { source, .. } => Some(source),
            Self::Load(error) => Some(error),
            _ => None,
        }
    }
}
