//! The origin of a snapshot: a server, or a store that no server has open.
//!
//! Must not know where it goes. Invariants: the files are of one state of the store, all of which is
//! durable; a file is handed out to its last byte, and is then the one that was announced, or there is an
//! error; no more than a part of it is in memory.

use std::io::Read;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::Xxh3;

use super::error::Error;
use super::target::PART_BYTES;
use crate::backup_source::{BackupSource, BackupSourceError, HeldCheckpoint, HeldFile};
use crate::model::clock::now_ms;
use crate::store::{self, BackedUp, Checkpoint, CheckpointFile, LogPosition, Store};

/// The number of times in a row that a file is asked for again.
const TRIES_MAX: u32 = 5;
const RETRY_TIME: Duration = Duration::from_secs(1);
/// The time after which a checkpoint that is not ready yet is reported.
const QUICK_TIME_MAX: Duration = Duration::from_secs(1);
/// The bytes of a file that are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// The store that is backed up.
pub enum BackupOrigin {
    /// The store of a server.
    Server(BackupSource),
    /// A store here.
    Store(Store),
}

/// A checkpoint of it.
pub(super) enum Copied {
    Server(BackupSource, HeldCheckpoint),
    Store(Checkpoint, u128),
}

/// A file of that, being read.
pub(super) struct FileReader<'c> {
    of: &'c Copied,
    file: &'c CheckpointFile,
    open: Option<OpenFile>,
    at: u64,
    hash: Xxh3,
    /// The bytes beyond the part that was handed out.
    rest: Bytes,
}

enum OpenFile {
    There(HeldFile),
    Here(std::fs::File),
}

impl From<BackupSourceError> for Error {
    fn from(error: BackupSourceError) -> Self {
        Self::Server(error.to_string())
    }
}

impl BackupOrigin {
    /// Makes a checkpoint, which lasts as long as the returned value, and a while. `waits` is called with a
    /// message when that takes long.
    pub(super) async fn copy(&self, waits: impl FnOnce(String)) -> Result<Copied, Error> {
        Ok(match self {
            Self::Server(backup_source) => {
                let mut asked = pin!(backup_source.checkpoint());
                let tapped = if let Ok(tapped) = timeout(QUICK_TIME_MAX, &mut asked).await {
                    tapped
                } else {
                    let server = backup_source.primary();
                    waits(format!(
                        "waiting for the server at {server} to make a checkpoint"
                    ));
                    asked.await
                };
                Copied::Server(backup_source.clone(), tapped?)
            }
            Self::Store(store) => {
                let checkpoint = Checkpoint::make(store)?;
                Copied::Store(checkpoint, store.identity().store_id)
            }
        })
    }

    /// Notes beside the store that a backup of it is complete up to a row. The backup is complete even if
    /// that cannot be noted.
    pub(super) async fn backed_up(&self, store_id: u128, seq: u64) {
        match self {
            Self::Server(backup_source) => backup_source.backed_up(store_id, seq).await,
            Self::Store(store) => {
                let time_ms = now_ms();
                let _ = store.set_backed_up(store_id, BackedUp { time_ms, seq });
            }
        }
    }
}

impl Copied {
    /// Returns the store's id and its position.
    pub(super) fn position(&self) -> (u128, LogPosition) {
        match self {
            Self::Server(_, tapped) => (tapped.store, tapped.position),
            Self::Store(checkpoint, id) => (*id, checkpoint.position()),
        }
    }

    /// Gives the checkpoint back.
    pub(super) async fn give_back(self) {
        if let Self::Server(backup_source, tapped) = self {
            backup_source.give_back(&tapped).await;
        }
    }

    /// Its files.
    pub(super) fn files(&self) -> &[CheckpointFile] {
        match self {
            Self::Server(_, tapped) => &tapped.files,
            Self::Store(checkpoint, _) => checkpoint.files(),
        }
    }

    /// Begins to read a file of it.
    pub(super) fn read<'c>(&'c self, file: &'c CheckpointFile) -> FileReader<'c> {
        FileReader {
            of: self,
            file,
            open: None,
            at: 0,
            hash: Xxh3::new(),
            rest: Bytes::new(),
        }
    }

    async fn open(&self, name: &str, from: u64) -> Result<OpenFile, BackupSourceError> {
        match self {
            Self::Server(backup_source, tapped) => Ok(OpenFile::There(
                backup_source.file(tapped, name, from).await?,
            )),
            Self::Store(checkpoint, _) => {
                let file = checkpoint.open(name, from);
                let file = file
                    .map_err(|error: store::Error| BackupSourceError::NoAnswer(error.to_string()));
                file?.map(OpenFile::Here).ok_or(BackupSourceError::Gone)
            }
        }
    }
}

impl FileReader<'_> {
    /// Returns the next part, which is shorter than others only at the end; `None` after that.
    pub(super) async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        let mut part = BytesMut::from(std::mem::take(&mut self.rest));
        while part.len() < PART_BYTES && self.at < self.file.bytes {
            part.extend_from_slice(&self.piece().await?);
        }
        if part.len() > PART_BYTES {
            self.rest = part.split_off(PART_BYTES).freeze();
        }
        if part.is_empty() {
            return Ok(None);
        }
        // Checked before the last part is handed out.
        let is_end = self.at >= self.file.bytes && self.rest.is_empty();
        let is_other = self.at > self.file.bytes || self.hash.digest128() != self.file.hash;
        if is_end && is_other {
            return Err(Error::Changed(self.file.name.clone()));
        }
        Ok(Some(part.freeze()))
    }

    /// Reads some bytes, however often they have to be requested.
    async fn piece(&mut self) -> Result<Bytes, Error> {
        let mut tries = 0;
        loop {
            match self.try_piece().await {
                Ok(piece) => {
                    self.at += piece.len() as u64;
                    self.hash.update(&piece);
                    return Ok(piece);
                }
                Err(BackupSourceError::NoAnswer(_)) if tries < TRIES_MAX => {
                    tries += 1;
                    self.open = None;
                    sleep(RETRY_TIME).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn try_piece(&mut self) -> Result<Bytes, BackupSourceError> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(self.of.open(&self.file.name, self.at).await?),
        };
        let piece = match open {
            OpenFile::There(file) => file.next().await?,
            OpenFile::Here(file) => {
                read(file).map_err(|e| BackupSourceError::NoAnswer(e.to_string()))?
            }
        };
        piece.ok_or_else(|| {
            BackupSourceError::NoAnswer(format!("{} ended too early", self.file.name))
        })
    }
}

fn read(file: &mut std::fs::File) -> std::io::Result<Option<Bytes>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    file.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then(|| piece.into()))
}
