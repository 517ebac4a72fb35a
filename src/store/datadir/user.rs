//! The user that a process works as in a data directory.
//!
//! Owns the rule: a process of root that opens or creates anything in a directory of another user does so
//! as that user, or not at all. Files of root there cannot be read, linked or replaced by the server, which
//! runs as the owner. Must not know what is in the directory. Invariant: no file is created as root in a
//! data directory that belongs to another user.

use std::ffi::CString;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setgroups, setuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::error::Error;

/// Takes the identity of the user that a directory belongs to, for the rest of the process, where the
/// process is root and that user is another. Returns the user's name where it did.
///
/// # Errors
///
/// When the system does not let this process change its user.
pub fn become_owner(dir: &Path) -> Result<Option<String>, Error> {
    let Some(owner) = stranger(dir) else {
        return Ok(None);
    };
    let name = owner.shown();
    owner
        .assume()
        .map_err(|why| owner.refusal(dir, why.desc()))?;
    Ok(Some(name))
}

/// Returns an error where this process is root and `data_dir` belongs to another user.
pub(crate) fn refuse_as_root(data_dir: &Path) -> Result<(), Error> {
    stranger(data_dir).map_or(Ok(()), |owner| {
        Err(owner.refusal(data_dir, "its files must stay that user's"))
    })
}

/// The owner of a directory, where that is not root and this process is.
fn stranger(dir: &Path) -> Option<FileOwner> {
    if !geteuid().is_root() {
        return None;
    }
    // A directory that is not there yet belongs to the user who makes it.
    let found = dir.metadata().ok()?;
    if found.uid() == 0 {
        return None;
    }
    let uid = Uid::from_raw(found.uid());
    Some(FileOwner {
        uid,
        gid: Gid::from_raw(found.gid()),
        user: User::from_uid(uid).ok().flatten(),
    })
}

/// The user and the group that a directory belongs to.
struct FileOwner {
    uid: Uid,
    gid: Gid,
    /// The user's account, where it has one.
    user: Option<User>,
}

impl FileOwner {
    fn shown(&self) -> String {
        match &self.user {
            Some(user) => user.name.clone(),
            None => format!("the user {}", self.uid),
        }
    }

    /// Groups first: afterwards the process may no longer change any of this.
    fn assume(&self) -> Result<(), Errno> {
        let name = self.user.as_ref().map(|user| CString::new(&*user.name));
        if let (Some(user), Some(Ok(name))) = (&self.user, name) {
            initgroups(&name, user.gid)?;
            setgid(user.gid)?;
        } else {
            setgroups(&[self.gid])?;
            setgid(self.gid)?;
        }
        setuid(self.uid)?;
        // A change of user hides /proc/self from the process itself, where the server counts its
        // descriptors. It shows that user nothing that is not its own.
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
        Ok(())
    }

    fn refusal(&self, dir: &Path, why: &'static str) -> Error {
        let command = match &self.user {
            Some(user) => format!("runuser -u {} --", user.name),
            None => format!(
                "setpriv --reuid={} --regid={} --clear-groups",
                self.uid, self.gid
            ),
        };
        Error::OtherUser {
            dir: dir.to_owned(),
            why,
            command: format!("{command}{}", this_command()),
        }
    }
}

/// The command line of this process, as a shell reads it, after a space.
fn this_command() -> String {
    let mut line = String::new();
    for word in std::env::args() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:@%+".contains(c);
        let quoted = if !word.is_empty() && word.chars().all(is_plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        };
        // A write to a string cannot fail.
        let _ = write!(line, " {quoted}");
    }
    line
}
