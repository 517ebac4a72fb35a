//! `reviewsd completions` and `reviewsd man`: the command line's description of itself, for shells
//! and for readers.
//!
//! They are commands of the program, not steps of its build, so that a packager runs the program that is
//! packed. Invariant: nothing is said here that the command line does not say.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_complete::aot;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::{Cli, CompletionsArgs, ManArgs, Shell};
use crate::version;

use super::out::out;

/// Prints the completions for a shell.
///
/// # Errors
///
/// When standard output does not take them.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode, Error> {
    let shell = match args.shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Fish => aot::Shell::Fish,
        Shell::Zsh => aot::Shell::Zsh,
    };
    let mut script = Vec::new();
    aot::generate(
        shell,
        &mut Cli::described(),
        env!("CARGO_PKG_NAME"),
        &mut script,
    );
    out().write_all(&script).map_err(Error::Print)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the program, one for each of its commands, and one for each of theirs.
///
/// # Errors
///
/// When a page cannot be written.
pub fn man(args: &ManArgs) -> Result<ExitCode, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| Error::Write { path, cause }
    };
    fs::create_dir_all(&args.out).map_err(failed(&args.out))?;
    let mut program = Cli::described().disable_help_subcommand(true);
    program.build();
    let mut commands = vec![program.clone()];
    for command in program.get_subcommands() {
        commands.push(command.clone());
        commands.extend(command.get_subcommands().cloned());
    }
    for command in commands {
        let (name, page) = page(command).map_err(failed(&args.out))?;
        let path = args.out.join(name);
        fs::write(&path, page).map_err(failed(&path))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A page with the name of its file. The examples and exit codes that close a help are sections of
/// their own, printed as they stand.
fn page(command: clap::Command) -> io::Result<(String, Vec<u8>)> {
    let closing = command.get_after_help().map(ToString::to_string);
    let has_commands = command.has_subcommands();
    let program = format!("{} {}", env!("CARGO_PKG_NAME"), version::PROGRAM);
    let page = Man::new(command).source(program);
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if has_commands {
        page.render_subcommands_section(&mut text)?;
    }
    for paragraph in closing.unwrap_or_default().split("\n\n") {
        section(paragraph).to_writer(&mut text)?;
    }
    Ok((page.get_filename(), text))
}

/// A paragraph of a help: with a heading of its own, or none.
fn section(paragraph: &str) -> Roff {
    let mut section = Roff::new();
    if let Some((heading, lines)) = paragraph.split_once(":\n") {
        section.control("SH", [heading.to_uppercase().as_str()]);
        section.control("nf", []);
        for line in lines.lines() {
            section.text([roman(line)]);
        }
        section.control("fi", []);
    } else {
        section.control("PP", []);
        section.text([roman(paragraph)]);
    }
    section
}

/// The reason an output is not written.
#[derive(Debug)]
pub enum Error {
    /// Standard output cannot be written.
    Print(io::Error),
    /// A page cannot be written.
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Print(_) => f.write_str("cannot print the completions"),
            Self::Write { path, .. } => write!(f, "cannot write {}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (Self::Print(cause) | Self::Write { cause, .. }) = self;
        Some(cause)
    }
}
