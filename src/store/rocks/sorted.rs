//! Files of sorted rows, written apart from the database and taken into it whole.

use std::path::PathBuf;

use rocksdb::{Options, SstFileWriter};

use super::{Error, Family, failed, family_options};

/// Writes one file of sorted rows, to be ingested.
pub(crate) struct SortedFile<'o> {
    writer: SstFileWriter<'o>,
    path: PathBuf,
    rows: u64,
}

/// The options for writing the files of a family.
pub(crate) struct SortedFileOptions(Options);

impl SortedFileOptions {
    /// Returns the options that the family's own files have.
    pub(crate) fn of(family: Family) -> Self {
        Self(family_options(family, None))
    }
}

impl<'o> SortedFile<'o> {
    /// Starts a file at `path`.
    pub(crate) fn create(options: &'o SortedFileOptions, path: PathBuf) -> Result<Self, Error> {
        let writer = SstFileWriter::create(&options.0);
        writer
            .open(&path)
            .map_err(|e| failed(format!("create {}", path.display()), &e))?;
        Ok(Self {
            writer,
            path,
            rows: 0,
        })
    }

    /// Adds a row; keys must ascend.
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.rows += 1;
        self.writer
            .put(key, value)
            .map_err(|e| failed(format!("write {}", self.path.display()), &e))
    }

    /// Makes the file durable and gives its path and rows.
    pub(crate) fn finish(mut self) -> Result<(PathBuf, u64), Error> {
        self.writer
            .finish()
            .map_err(|e| failed(format!("write {}", self.path.display()), &e))?;
        Ok((self.path, self.rows))
    }
}
