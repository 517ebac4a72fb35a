//! The quarantine file: values that cannot be decoded, stored there so that the store can do without them
//! and they are not lost.
//!
//! Owns its form: a line for each, `family key value why`, key and value in hexadecimal. Must not know
//! why a value is damaged. Invariant: the file only grows, and only its owner can read it.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::error::Error;
use super::super::key::Family;

/// Its name in the data directory.
pub const FILE: &str = "set-aside.txt";

pub(super) struct Quarantine {
    path: PathBuf,
    file: Option<File>,
}

impl Quarantine {
    /// The file of a data directory; made when the first value is added.
    pub(super) fn of(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        Self { path, file: None }
    }

    /// Adds a value.
    pub(super) fn add(
        &mut self,
        family: Family,
        key: &[u8],
        value: &[u8],
        why: &str,
    ) -> Result<(), Error> {
        let mut line = String::from(family.name());
        for bytes in [key, value] {
            line.push(' ');
            for byte in bytes {
                // A string takes whatever is written to it.
                let _ = write!(line, "{byte:02x}");
            }
        }
        let why = why.replace('\n', " ");
        // A string takes whatever is written to it.
        let _ = writeln!(line, " {why}");
        let doing = format!("write {}", self.path.display());
        self.open()?
            .write_all(line.as_bytes())
            .map_err(Error::io(doing))
    }

    /// Makes what was added durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let dir = self.path.parent().unwrap_or(Path::new("."));
        file.sync_all()
            .and_then(|()| File::open(dir)?.sync_all())
            .map_err(Error::io(format!("make {} durable", self.path.display())))
    }

    fn open(&mut self) -> Result<&mut File, Error> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            let file = options.append(true).create(true).mode(0o600);
            let file = file.open(&self.path);
            self.file = Some(file.map_err(Error::io(format!("open {}", self.path.display())))?);
        }
        self.file
            .as_mut()
            .ok_or_else(|| Error::io("open a file")(std::io::ErrorKind::NotFound.into()))
    }
}
