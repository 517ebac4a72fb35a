//! `reviewsd doctor`: the problems of a configuration, its files, its machine and the servers around it, each
//! with its remedy.
//!
//! Invariants: it changes nothing and starts nothing; it runs as any user, and says what that user could
//! not see.

mod backups;
mod files;
mod finding;
pub(super) mod machine;
mod nodes;
mod store;
mod units;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::DoctorArgs;
use crate::config::{self, Config};

use super::figures::counted;
use super::out::out;
use super::{Configured, FAILURE, sources};
use finding::DoctorReport;

/// Looks for problems.
pub fn run(args: &DoctorArgs) -> Result<ExitCode, Error> {
    let settled = sources::of(&args.settings).settle();
    let report = examine(&settled.map_err(Error::Config)?.config);
    let mut out = out();
    let printed = if args.json {
        serde_json::to_writer_pretty(&mut out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        print(&mut out, &report)
    };
    printed.map_err(Error::Print)?;
    Ok(if report.findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        FAILURE.into()
    })
}

fn examine(config: &Config) -> DoctorReport {
    let mut report = DoctorReport {
        findings: machine::warnings(config),
        ..DoctorReport::default()
    };
    report.findings.extend(machine::descriptors(config));
    files::check(config, &mut report);
    let own = nodes::check(config, &mut report);
    let backed_up = store::check(config, own.as_ref(), &mut report);
    units::check(Path::new("/"), config, &mut report);
    backups::check(config, own.as_ref(), backed_up, &mut report);
    report
}

fn print(out: &mut impl Write, report: &DoctorReport) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "{}: {}", finding.check, finding.what)?;
        writeln!(out, "  to do: {}", finding.remedy)?;
    }
    for what in &report.unchecked {
        writeln!(out, "not checked: {what}")?;
    }
    match report.findings.len() {
        0 => writeln!(out, "nothing is wrong"),
        found => writeln!(out, "{} found", counted(found, "fault")),
    }
}

/// The reason nothing was checked.
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
            Self::Print(source) => write!(f, "cannot print the findings: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Print(_) => None,
        }
    }
}
