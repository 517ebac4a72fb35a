//! `reviewsd check-config`: the configuration that `serve` would run with.
//!
//! Invariant: it succeeds exactly when `serve` finds nothing wrong with its configuration.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::CheckConfigArgs;
use crate::config;

use super::doctor::machine;
use super::out::out;
use super::{Configured, sources};

/// Prints the configuration in force.
///
/// # Errors
///
/// When the configuration is wrong, or cannot be printed.
pub fn run(args: &CheckConfigArgs) -> Result<ExitCode, Error> {
    let settled = sources::of(&args.settings).settle();
    let settled = settled.map_err(Error::Config)?;
    for warning in machine::warnings(&settled.config) {
        writeln!(io::stderr(), "warning: {warning}").map_err(Error::Print)?;
    }
    let shown = settled.show();
    let mut out = out();
    out.write_all(shown.as_bytes()).map_err(Error::Print)?;
    Ok(ExitCode::SUCCESS)
}

/// The reason nothing was shown.
#[derive(Debug)]
pub enum Error {
    /// The configuration is wrong.
    Config(config::Error),
    /// Standard output cannot be written.
    Print(io::Error),
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Print(_) => f.write_str("the configuration is valid, but cannot be printed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Print(cause) => Some(cause),
        }
    }
}
