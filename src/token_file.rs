//! The file of the tokens of the admin API: its owner and mode, and how it is replaced.
//!
//! Must not know who uses it, nor what a line says. Invariants: a file that users beside its owner and group can
//! reach, or that the group can write, is refused; a replaced file is whole at any instant, and keeps its owner.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Gid, Uid, fchown, flock};

use crate::api::{TokenTable, TokenTableError};

/// The permissions that a file of tokens must not give: whoever writes to it is an operator.
const FORBIDDEN: u32 = 0o027;
/// The permissions of a new file, and those that a replaced one may have beside.
const OWNERS: u32 = 0o600;
const GROUPS: u32 = 0o040;
/// Bytes of a file at most: a line has about 120.
const BYTES_MAX: u64 = 1 << 20;

/// The state of a file by which a change of it is noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileVersion {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    /// The present state of a file; `None` if it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// Reads the tokens of a file.
///
/// # Errors
///
/// When the file cannot be read, is not private, or has a line that is no token.
pub(crate) fn read(path: &Path) -> Result<TokenTable, TokenFileError> {
    let failed = |cause| TokenFileError::Read {
        path: path.to_owned(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if found.is_file() && found.mode() & FORBIDDEN != 0 {
        return Err(TokenFileError::Public {
            path: path.to_owned(),
            mode: found.mode() & 0o777,
        });
    }
    let mut text = String::new();
    let bytes = file.take(BYTES_MAX + 1).read_to_string(&mut text);
    if bytes.map_err(failed)? as u64 > BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    TokenTable::parse(&text).map_err(|fault| TokenFileError::Damaged {
        path: path.to_owned(),
        fault,
    })
}

/// Changes the tokens of a file, which is made if it is missing. Where this process is root, a new file belongs to the
/// owner of `of_owner`, if that is there.
///
/// # Errors
///
/// When the file cannot be read or replaced, or `change` refuses.
pub(crate) fn change<T>(
    path: &Path,
    of_owner: Option<&Path>,
    change: impl FnOnce(&mut TokenTable) -> Result<T, TokenTableError>,
) -> Result<T, TokenFileError> {
    let failed = |cause| TokenFileError::Write {
        path: path.to_owned(),
        cause,
    };
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(failed(error)),
    };
    let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = File::open(parent.unwrap_or(Path::new("."))).map_err(failed)?;
    // Until the end of this function; another command that changes the file waits.
    flock(&dir, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let old = match fs::metadata(&path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    let mut table = match &old {
        Some(_) => read(&path)?,
        None => TokenTable::default(),
    };
    let done = change(&mut table).map_err(TokenFileError::Refused)?;
    let owner = match &old {
        Some(old) => Some((old.uid(), old.gid())),
        None => of_owner.and_then(|path| {
            let found = fs::metadata(path).ok()?;
            rustix::process::geteuid()
                .is_root()
                .then(|| (found.uid(), found.gid()))
        }),
    };
    let mode = old.map_or(OWNERS, |old| OWNERS | (old.mode() & GROUPS));
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = replace(&path, &beside, &table.to_string(), owner, mode);
    let written = written.and_then(|()| dir.sync_all());
    if let Err(error) = written {
        // It may not be there.
        let _ = fs::remove_file(&beside);
        return Err(failed(error));
    }
    Ok(done)
}

/// Writes a file beside another one, and then in its place.
fn replace(
    path: &Path,
    beside: &Path,
    text: &str,
    owner: Option<(u32, u32)>,
    mode: u32,
) -> io::Result<()> {
    // Left by a process that was killed; the lock says that no other is at it.
    let _ = fs::remove_file(beside);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(OWNERS)
        .open(beside)?;
    let found = file.metadata()?;
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (found.uid(), found.gid())) {
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// The reason there are no tokens, or no others.
#[derive(Debug)]
pub enum TokenFileError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// Other users can read or write the file.
    Public {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line of the file is invalid.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line and its fault.
        fault: TokenTableError,
    },
    /// The file cannot be replaced.
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// The change is not one of those that a table takes.
    Refused(TokenTableError),
}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, cause } if cause.kind() == io::ErrorKind::NotFound => write!(
                f,
                "the file of tokens {} is missing; `reviewsd token add` makes it",
                path.display()
            ),
            Self::Read { path, .. } => {
                write!(f, "cannot read the file of tokens {}", path.display())
            }
            Self::Public { path, mode } => write!(
                f,
                "other users of this machine can read or write the tokens in {0} (mode {mode:o}); chmod 600 {0}",
                path.display()
            ),
            Self::Damaged { path, fault } => write!(
                f,
                "the file of tokens {} is damaged: {fault}",
                path.display()
            ),
            Self::Write { path, .. } => write!(
                f,
                "cannot replace the file of tokens {}; run the command as the file's owner or as root",
                path.display()
            ),
            Self::Refused(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for TokenFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { cause, .. } if cause.kind() == io::ErrorKind::NotFound => None,
            Self::Read { cause, .. } | Self::Write { cause, .. } => Some(cause),
            Self::Public { .. } | Self::Damaged { .. } | Self::Refused(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::moderation::Role;

    fn add(path: &Path, name: &str) -> Result<String, TokenFileError> {
        change(path, None, |table| {
            table.add(name, Role::Reader, None, &[1; 32])
        })
    }

    fn names(path: &Path) -> Vec<String> {
        read(path)
            .unwrap()
            .iter()
            .map(|token| token.name.clone())
            .collect()
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("is missing") && error.contains("reviewsd token add"),
            "{error}"
        );
        let token = add(&path, "ana").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(&path), ["ana"]);
        assert!(!fs::read_to_string(&path).unwrap().contains(&token));
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_refused_change_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        add(&path, "ana").unwrap();
        let before = FileVersion::of(&path);
        let error = add(&path, "ana").unwrap_err().to_string();
        assert!(error.contains("named ana already"), "{error}");
        assert_eq!(FileVersion::of(&path), before);
        add(&path, "bob").unwrap();
        assert_ne!(FileVersion::of(&path), before);
        assert_eq!(names(&path), ["ana", "bob"]);
    }

    #[test]
    fn a_file_that_others_can_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        add(&path, "ana").unwrap();
        for (mode, is_fit) in [
            (0o600, true),
            (0o400, true),
            (0o640, true),
            (0o660, false),
            (0o644, false),
            (0o601, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read(&path);
            assert_eq!(read.is_ok(), is_fit, "{mode:o}");
            if let Err(error) = read {
                let remedy = format!("chmod 600 {}", path.display());
                assert!(error.to_string().ends_with(&remedy), "{error}");
            }
        }
        // The group of the server keeps its permission.
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        add(&path, "bob").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        add(&path, "ana").unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("bob reader\n");
        fs::write(&path, &text).unwrap();
        for error in [read(&path).unwrap_err(), add(&path, "cleo").unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("line 4: it must have four words"), "{error}");
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_link_to_the_file_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("tokens"), dir.path().join("link"));
        add(&path, "ana").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        add(&link, "bob").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(&path), ["ana", "bob"]);
    }
}
