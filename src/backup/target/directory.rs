//! A directory that holds backups: its owner's alone, and free of what was begun and not finished.
//!
//! Must not know what the objects are. Invariant: only temporary files are removed, and only old ones.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The mode of directories that hold e-mail addresses.
pub(super) const OWNERS: u32 = 0o700;

/// Makes a directory that only its owner can look into, also where there was one that others could.
pub(super) fn close(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(OWNERS).create(dir)?;
    let found = fs::metadata(dir)?;
    let is_open = found.mode() & 0o077 != 0;
    if is_open && found.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(dir, Permissions::from_mode(OWNERS))?;
    }
    Ok(())
}

/// Removes old temporary files, whose names have a `#`, from a directory.
pub(super) fn sweep(dir: &Path, age: Duration) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            swept += sweep(&entry.path(), age)?;
            continue;
        }
        if !entry.file_name().to_string_lossy().contains('#') {
            continue;
        }
        let written = entry.metadata()?.modified()?;
        let is_old = SystemTime::now().duration_since(written);
        if is_old.is_ok_and(|old| old > age) {
            fs::remove_file(entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}
