//! Bootstrap: fetching a whole store, the files of a checkpoint and the commits made meanwhile.
//!
//! Invariants: a fetched store is the primary's, byte for byte, and durable, before it counts as a store; a
//! file that was fetched before an interruption is not fetched again; commits made meanwhile take a bounded
//! part of the disk.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::backoff::{Backoff, random};
use crate::client::{NoAnswer, PrimaryAddress, PrimaryConnection, unexpected, whole};
use crate::meters::ReplicaMeters;
use crate::store::key::{FORMAT, is_read};
use crate::store::{
    LogPosition, NoSpace, hash_rest, is_file_name, keep_beginnings, missing_space, sync_all,
};
use crate::wire::protocol::{
    BASE, CHECKPOINT, CheckpointManifest, ManifestFile, PROTOCOL, STREAM, StreamRequest, position,
};

/// The time for a primary to make a checkpoint.
const MANIFEST_TIME_MAX: Duration = Duration::from_mins(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// The time for which a file may stand still on its way.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The time that a replica waits before it asks again if its primary has no more than it has.
const OLD_PAUSE: Duration = Duration::from_secs(1);
/// The number of times that a file may come damaged before that is not a matter of chance.
const TRIES_MAX: u32 = 3;

/// A store that was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its files.
    pub dir: PathBuf,
    /// Its position.
    pub position: LogPosition,
}

/// Returns the directory in which the files of a replica are put together.
fn files_of(bootstrap: &Path) -> PathBuf {
    bootstrap.join("files")
}

/// Returns the file for frames that come while the store is fetched.
pub(crate) fn spool_of(bootstrap: &Path) -> PathBuf {
    bootstrap.join("spool")
}

/// The store that is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WantedStore {
    /// Any store.
    Any,
    /// The one with this id.
    Store(u128),
    /// The same store with more in it than is here.
    Newer(StreamRequest),
}

impl WantedStore {
    fn there(self) -> Option<StreamRequest> {
        match self {
            Self::Newer(there) => Some(there),
            Self::Any | Self::Store(_) => None,
        }
    }

    /// True if this is the store.
    fn is(self, store: u128) -> bool {
        match self {
            Self::Any => true,
            Self::Store(wanted) => wanted == store,
            Self::Newer(there) => there.store == store,
        }
    }
}

/// Fetches a store, however often it takes, and the later the more fetched stores in a row could not be
/// followed from; `None` where the primary has another one than `wanted`. `said` is called with each
/// obstacle.
pub async fn fetch(
    source: &PrimaryAddress,
    bootstrap: &Path,
    spool_bytes: u64,
    failed_copies: u32,
    wanted: Option<u128>,
    meters: &ReplicaMeters,
    said: &mut (dyn FnMut(&str) + Send),
) -> Option<Fetched> {
    fetch_wanted(
        source,
        bootstrap,
        spool_bytes,
        failed_copies,
        wanted.map_or(WantedStore::Any, WantedStore::Store),
        meters,
        said,
    )
    .await
}

/// Fetches the wanted store.
pub(crate) async fn fetch_wanted(
    source: &PrimaryAddress,
    bootstrap: &Path,
    spool_bytes: u64,
    failed_copies: u32,
    wanted: WantedStore,
    meters: &ReplicaMeters,
    said: &mut (dyn FnMut(&str) + Send),
) -> Option<Fetched> {
    let _fetching = meters.bootstrapping();
    if let Some(wait) = Backoff::after(failed_copies, random()) {
        said("a fetched store could not be continued; it is fetched again soon");
        sleep(wait).await;
    }
    let mut backoff = Backoff::default();
    loop {
        said("the store is being fetched from the primary");
        let fetched = fetch_once(source, bootstrap, spool_bytes, wanted, meters).await;
        meters.fetched(fetched.is_ok());
        match fetched {
            Ok(fetched) => return Some(fetched),
            Err(FetchError::OtherStore) => {
                tracing::warn!("{} has another store now; starting again", source.primary);
                return None;
            }
            // The primary may have lost the commits for which this store was behind: its answer to the next
            // request says so.
            Err(FetchError::Old(_)) => {
                sleep(OLD_PAUSE).await;
                return None;
            }
            Err(why) => {
                let why = format!("the store cannot be fetched from {}: {why}", source.primary);
                said(&why);
                tracing::warn!("{why}");
            }
        }
        sleep(backoff.wait(random())).await;
    }
}

/// The reason for which a store was not fetched.
enum FetchError {
    NoAnswer(NoAnswer),
    Status(StatusCode),
    Io(&'static str, io::Error),
    Manifest,
    Version(u16, u32),
    Damaged(String),
    Old(LogPosition),
    OtherStore,
    NoSpace(NoSpace),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(error) => error.fmt(f),
            Self::Status(status) => f.write_str(&unexpected(*status)),
            Self::Io(doing, error) => write!(f, "{doing}: {error}"),
            Self::Manifest => f.write_str("the primary's list of files cannot be read"),
            Self::Version(protocol, format) => write!(
                f,
                "the primary has protocol {protocol} and format {format}, and this reviewsd has \
                 protocol {PROTOCOL} and format {FORMAT}"
            ),
            Self::Damaged(name) => write!(f, "{name} was damaged in transfer {TRIES_MAX} times"),
            Self::Old(at) => write!(f, "its checkpoint at {at} is not ahead of this store"),
            Self::OtherStore => f.write_str("it has another store than the accepted one"),
            Self::NoSpace(NoSpace { needed, free }) => {
                write!(
                    f,
                    "it needs {needed} bytes more, and the disk has {free} free"
                )
            }
        }
    }
}

async fn fetch_once(
    source: &PrimaryAddress,
    bootstrap: &Path,
    spool_bytes: u64,
    wanted: WantedStore,
    meters: &ReplicaMeters,
) -> Result<Fetched, FetchError> {
    let there = wanted.there();
    let io = |doing| move |error| FetchError::Io(doing, error);
    let files = files_of(bootstrap);
    fs::create_dir_all(&files).map_err(io("create a directory for the fetched store"))?;
    let mut client = PrimaryConnection::new(source.clone());
    let manifest = manifest(&mut client, there).await?;
    let at = position(manifest.position);
    let store = u128::from_str_radix(&manifest.store, 16).map_err(|_| FetchError::Manifest)?;
    if !wanted.is(store) {
        return Err(FetchError::OtherStore);
    }
    if there.is_some_and(|there| !there.gains_by(store, at)) {
        return Err(FetchError::Old(at));
    }
    let bytes = manifest.bytes().ok_or(FetchError::Manifest)?;
    tracing::info!(
        "fetching the store at {at} from {}: {} files, {bytes} bytes",
        source.primary,
        manifest.files.len()
    );
    let sizes = manifest.files.iter();
    let sizes = sizes.map(|file| (file.name.as_str(), file.bytes)).collect();
    keep_beginnings(&files, &sizes).map_err(io("delete the files of an earlier try"))?;
    if let Some(missing) = missing_space(&files, bytes).map_err(io("check the fetched store"))? {
        return Err(FetchError::NoSpace(missing));
    }
    let asked = StreamRequest {
        protocol: PROTOCOL,
        format: manifest.format,
        store,
        position: at,
    };
    let (done, ends) = watch::channel(false);
    let spool = spool_of(bootstrap);
    let spooling = tokio::spawn(keep_spool(source.clone(), asked, spool, spool_bytes, ends));
    let fetched = fetch_files(&mut client, &manifest, &files, meters).await;
    done.send_replace(true);
    let _ = spooling.await;
    fetched?;
    sync_all(&files).map_err(io("make the fetched store durable"))?;
    tracing::info!("fetched the store at {at}");
    Ok(Fetched {
        dir: files,
        position: at,
    })
}

async fn manifest(
    client: &mut PrimaryConnection,
    there: Option<StreamRequest>,
) -> Result<CheckpointManifest, FetchError> {
    let path = there.map_or_else(
        || format!("{BASE}{CHECKPOINT}"),
        |there| there.to_path(CHECKPOINT),
    );
    let answer = client.get(&path, 0, MANIFEST_TIME_MAX).await;
    let answer = answer.map_err(FetchError::NoAnswer)?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let text = whole(answer).await.map_err(FetchError::NoAnswer)?;
    let manifest: CheckpointManifest =
        serde_json::from_slice(&text).map_err(|_| FetchError::Manifest)?;
    if manifest.protocol != PROTOCOL || !is_read(manifest.format) {
        return Err(FetchError::Version(manifest.protocol, manifest.format));
    }
    if !manifest.files.iter().all(|file| is_file_name(&file.name)) {
        return Err(FetchError::Manifest);
    }
    Ok(manifest)
}

async fn fetch_files(
    client: &mut PrimaryConnection,
    manifest: &CheckpointManifest,
    dir: &Path,
    meters: &ReplicaMeters,
) -> Result<(), FetchError> {
    for file in &manifest.files {
        let mut tries = 0;
        while !fetch_file(client, &manifest.id, file, dir, meters).await? {
            tries += 1;
            if tries == TRIES_MAX {
                return Err(FetchError::Damaged(file.name.clone()));
            }
            tracing::warn!(
                "{} was damaged in transfer, and is fetched again",
                file.name
            );
        }
    }
    Ok(())
}

/// Fetches the rest of a file. Returns whether it is then what it should be. If not, it is deleted.
async fn fetch_file(
    client: &mut PrimaryConnection,
    id: &str,
    wanted: &ManifestFile,
    dir: &Path,
    meters: &ReplicaMeters,
) -> Result<bool, FetchError> {
    let io = |doing| move |error| FetchError::Io(doing, error);
    let path = dir.join(&wanted.name);
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(io("open a file of the fetched store"))?;
    let (mut bytes, mut hash) =
        hash_rest(&mut file).map_err(io("read a file of the fetched store"))?;
    if bytes < wanted.bytes {
        let from = format!("{BASE}{CHECKPOINT}/{id}/{}", wanted.name);
        let answer = client.get(&from, bytes, ANSWER_TIME_MAX).await;
        let answer = answer.map_err(FetchError::NoAnswer)?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status()));
        }
        let mut body = answer.into_body();
        loop {
            let piece = timeout(SILENCE_MAX, body.frame()).await;
            let piece = piece.map_err(|_| FetchError::NoAnswer(NoAnswer::Slow("a file")))?;
            let Some(piece) = piece else {
                break;
            };
            let piece = piece.map_err(|e| FetchError::NoAnswer(NoAnswer::Http(e)))?;
            let Ok(piece) = piece.into_data() else {
                continue;
            };
            meters.fetched_bytes(piece.len());
            hash.update(&piece);
            bytes += piece.len() as u64;
            if bytes > wanted.bytes {
                break;
            }
            file.write_all(&piece)
                .map_err(io("write a file of the fetched store"))?;
        }
    }
    let is_whole = bytes == wanted.bytes && format!("{:032x}", hash.digest128()) == wanted.hash;
    if !is_whole {
        fs::remove_file(&path).map_err(io("delete a damaged file of the fetched store"))?;
    }
    Ok(is_whole)
}

/// Spools the primary's commits from the checkpoint's position on, until the end or the bound. An obstacle
/// does no harm: the commits are requested again, as long as the primary has them.
async fn keep_spool(
    source: PrimaryAddress,
    asked: StreamRequest,
    path: PathBuf,
    bytes_max: u64,
    mut ends: watch::Receiver<bool>,
) {
    let spool = async {
        let mut file = File::create(&path).map_err(|e| e.to_string())?;
        let mut client = PrimaryConnection::new(source);
        let answer = client.get(&asked.to_path(STREAM), 0, ANSWER_TIME_MAX).await;
        let answer = answer.map_err(|e| e.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("the primary answers {}", answer.status()));
        }
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(piece) = body.frame().await {
            let piece = piece.map_err(|e| e.to_string())?;
            let Ok(piece) = piece.into_data() else {
                continue;
            };
            bytes += piece.len() as u64;
            if bytes > bytes_max {
                return Err(format!("it is more than {bytes_max} bytes"));
            }
            file.write_all(&piece).map_err(|e| e.to_string())?;
        }
        Err::<(), _>("the stream ended".to_owned())
    };
    tokio::select! {
        kept = spool => {
            if let Err(why) = kept {
                tracing::warn!("commits made meanwhile are no longer spooled: {why}");
            }
        }
        _ = ends.wait_for(|end| *end) => {}
    }
}
