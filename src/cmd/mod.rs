//! The subcommands, one a file: the wiring, and only that.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;

use crate::figures;
pub use crate::figures::sentence;
use crate::store;

pub mod backup;
pub mod backups;
mod bar;
pub mod check_config;
mod confirm;
pub mod describe;
pub mod doctor;
pub mod erase;
pub mod export;
pub mod find;
pub mod follow;
pub mod import;
pub mod init;
mod manifest;
mod out;
pub mod position;
pub mod promote;
mod remote;
pub mod restore;
pub mod restore_reported;
pub mod serve;
mod sources;
pub mod stats;
mod store_target;
pub mod token;
pub mod verify;

/// The exit code of a failure.
const FAILURE: u8 = 1;
/// The exit code of a command that did part of its work, because part of a store cannot be read.
const INCOMPLETE: u8 = 3;
/// The exit code of a wrong command line or configuration: retrying does not help, so a supervisor need not.
const MISCONFIGURED: u8 = 2;

/// An error of a command that reads a configuration.
pub trait Configured: Error {
    /// True if the error is in the configuration or the command line.
    fn is_misconfigured(&self) -> bool;

    /// The code that the process is to end with.
    fn exit_code(&self) -> u8 {
        if self.is_misconfigured() {
            MISCONFIGURED
        } else {
            FAILURE
        }
    }
}

/// Takes the identity of the user that a data directory belongs to, where this process is root, and says
/// so: other files of the command must be within that user's reach, too.
fn as_owner_of(data_dir: &Path) -> Result<(), store::Error> {
    if let Some(owner) = store::become_owner(data_dir)? {
        // A file that is out of reach reports the same when it is opened.
        let _ = writeln!(io::stderr(), "{}", taken_identity(data_dir, &owner));
    }
    Ok(())
}

fn taken_identity(data_dir: &Path, owner: &str) -> String {
    let data = data_dir.display();
    format!("{data} belongs to {owner}; running as that user instead of root")
}
