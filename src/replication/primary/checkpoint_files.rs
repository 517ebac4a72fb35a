//! Checkpoints as replicas and backups fetch them: the list of files, each file from any byte on, and the
//! end of a checkpoint.
//!
//! Must not know how they are made. Invariant: a file is there as long as a client reads it, and is read no
//! faster than checkpoints may be sent.

use std::io::Read;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};

use super::body::{Body, answer, done, json, text, unavailable};
use super::{Primary, PrimaryResponse};
use crate::store::Checkpoint;
use crate::store::key::FORMAT;
use crate::wire::protocol::{CheckpointManifest, PROTOCOL, StreamRequest, is_for_backup, point};

impl Primary {
    /// Makes a checkpoint, and returns the list of its files.
    pub(super) async fn checkpoint(&self, query: &str) -> PrimaryResponse {
        let checkpoint = if is_for_backup(query) {
            self.checkpoints.own().await
        } else {
            self.checkpoints.get(StreamRequest::read(query)).await
        };
        let checkpoint = match checkpoint {
            Ok(Some(checkpoint)) => checkpoint,
            Ok(None) => {
                return unavailable(
                    "it has the maximum number of backups and new replicas at once; try again when one \
                     of them is done",
                );
            }
            Err(error) => {
                tracing::error!("cannot make a checkpoint: {error}");
                return unavailable(&format!("it cannot make a checkpoint: {error}"));
            }
        };
        let manifest = CheckpointManifest {
            protocol: PROTOCOL,
            format: FORMAT,
            store: format!("{:032x}", self.store.identity().store_id),
            id: format!("{:032x}", checkpoint.id()),
            position: point(checkpoint.position()),
            files: checkpoint.files().iter().map(Into::into).collect(),
        };
        json(StatusCode::OK, &manifest)
    }

    /// Removes a checkpoint before its time.
    pub(super) fn give_back(&self, id: &str) -> PrimaryResponse {
        let id = u128::from_str_radix(id, 16).ok();
        if !id.is_some_and(|id| self.checkpoints.give_back(id)) {
            return text(StatusCode::NOT_FOUND, "there is no such checkpoint\n");
        }
        done()
    }

    /// A file of a checkpoint, from where the replica has it on.
    pub(super) fn file(&self, path: &str, headers: &HeaderMap) -> PrimaryResponse {
        let gone = || text(StatusCode::NOT_FOUND, "the file no longer exists\n");
        let Some((id, name)) = path.split_once('/') else {
            return gone();
        };
        let id = u128::from_str_radix(id, 16).ok();
        let Some(checkpoint) = id.and_then(|id| self.checkpoints.find(id)) else {
            return gone();
        };
        let Some(bytes) = size_of(&checkpoint, name) else {
            return gone();
        };
        let from = headers.get(header::RANGE).map_or(Some(0), range_from);
        let Some(from) = from.filter(|from| *from <= bytes) else {
            return text(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "the file is shorter than that\n",
            );
        };
        let file = match checkpoint.open(name, from) {
            Ok(Some(file)) => file,
            Ok(None) => return gone(),
            Err(error) => {
                tracing::error!("{error}");
                return unavailable(&error.to_string());
            }
        };
        let left = bytes - from;
        let (pieces, body) = Body::pieces(Some(left));
        let (checkpoints, meters) = (Arc::clone(&self.checkpoints), Arc::clone(&self.meters));
        let mut file = file.take(left);
        let piece_bytes = self.checkpoints.piece_bytes();
        tokio::spawn(async move {
            // It is there as long as a client reads it.
            let _checkpoint = checkpoint;
            loop {
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = Vec::with_capacity(piece_bytes);
                    let read = (&mut file).take(piece_bytes as u64).read_to_end(&mut piece);
                    read.map(|_| (piece, file))
                });
                // The client notices a file that ends too early.
                let Ok(Ok((piece, rest))) = read.await else {
                    return;
                };
                if piece.is_empty() {
                    return;
                }
                file = rest;
                checkpoints.pay(piece.len()).await;
                meters.sent_bytes.add(piece.len() as u64);
                if pieces.send(piece.into()).await.is_err() {
                    return;
                }
            }
        });
        let status = if from == 0 {
            StatusCode::OK
        } else {
            StatusCode::PARTIAL_CONTENT
        };
        let mut answer = answer(status, "application/octet-stream", body);
        if from > 0 && bytes > from {
            let range = format!("bytes {from}-{}/{bytes}", bytes - 1);
            if let Ok(range) = HeaderValue::try_from(range) {
                answer.headers_mut().insert(header::CONTENT_RANGE, range);
            }
        }
        answer
    }
}

fn size_of(checkpoint: &Checkpoint, name: &str) -> Option<u64> {
    let file = checkpoint.files().iter().find(|file| file.name == name);
    file.map(|file| file.bytes)
}

/// Parses `bytes=5-`, the only form of range that replicas ask for.
fn range_from(range: &HeaderValue) -> Option<u64> {
    let range = range.to_str().ok()?.strip_prefix("bytes=")?;
    range.strip_suffix('-')?.parse().ok()
}
