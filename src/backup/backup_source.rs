//! The input of a backup from a primary: a checkpoint, and the commits behind a position.
//!
//! Must not know what happens to it. Invariant: a file is handed out from any byte on and in pieces;
//! commits come in order, as the primary sends them, and silence is not taken for there being none.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use crate::replication::wire::frame::{Decoder, Frame};
use crate::replication::wire::protocol::{
    ACK, BACKED_UP, BASE, CHECKPOINT, CheckpointManifest, FOR_BACKUP, PROTOCOL, StreamRefusal,
    StreamRequest, position,
};
use crate::replication::{NoAnswer, PrimaryAddress, PrimaryConnection, SILENCE_MAX, whole};
use crate::store::key::{FORMAT, is_read};
use crate::store::{CheckpointFile, LogPosition};

/// The time for a primary to make a checkpoint.
const CHECKPOINT_TIME_MAX: Duration = Duration::from_mins(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The number of characters of a server's own message that are reported at most.
const SAID_CHARS_MAX: usize = 300;
const OTHER_TOKEN: &str = "the server has another token (replication.token_file); give the same one \
                           with --config or --set replication.token_file=FILE, or one of the role replica \
                           with --token-file";
const NOT_THERE: &str = "the server there is an older one, or this is another port, or it has no token \
                         (replication.token_file) and the request comes from another machine; name the \
                         admin port (net.admin) of a primary or a replica";

/// A primary, to be backed up.
#[derive(Debug, Clone)]
pub struct BackupSource {
    source: PrimaryAddress,
}

/// A checkpoint of a primary, held for a while.
#[derive(Debug, Clone)]
pub(crate) struct HeldCheckpoint {
    /// The store.
    pub(crate) store: u128,
    /// Its position.
    pub(crate) position: LogPosition,
    /// Its files.
    pub(crate) files: Vec<CheckpointFile>,
    id: String,
}

/// A file of it, on its way.
pub(crate) struct HeldFile(Incoming);

/// A stream of commits.
pub(crate) struct CommitStream {
    body: Incoming,
    decoder: Decoder,
    source: PrimaryAddress,
    session: Option<u64>,
}

/// The reason for which a primary rejects a request.
#[derive(Debug)]
pub(crate) enum BackupSourceError {
    /// The primary's commits do not extend the position that was named.
    Astray(String),
    /// The primary is replaced: the named position is of a later epoch.
    Replaced(String),
    /// It speaks another version.
    Version(String),
    /// The checkpoint is removed.
    Gone,
    /// It does not answer, or not as it should: a later attempt may succeed.
    NoAnswer(String),
    /// It does not accept the client.
    Unknown(&'static str),
}

impl fmt::Display for BackupSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Astray(why) | Self::Replaced(why) | Self::Version(why) | Self::NoAnswer(why) => {
                f.write_str(why)
            }
            Self::Gone => f.write_str("the server deleted the checkpoint; back up again"),
            Self::Unknown(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for BackupSourceError {}

impl From<NoAnswer> for BackupSourceError {
    fn from(error: NoAnswer) -> Self {
        Self::NoAnswer(error.to_string())
    }
}

impl BackupSource {
    /// The primary at a place.
    #[must_use]
    pub fn new(source: PrimaryAddress) -> Self {
        Self { source }
    }

    /// Its address.
    #[must_use]
    pub fn primary(&self) -> &str {
        &self.source.primary
    }

    fn unheard(&self, why: &NoAnswer) -> BackupSourceError {
        BackupSourceError::NoAnswer(format!(
            "the server at {} does not answer ({why}); the address must be that of the admin port \
             (net.admin) of a primary or a replica",
            self.source.primary
        ))
    }

    /// Returns the error for an unexpected response.
    async fn unexpected(&self, answer: Response<Incoming>) -> BackupSourceError {
        let status = answer.status();
        match status {
            StatusCode::UNAUTHORIZED => BackupSourceError::Unknown(OTHER_TOKEN),
            StatusCode::NOT_FOUND => BackupSourceError::Unknown(NOT_THERE),
            _ => {
                // A server says why it cannot in one line. An older version says nothing of use.
                let said = whole(answer).await.unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                let why = said.lines().next().unwrap_or_default();
                BackupSourceError::NoAnswer(format!(
                    "the server at {} answers {}: {}",
                    self.source.primary,
                    status.as_u16(),
                    why.chars().take(SAID_CHARS_MAX).collect::<String>()
                ))
            }
        }
    }

    /// Has a checkpoint made.
    pub(crate) async fn checkpoint(&self) -> Result<HeldCheckpoint, BackupSourceError> {
        let mut client = PrimaryConnection::new(self.source.clone());
        let path = format!("{BASE}{CHECKPOINT}?{FOR_BACKUP}");
        let answer = client.get(&path, 0, CHECKPOINT_TIME_MAX).await;
        let answer = answer.map_err(|why| self.unheard(&why))?;
        if answer.status() != StatusCode::OK {
            return Err(self.unexpected(answer).await);
        }
        let unread = || BackupSourceError::NoAnswer("its list of files cannot be read".to_owned());
        let manifest: CheckpointManifest =
            serde_json::from_slice(&whole(answer).await?).map_err(|_| unread())?;
        if manifest.protocol != PROTOCOL || !is_read(manifest.format) {
            let refusal = StreamRefusal::Version {
                protocol: manifest.protocol,
                format: manifest.format,
            };
            return Err(BackupSourceError::Version(refusal.to_string()));
        }
        manifest.bytes().ok_or_else(unread)?;
        let hex = |text: &str| u128::from_str_radix(text, 16).map_err(|_| unread());
        let files = manifest.files.into_iter().map(|file| {
            Ok(CheckpointFile {
                hash: hex(&file.hash)?,
                name: file.name,
                bytes: file.bytes,
            })
        });
        Ok(HeldCheckpoint {
            store: hex(&manifest.store)?,
            position: position(manifest.position),
            files: files.collect::<Result<_, BackupSourceError>>()?,
            id: manifest.id,
        })
    }

    /// Gives a checkpoint back, which would be removed by itself some time later.
    pub(crate) async fn give_back(&self, tapped: &HeldCheckpoint) {
        let mut client = PrimaryConnection::new(self.source.clone());
        let path = format!("{BASE}{CHECKPOINT}/{}", tapped.id);
        if let Ok(answer) = client.delete(&path, SILENCE_MAX).await {
            let _ = whole(answer).await;
        }
    }

    /// Reports to the server that a backup is complete up to a row. A server that does not receive the
    /// report, or is of a version that does not know it, only reports an older backup.
    pub(crate) async fn backed_up(&self, store: u128, seq: u64) {
        let mut client = PrimaryConnection::new(self.source.clone());
        let path = format!("{BASE}{BACKED_UP}?store={store:032x}&seq={seq}");
        let told = async {
            if let Ok(answer) = client.post(&path, SILENCE_MAX).await {
                let _ = whole(answer).await;
            }
        };
        let _ = timeout(SILENCE_MAX, told).await;
    }

    /// A file of a checkpoint, from a byte on.
    pub(crate) async fn file(
        &self,
        tapped: &HeldCheckpoint,
        name: &str,
        from: u64,
    ) -> Result<HeldFile, BackupSourceError> {
        let mut client = PrimaryConnection::new(self.source.clone());
        let path = format!("{BASE}{CHECKPOINT}/{}/{name}", tapped.id);
        let answer = client.get(&path, from, ANSWER_TIME_MAX).await;
        let answer = answer.map_err(|why| self.unheard(&why))?;
        match answer.status() {
            StatusCode::NOT_FOUND => Err(BackupSourceError::Gone),
            found if found.is_success() => Ok(HeldFile(answer.into_body())),
            _ => Err(self.unexpected(answer).await),
        }
    }

    /// Begins a stream of the commits after a position of a store.
    pub(crate) async fn commits(
        &self,
        store: u128,
        position: LogPosition,
    ) -> Result<CommitStream, BackupSourceError> {
        let asked = StreamRequest {
            protocol: PROTOCOL,
            format: FORMAT,
            store,
            position,
        };
        let mut client = PrimaryConnection::new(self.source.clone());
        let path = asked.to_backup_path();
        let answer = client.get(&path, 0, ANSWER_TIME_MAX).await;
        let answer = answer.map_err(|why| self.unheard(&why))?;
        match answer.status() {
            StatusCode::OK => Ok(CommitStream {
                body: answer.into_body(),
                decoder: Decoder::default(),
                source: self.source.clone(),
                session: None,
            }),
            StatusCode::CONFLICT | StatusCode::UPGRADE_REQUIRED => {
                let refusal = serde_json::from_slice(&whole(answer).await?);
                let unread =
                    |_| BackupSourceError::NoAnswer("its rejection cannot be read".to_owned());
                Err(refusal.map_or_else(unread, |why| refused(&why)))
            }
            _ => Err(self.unexpected(answer).await),
        }
    }
}

impl HeldFile {
    /// The next piece; `None` after the last, whichever that was.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BackupSourceError> {
        loop {
            let Some(piece) = frame(&mut self.0).await? else {
                return Ok(None);
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }
}

impl CommitStream {
    /// Hands over the batches that came, once at least one did. May be cancelled while it waits.
    pub(crate) async fn next<E: From<BackupSourceError>>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let ended = || BackupSourceError::NoAnswer("the primary ended the stream".to_owned());
        let piece = frame(&mut self.body).await?.ok_or_else(ended)?;
        self.decoder.push(&piece);
        loop {
            let next = self.decoder.next_frame();
            let next = next.map_err(|why| BackupSourceError::NoAnswer(why.to_string()))?;
            match next {
                Some(Frame::Batch { batch, .. }) => each(batch)?,
                Some(Frame::Hello { session, .. }) => self.session = Some(session),
                Some(Frame::Beat { .. }) => {}
                None => return Ok(()),
            }
        }
    }

    /// Reports to the primary how far the backup is. A report that is lost does no harm.
    pub(crate) async fn shipped(&self, seq: u64) {
        let Some(session) = self.session else {
            return;
        };
        let path = format!("{BASE}{ACK}?session={session}&seq={seq}");
        let mut client = PrimaryConnection::new(self.source.clone());
        if let Ok(answer) = client.post(&path, SILENCE_MAX).await {
            let _ = whole(answer).await;
        }
    }
}

async fn frame(body: &mut Incoming) -> Result<Option<Bytes>, BackupSourceError> {
    let frame = timeout(SILENCE_MAX, body.frame()).await;
    let frame = frame.map_err(|_| {
        let seconds = SILENCE_MAX.as_secs();
        BackupSourceError::NoAnswer(format!("nothing was heard for {seconds} s"))
    })?;
    let frame = frame.transpose().map_err(NoAnswer::Http)?;
    Ok(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

fn refused(refusal: &StreamRefusal) -> BackupSourceError {
    let why = refusal.to_string();
    match refusal {
        StreamRefusal::Gap
        | StreamRefusal::UnknownEpoch
        | StreamRefusal::Diverged { .. }
        | StreamRefusal::Ahead { .. }
        | StreamRefusal::OtherStore { .. } => BackupSourceError::Astray(why),
        StreamRefusal::Later { .. } => BackupSourceError::Replaced(why),
        StreamRefusal::Version { .. } => BackupSourceError::Version(why),
    }
}
