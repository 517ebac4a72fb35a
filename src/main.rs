//! The program: parse, run, print errors, exit code.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use reviewsd::cli::{Cli, Command};
use reviewsd::cmd::{self, Configured};
use reviewsd::signals::leave;
use rustix::fs::Mode;
use rustix::process::umask;

/// The same allocator that the store's C++ uses: one heap, and one that gives memory back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.command.handles_reviews() {
        // They have e-mail addresses: files and directories are for their owner alone.
        umask(Mode::RWXG | Mode::RWXO);
    }
    let ended: Result<ExitCode, Failure> = match cli.command {
        Command::Init(args) => cmd::init::run(&args).map_err(coded),
        Command::Import(args) => cmd::import::run(&args).map_err(coded),
        Command::Serve(args) => end_served(cmd::serve::run(&args)),
        Command::Promote(args) => cmd::promote::run(&args).map_err(Into::into),
        Command::Follow(args) => cmd::follow::run(&args).map_err(Into::into),
        Command::Position(args) => cmd::position::run(&args).map_err(Into::into),
        Command::Verify(args) => cmd::verify::run(&args).map_err(Into::into),
        Command::Stats(args) => cmd::stats::run(&args).map_err(coded),
        Command::Export(args) => cmd::export::run(&args).map_err(coded),
        Command::Find(args) => cmd::find::run(&args).map_err(coded),
        Command::RestoreReported(args) => cmd::restore_reported::run(&args).map_err(coded),
        Command::Erase(args) => cmd::erase::run(&args).map_err(coded),
        Command::Backup(args) => cmd::backup::run(&args).map_err(coded),
        Command::Backups(args) => cmd::backups::run(&args).map_err(coded),
        Command::Restore(args) => cmd::restore::run(&args).map_err(coded),
        Command::Token(args) => cmd::token::run(&args).map_err(coded),
        Command::CheckConfig(args) => cmd::check_config::run(&args).map_err(coded),
        Command::Doctor(args) => cmd::doctor::run(&args).map_err(coded),
        Command::Completions(args) => cmd::describe::completions(&args).map_err(Into::into),
        Command::Man(args) => cmd::describe::man(&args).map_err(Into::into),
    };
    ended.unwrap_or_else(|failure| {
        say(failure.error.as_ref());
        failure.code
    })
}

/// A failure, and its exit code.
struct Failure {
    error: Box<dyn Error>,
    code: ExitCode,
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            code: ExitCode::FAILURE,
        }
    }
}

/// A failure with the exit code of the error.
fn coded(error: impl Configured + 'static) -> Failure {
    Failure {
        code: error.exit_code().into(),
        error: error.into(),
    }
}

/// Ends the process as a server does.
fn end_served(ended: Result<u8, cmd::serve::Error>) -> ! {
    leave(ended.unwrap_or_else(|error| {
        say(&error);
        error.exit_code()
    }))
}

/// Prints an error with its causes.
#[expect(
    clippy::print_stderr,
    reason = "this is where errors are told to people"
)]
fn say(error: &dyn Error) {
    eprintln!("reviewsd: {}", cmd::sentence(error));
}
