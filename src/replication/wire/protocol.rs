//! The agreement of both sides besides frames: paths, parameters, and refusals.
//!
//! Must not know sockets. Invariant: a value that one side writes here is read here by the other.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::frame::WirePosition;
use crate::store::{CheckpointFile, LogPosition, Predecessor, total_bytes};

/// The version of the protocol.
pub const PROTOCOL: u16 = 3;
/// The prefix of all its paths.
pub const BASE: &str = "/internal/repl/v1/";
pub(crate) const STREAM: &str = "stream";
/// The route of acknowledgements.
pub const ACK: &str = "ack";
/// The route of checkpoints and their files.
pub const CHECKPOINT: &str = "checkpoint";
/// The route at which a complete backup is reported.
pub const BACKED_UP: &str = "backed-up";
/// The parameter with the address of a replica's own admin port, which it adds to its requests.
pub(crate) const ADMIN: &str = "admin";
/// The parameter that a backup adds to its requests.
pub const FOR_BACKUP: &str = "for=backup";

/// The reason for which a primary does not stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StreamRefusal {
    /// The log no longer reaches back so far.
    Gap,
    /// The primary knows nothing of that epoch.
    UnknownEpoch,
    /// The replica was where the primary never was; behind this position, where that is known.
    Diverged {
        /// As text.
        fork: Option<String>,
    },
    /// The replica has more than the primary.
    Ahead {
        /// The position of the primary, as text.
        primary: String,
    },
    /// The primary has another store, mostly since an import.
    OtherStore {
        /// Its id.
        store: String,
        /// The stores that it replaced, newest first; earlier versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        predecessors: Vec<ReplacedStore>,
    },
    /// The primary is of an earlier epoch than the replica: it was replaced and does not know.
    Later {
        /// The primary's epoch.
        epoch: u64,
    },
    /// The primary speaks another version, or has another format of the store.
    Version {
        /// The primary's protocol.
        protocol: u16,
        /// The format of its store.
        format: u32,
    },
}

/// A store that another one replaced, and where it was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplacedStore {
    /// The id of the store.
    pub store: String,
    /// The epoch that it was in.
    pub epoch: u64,
    /// The row that it was at.
    pub seq: u64,
}

impl ReplacedStore {
    /// Returns true if all that a replica of `store` at `at` has was in it.
    pub(crate) fn has_had(&self, store: u128, at: LogPosition) -> bool {
        id(&self.store) == Some(store) && (at.epoch, at.seq) <= (self.epoch, self.seq)
    }
}

impl From<&Predecessor> for ReplacedStore {
    fn from(of: &Predecessor) -> Self {
        Self {
            store: format!("{:032x}", of.store_id),
            epoch: of.epoch,
            seq: of.seq,
        }
    }
}

/// The id of a store, as it is written everywhere.
pub(crate) fn id(text: &str) -> Option<u128> {
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for StreamRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap => f.write_str("it no longer has the commits after it"),
            Self::UnknownEpoch => f.write_str("it does not know this epoch"),
            Self::Diverged { fork: Some(fork) } => {
                write!(f, "this store diverged after {fork}")
            }
            Self::Diverged { fork: None } => {
                f.write_str("this store has other writes at the same sequence numbers")
            }
            Self::Ahead { primary } => write!(f, "it is only at {primary}"),
            Self::OtherStore { store, .. } => write!(f, "it has another store, {store}"),
            Self::Later { epoch } => write!(
                f,
                "it is a primary of the earlier epoch {epoch}, which has been replaced"
            ),
            Self::Version { protocol, format } => {
                write!(f, "it has protocol {protocol} and format {format}")
            }
        }
    }
}

/// The state of a replica: the parameters of a stream, and of a checkpoint that is to have more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRequest {
    /// The version of the protocol.
    pub protocol: u16,
    /// The format of the store.
    pub format: u32,
    /// The store.
    pub store: u128,
    /// The position behind which commits are requested.
    pub position: LogPosition,
}

impl StreamRequest {
    /// Returns the path of the request.
    pub(crate) fn to_path(self, what: &str) -> String {
        let Self {
            protocol,
            format,
            store,
            position: LogPosition { epoch, seq, chain },
        } = self;
        format!(
            "{BASE}{what}?protocol={protocol}&format={format}&store={store:032x}&epoch={epoch}&seq={seq}&chain={chain:016x}"
        )
    }

    /// Returns the path of the request of a backup.
    #[must_use]
    pub fn to_backup_path(self) -> String {
        format!("{}&{FOR_BACKUP}", self.to_path(STREAM))
    }

    /// Returns true if a replica in this state, which cannot go on from there, gains by fetching `store` at
    /// `at`. Any other would be refused for the same reason, and might take away commits that it
    /// acknowledged.
    pub(crate) fn gains_by(self, store: u128, at: LogPosition) -> bool {
        let own = self.position;
        store != self.store || (at.epoch, at.seq) > (own.epoch, own.seq)
    }

    pub(crate) fn read(query: &str) -> Option<Self> {
        let hex = |name| u128::from_str_radix(parameter(query, name)?, 16).ok();
        Some(Self {
            protocol: parameter(query, "protocol")?.parse().ok()?,
            format: parameter(query, "format")?.parse().ok()?,
            store: hex("store")?,
            position: LogPosition {
                epoch: parameter(query, "epoch")?.parse().ok()?,
                seq: parameter(query, "seq")?.parse().ok()?,
                chain: u64::try_from(hex("chain")?).ok()?,
            },
        })
    }
}

/// Returns true if a backup asks.
pub(crate) fn is_for_backup(query: &str) -> bool {
    query.split('&').any(|pair| pair == FOR_BACKUP)
}

/// Returns a parameter of a query, whose values need no escapes.
pub(crate) fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .next()
}

/// The files that make up a checkpoint of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointManifest {
    /// The version of the protocol.
    pub protocol: u16,
    /// The format of the store.
    pub format: u32,
    /// The id of the store.
    pub store: String,
    /// The name of the checkpoint.
    pub id: String,
    /// The position of the store in it.
    pub position: WirePosition,
    /// Its files.
    pub files: Vec<ManifestFile>,
}

impl CheckpointManifest {
    /// Returns the bytes of all files; `None` where they add up to no number, as only a damaged manifest's
    /// do.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        total_bytes(self.files.iter().map(|file| file.bytes))
    }
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name, which is no path.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The XXH3 of its contents, in hexadecimal.
    pub hash: String,
}

impl From<&CheckpointFile> for ManifestFile {
    fn from(file: &CheckpointFile) -> Self {
        Self {
            name: file.name.clone(),
            bytes: file.bytes,
            hash: format!("{:032x}", file.hash),
        }
    }
}

pub(crate) fn point(position: LogPosition) -> WirePosition {
    let LogPosition { epoch, seq, chain } = position;
    [epoch, seq, chain]
}

/// A position as it stands in frames, read.
#[must_use]
pub fn position([epoch, seq, chain]: WirePosition) -> LogPosition {
    LogPosition { epoch, seq, chain }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_asked_is_read(protocol: u16, format: u32, store: u128, at: WirePosition) {
            let asked = StreamRequest { protocol, format, store, position: position(at) };
            let path = asked.to_path(STREAM);
            let (path, query) = path.split_once('?').unwrap();
            prop_assert_eq!(path, "/internal/repl/v1/stream");
            prop_assert_eq!(StreamRequest::read(query), Some(asked));
            prop_assert!(!is_for_backup(query));
            let path = asked.to_backup_path();
            let (_, query) = path.split_once('?').unwrap();
            prop_assert_eq!(StreamRequest::read(query), Some(asked));
            prop_assert!(is_for_backup(query));
        }

        #[test]
        fn any_query_is_read_or_refused(query: String) {
            let _ = StreamRequest::read(&query);
        }
    }

    #[test]
    fn a_copy_is_only_worth_fetching_when_it_has_more() {
        let at = |epoch, seq| position([epoch, seq, 7]);
        let asked = StreamRequest {
            protocol: 1,
            format: 1,
            store: 5,
            position: at(2, 100),
        };
        for (store, at, gains) in [
            (5, at(2, 101), true),
            (5, at(2, 100), false),
            (5, at(2, 99), false),
            (5, at(3, 50), true),
            (5, at(1, 200), false),
            (6, at(1, 10), true),
        ] {
            assert_eq!(asked.gains_by(store, at), gains, "{store} {at}");
        }
    }

    #[test]
    fn refusals_are_read_as_they_were_written() {
        for refusal in [
            StreamRefusal::Gap,
            StreamRefusal::UnknownEpoch,
            StreamRefusal::Diverged { fork: None },
            StreamRefusal::Diverged {
                fork: Some("1.2 (chain 3)".to_owned()),
            },
            StreamRefusal::Later { epoch: 3 },
            StreamRefusal::OtherStore {
                store: format!("{:032x}", 9),
                predecessors: vec![ReplacedStore {
                    store: format!("{:032x}", 7),
                    epoch: 2,
                    seq: 30,
                }],
            },
        ] {
            let text = serde_json::to_string(&refusal).unwrap();
            assert_eq!(
                serde_json::from_str::<StreamRefusal>(&text).unwrap(),
                refusal
            );
        }
        let gap = serde_json::to_string(&StreamRefusal::Gap).unwrap();
        assert_eq!(gap, r#"{"reason":"gap"}"#);
    }

    /// As the version before this one read it.
    #[derive(Deserialize)]
    #[serde(tag = "reason", rename_all = "snake_case")]
    enum Early {
        OtherStore { store: String },
    }

    #[test]
    fn refusals_of_and_for_earlier_versions_are_read() {
        let early = r#"{"reason":"other_store","store":"09"}"#;
        let refusal: StreamRefusal = serde_json::from_str(early).unwrap();
        let predecessors = Vec::new();
        let store = "09".to_owned();
        assert_eq!(
            refusal,
            StreamRefusal::OtherStore {
                store,
                predecessors
            }
        );
        assert_eq!(serde_json::to_string(&refusal).unwrap(), early);
        let now = r#"{"reason":"other_store","store":"09","predecessors":[{"store":"07","epoch":1,"seq":2}]}"#;
        let Early::OtherStore { store } = serde_json::from_str(now).unwrap();
        assert_eq!(store, "09");
    }

    #[test]
    fn a_predecessor_has_had_what_is_not_beyond_it() {
        let replaced = ReplacedStore {
            store: format!("{:032x}", 7),
            epoch: 2,
            seq: 30,
        };
        let at = |epoch, seq| position([epoch, seq, 1]);
        for (store, at, had) in [
            (7, at(2, 30), true),
            (7, at(1, 90), true),
            (7, at(2, 31), false),
            (7, at(3, 1), false),
            (8, at(1, 1), false),
        ] {
            assert_eq!(replaced.has_had(store, at), had, "{store} {at}");
        }
    }
}
