//! Targets: objects by name, in a directory or in a bucket. This file and those below it alone name
//! `object_store`.
//!
//! Must not know what the objects are. Invariants: an object is there whole or not at all, and once it
//! is written it is durable; no more than one part of an object is held in memory.

mod failure;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use super::error::Error;
use super::names;
use crate::segment::InvalidSegment;
use failure::{said, target};

/// The bytes of an object that are sent or read at once; a bucket takes no parts below 5 MiB.
pub(super) const PART_BYTES: usize = 8 << 20;
/// The number of retries, and the time for all of them, where a bucket does not answer.
const RETRIES: usize = 4;
const RETRY_TIME_MAX: Duration = Duration::from_mins(1);
const S3: &str = "s3://";
/// The mode of directories that hold e-mail addresses.
const OWNERS: u32 = 0o700;

/// A place for objects.
#[derive(Clone)]
pub struct BackupTarget {
    objects: Arc<dyn ObjectStore>,
    shown: String,
    /// Its path, where it is a directory.
    dir: Option<PathBuf>,
    /// The number of changes that are still made, for a test that ends a process in between.
    #[cfg(test)]
    changes_left: Option<Arc<std::sync::atomic::AtomicU32>>,
}

/// An object that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetObject {
    /// Its name, with slashes.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    /// When it was written, by the target's clock.
    pub(super) written_ms: i64,
}

/// An object on its way.
pub(super) struct Upload {
    parts: Box<dyn MultipartUpload>,
    doing: String,
}

impl BackupTarget {
    /// Opens the place that a text names, to write to: a directory is made where there is none, and its
    /// contents are its owner's alone.
    pub fn to_write(text: &str) -> Result<Self, Error> {
        if is_directory(text)? {
            // It will hold e-mail addresses.
            let made = DirBuilder::new().recursive(true).mode(OWNERS).create(text);
            made.map_err(|cause| Error::Target {
                doing: format!("make {text}"),
                why: format!(
                    "{cause}; check that its disk is mounted and that this user may write there, or \
                     name another target"
                ),
            })?;
            for part in names::PARTS {
                let part = FilePath::new(text).join(part);
                let closed = close(&part);
                closed.map_err(Error::io(format!("make {} private", part.display())))?;
            }
        }
        Self::to_read(text)
    }

    /// Opens the place that a text names, which must be there.
    pub fn to_read(text: &str) -> Result<Self, Error> {
        if is_directory(text)? {
            return Self::directory(text);
        }
        Self::bucket(text.strip_prefix(S3).unwrap_or_default(), text)
    }

    /// The mode of a directory that other users of this machine can look into.
    #[must_use]
    pub fn open_mode(&self) -> Option<u32> {
        let mode = fs::metadata(self.dir.as_ref()?).ok()?.mode() & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }

    fn directory(text: &str) -> Result<Self, Error> {
        let dir = fs::canonicalize(text).map_err(|cause| Error::Target {
            doing: format!("look into {text}"),
            why: format!("{cause}; check that its disk is mounted, or name another target"),
        })?;
        let objects = LocalFileSystem::new_with_prefix(&dir)
            .map_err(|e| target(format!("use {text}"), &e))?
            .with_fsync(true);
        Ok(Self {
            objects: Arc::new(objects),
            shown: text.to_owned(),
            dir: Some(dir),
            #[cfg(test)]
            changes_left: None,
        })
    }

    fn bucket(rest: &str, text: &str) -> Result<Self, Error> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::Place(text.to_owned()));
        }
        // The HTTP client below uses the installed provider. One that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_TIME_MAX,
            ..RetryConfig::default()
        };
        let objects = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            .build()
            .map_err(|e| target(format!("use {text}"), &e))?;
        let prefix = Path::parse(prefix).map_err(|_| Error::Place(text.to_owned()))?;
        Ok(Self {
            objects: Arc::new(PrefixStore::new(objects, prefix)),
            shown: text.trim_end_matches('/').to_owned(),
            dir: None,
            #[cfg(test)]
            changes_left: None,
        })
    }

    /// The target as it was named.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Lists every object below a name.
    pub(super) async fn list(&self, below: &str) -> Result<Vec<TargetObject>, Error> {
        let doing = || format!("list {below} in {}", self.shown);
        let below = Path::from(below);
        let listed = self.objects.list(Some(&below));
        let entries = listed.map_ok(|object| TargetObject {
            name: object.location.to_string(),
            bytes: object.size,
            written_ms: object.last_modified.timestamp_millis(),
        });
        let entries: Result<Vec<_>, _> = entries.try_collect().await;
        entries.map_err(|e| target(doing(), &e))
    }

    /// Reads an object, unless it is longer than `bytes_max`.
    pub(super) async fn get(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, Error> {
        self.expect_file(name)?;
        let got = self.objects.get(&Path::from(name)).await;
        let got = got.map_err(|e| self.unread(name, &e))?;
        if got.meta.size > bytes_max {
            return Err(self.damaged(name, format!("it has {} bytes", got.meta.size)));
        }
        let bytes = got.bytes().await.map_err(|e| self.unread(name, &e))?;
        Ok(bytes.into())
    }

    /// Reads the bytes of an object from one offset to another, or to its end.
    pub(super) async fn piece(&self, name: &str, from: u64, to: u64) -> Result<Bytes, Error> {
        self.expect_file(name)?;
        let got = self.objects.get_range(&Path::from(name), from..to).await;
        got.map_err(|e| self.unread(name, &e))
    }

    /// Writes an object.
    pub(super) async fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        #[cfg(test)]
        self.change(self.writing(name))?;
        let payload = PutPayload::from(bytes.into());
        let put = self.objects.put(&Path::from(name), payload).await;
        put.map(drop).map_err(|e| target(self.writing(name), &e))
    }

    /// Begins an object of more than a part.
    pub(super) async fn begin(&self, name: &str) -> Result<Upload, Error> {
        let parts = self.objects.put_multipart(&Path::from(name)).await;
        Ok(Upload {
            parts: parts.map_err(|e| target(self.writing(name), &e))?,
            doing: self.writing(name),
        })
    }

    /// Removes an object; it is no error if there is none.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Error> {
        let doing = format!("remove {name} in {}", self.shown);
        #[cfg(test)]
        self.change(doing.clone())?;
        match self.objects.delete(&Path::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(target(doing, &error)),
        }
    }

    /// Removes objects that were begun in a directory and not finished for so long. A bucket does that
    /// itself, if it has a rule for it.
    pub(super) fn sweep(&self, below: &str, age: Duration) -> Result<u64, Error> {
        let Some(dir) = &self.dir else {
            return Ok(0);
        };
        sweep(&dir.join(below), age).map_err(Error::io(format!("sweep {}", dir.display())))
    }

    /// Returns an error where an object of a directory is no file: reading a named pipe has no end.
    fn expect_file(&self, name: &str) -> Result<(), Error> {
        let path = self.dir.as_ref().map(|dir| dir.join(name));
        // If it is missing, reading it says so.
        let found = path.and_then(|path| fs::metadata(path).ok());
        if found.is_none_or(|found| found.is_file()) {
            return Ok(());
        }
        Err(self.damaged(name, "it is not a regular file"))
    }

    fn writing(&self, name: &str) -> String {
        format!("write {name} in {}", self.shown)
    }

    fn unread(&self, name: &str, error: &object_store::Error) -> Error {
        match error {
            object_store::Error::NotFound { .. } if !said(error).contains("NoSuchBucket") => {
                Error::Missing {
                    name: name.to_owned(),
                    target: self.shown.clone(),
                }
            }
            _ => target(format!("read {name} in {}", self.shown), error),
        }
    }

    /// Returns the error for a segment that cannot be played: another program's, or damage.
    pub(super) fn unplayable(&self, name: &str, why: &InvalidSegment) -> Error {
        match why {
            InvalidSegment::Newer(_) | InvalidSegment::Format(_) => Error::NewerSegment {
                name: name.to_owned(),
                why: why.to_string(),
            },
            InvalidSegment::Frame(_) | InvalidSegment::Order(_) | InvalidSegment::Batch(_) => {
                self.damaged(name, why.to_string())
            }
        }
    }

    /// Returns the same target, for a process that ends after so many changes.
    #[cfg(test)]
    pub(super) fn cut_after(&self, changes: u32) -> Self {
        Self {
            changes_left: Some(Arc::new(changes.into())),
            ..self.clone()
        }
    }

    #[cfg(test)]
    fn change(&self, doing: String) -> Result<(), Error> {
        use std::sync::atomic::Ordering::Relaxed;
        let is_made = self.changes_left.as_ref().is_none_or(|left| {
            let less = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            less.is_ok()
        });
        let why = "the process ended".to_owned();
        is_made.then_some(()).ok_or(Error::Target { doing, why })
    }

    /// An [`Error::Damaged`].
    pub(super) fn damaged(&self, name: &str, why: impl Into<String>) -> Error {
        Error::Damaged {
            name: name.to_owned(),
            target: self.shown.clone(),
            why: why.into(),
        }
    }
}

impl Upload {
    /// Writes a part; all but the last have [`PART_BYTES`].
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), Error> {
        let part = self.parts.put_part(bytes.into()).await;
        part.map_err(|e| target(self.doing.clone(), &e))
    }

    /// Completes the object.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        let finished = self.parts.complete().await;
        finished.map(drop).map_err(|e| target(self.doing, &e))
    }

    /// Aborts the object.
    pub(super) async fn abort(mut self) {
        // A part that cannot be removed now is swept one day.
        let _ = self.parts.abort().await;
    }
}

/// Returns true if a text names a directory, and not a bucket. One with a colon in its first part is more
/// likely a bucket or a host that is misspelt.
fn is_directory(text: &str) -> Result<bool, Error> {
    if text.starts_with(S3) {
        return Ok(false);
    }
    let first = text.split('/').next().unwrap_or_default();
    if text.is_empty() || first.contains(':') {
        return Err(Error::Place(text.to_owned()));
    }
    Ok(true)
}

/// Makes a directory that only its owner can look into, also if there was one that other users could.
fn close(dir: &FilePath) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(OWNERS).create(dir)?;
    let found = fs::metadata(dir)?;
    let is_open = found.mode() & 0o077 != 0;
    if is_open && found.uid() == rustix::process::geteuid().as_raw() {
        fs::set_permissions(dir, Permissions::from_mode(OWNERS))?;
    }
    Ok(())
}

/// Removes old temporary files, whose names have a `#`, from a directory.
fn sweep(dir: &FilePath, age: Duration) -> io::Result<u64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_and_a_bucket_are_places() {
        for text in [
            "",
            "s3://",
            "s3:///x",
            "gs://bucket",
            "http://127.0.0.1:1/x",
            "s3:/shop-backups/reviews",
            "s3:shop-backups",
            "minio:/backups",
            "host:backups",
        ] {
            let refused = BackupTarget::to_write(text).err().unwrap().to_string();
            assert!(refused.contains("not a backup target"), "{refused}");
        }
        let there = tempfile::tempdir().unwrap();
        let colon = there.path().join("a:b");
        assert!(BackupTarget::to_write(colon.to_str().unwrap()).is_ok());
        let gone = BackupTarget::to_read("/nonexistent/backups").err().unwrap();
        assert!(gone.to_string().contains("look into /nonexistent/backups"));
        let gone = BackupTarget::to_write("/proc/none").err().unwrap();
        assert!(gone.to_string().contains("make /proc/none"), "{gone}");
    }

    #[tokio::test]
    async fn a_named_pipe_in_place_of_an_object_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let target = BackupTarget::to_write(dir.path().to_str().unwrap()).unwrap();
        let pipe = dir.path().join("log/pipe");
        let made = std::process::Command::new("mkfifo").arg(pipe).status();
        assert!(made.unwrap().success());
        for read in [
            target.get("log/pipe", 100).await.map(drop),
            target.piece("log/pipe", 0, 1).await.map(drop),
        ] {
            assert!(matches!(read, Err(Error::Damaged { .. })), "{read:?}");
        }
    }

    #[test]
    fn only_the_owner_can_look_into_a_directory_of_backups() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("to");
        for part in ["", "files", "log"] {
            fs::create_dir(to.join(part)).unwrap();
            fs::set_permissions(to.join(part), Permissions::from_mode(0o755)).unwrap();
        }
        let target = BackupTarget::to_write(to.to_str().unwrap()).unwrap();
        // The operator who made it gets a message with the users who may look into it.
        assert_eq!(target.open_mode(), Some(0o755));
        fs::set_permissions(&to, Permissions::from_mode(0o700)).unwrap();
        assert_eq!(target.open_mode(), None);
        for part in names::PARTS {
            let mode = fs::metadata(to.join(part)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o700, "{part}");
        }
    }
}
