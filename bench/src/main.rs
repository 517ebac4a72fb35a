//! `reviewsd-bench`: test data at any size, load, and the yardstick for the server.
//!
//! This file owns the way from arguments to exit code and nothing else. It
//! must not know what a CSV row or a request is. Every failure leaves here as
//! one sentence on standard error and exit code 1.

mod cli;
mod floor;
mod r#gen;
mod load;
mod rng;
mod scenario;
mod text;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // Standard error is the last resort; if it is closed, the exit code remains.
            let _ = writeln!(io::stderr().lock(), "reviewsd-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    match &cli.command {
        Command::Gen(args) => {
            let summary = r#gen::run(args)?;
            write!(io::stdout().lock(), "{summary}")?;
        }
        Command::Floor(args) => floor::run(args)?,
        Command::Load(args) => return load::command::run(args, &mut io::stdout().lock()),
        Command::Scenario(args) => return scenario::run(args),
    }
    Ok(ExitCode::SUCCESS)
}
