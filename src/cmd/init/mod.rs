//! `reviewsd init`: the files of a new installation.
//!
//! Invariants: no file that exists is changed; nothing is written unless `serve` would accept every
//! configuration; a secret is for its owner alone from its first byte on.

mod answers;
mod site;
mod steps;
mod template;

use std::fmt::{self, Write as _};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::process::{getegid, geteuid};

use crate::cli::{InitArgs, Layout};
use crate::config::{self, Config};

use super::Configured;
use super::out::out;
use answers::{Dialogue, answers};
use site::{NewFile, Site};

/// The user and group of the container image. Containers that root sets up run as it.
const IMAGE_USER: u32 = 65532;
/// The random numbers that a secret consists of.
const TOKEN_WORDS: usize = 4;

/// Writes the files, and prints the commands that put them in their places.
///
/// # Errors
///
/// When an answer is missing or wrong, or a file exists or cannot be written.
pub fn run(args: &InitArgs) -> Result<ExitCode, Error> {
    let dialogue = io::stdin().is_terminal().then(|| Dialogue {
        reader: io::stdin().lock(),
        writer: io::stderr(),
    });
    let (dir, site) = answers(args, dialogue)?;
    let is_root = geteuid().is_root();
    let owner = if is_root {
        (IMAGE_USER, IMAGE_USER)
    } else {
        (geteuid().as_raw(), getegid().as_raw())
    };
    let files = site.files(&new_token()?, owner);
    for file in Site::configurations(&files) {
        Config::of_text(&dir.join(&file.path), &file.text).map_err(Error::Config)?;
    }
    // Only containers have a user of their own before anything is installed.
    let changed_owner = (is_root && site.layout == Layout::Compose).then_some(owner);
    write(&dir, &files, &site.directories(), changed_owner)?;
    let steps = steps::steps(&site, &dir);
    out().write_all(steps.as_bytes()).map_err(Error::Print)?;
    Ok(ExitCode::SUCCESS)
}

fn new_token() -> Result<String, Error> {
    let mut token = String::new();
    for _ in 0..TOKEN_WORDS {
        let word = getrandom::u64().map_err(|error| Error::Token(error.to_string()))?;
        let _ = write!(token, "{word:016x}");
    }
    Ok(token)
}

/// Writes all of them, or none where one is there already.
fn write(
    dir: &Path,
    files: &[NewFile],
    directories: &[PathBuf],
    owner: Option<(u32, u32)>,
) -> Result<(), Error> {
    let all = files.iter().map(|file| &file.path).chain(directories);
    for path in all.map(|path| dir.join(path)) {
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists(path));
        }
    }
    let give = |path: &Path| match owner {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| Error::Write { path, cause }
    };
    for file in files {
        let path = dir.join(&file.path);
        let parent = path.parent().unwrap_or(dir);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        let mode = if file.is_secret { 0o600 } else { 0o644 };
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        let mut opened = opened.map_err(failed(&path))?;
        opened
            .write_all(file.text.as_bytes())
            .map_err(failed(&path))?;
        if file.is_of_servers {
            give(&path).map_err(failed(&path))?;
        }
    }
    for path in directories.iter().map(|path| dir.join(path)) {
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed(&path))?;
        give(&path).map_err(failed(&path))?;
    }
    Ok(())
}

/// The reason there are no files.
#[derive(Debug)]
pub enum Error {
    /// A flag is missing, and there is no terminal to ask on.
    Missing(&'static str),
    /// Addresses were given for containers.
    Fixed,
    /// One server is on loopback, and another one or nginx is not.
    Loopback,
    /// The person did not answer.
    Unanswered,
    /// The terminal cannot be read or written.
    Ask(io::Error),
    /// The system has no random bytes.
    Token(String),
    /// An answer is no valid setting.
    Config(config::Error),
    /// The file exists already.
    Exists(PathBuf),
    /// A file cannot be written.
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Standard output cannot be written.
    Print(io::Error),
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        matches!(
            self,
            Self::Missing(_) | Self::Fixed | Self::Loopback | Self::Config(_)
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(flag) => {
                write!(f, "standard input is not a terminal to ask on; give {flag} (reviewsd help init)")
            }
            Self::Fixed => f.write_str(
                "--layout compose has addresses of its own; leave out --primary, --replica and --nginx",
            ),
            Self::Loopback => f.write_str(
                "a server on loopback is out of reach of other machines; give addresses of the network for all \
                 of --primary, --replica and --nginx",
            ),
            Self::Unanswered => f.write_str("the question was not answered; nothing was written"),
            Self::Ask(_) => f.write_str("cannot ask on the terminal; nothing was written"),
            Self::Token(why) => write!(f, "the system gives no random bytes: {why}"),
            Self::Config(error) => error.fmt(f),
            Self::Exists(path) => write!(
                f,
                "{} exists, and nothing is overwritten; give --out another directory, or move the file away",
                path.display()
            ),
            Self::Write { path, .. } => write!(f, "cannot write {}", path.display()),
            Self::Print(_) => f.write_str("the files are written, and the commands cannot be printed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(error) => error.source(),
            Self::Ask(cause) | Self::Print(cause) | Self::Write { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
