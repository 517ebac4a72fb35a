//! The manifest: a snapshot, as the object that names its files.
//!
//! ```text
//! reviewsd-snapshot VERSION HASH            HASH is the XXH3 of all that follows this line
//! { … }                                     JSON
//! ```
//!
//! Must not know where it is stored. Invariant: a manifest that was damaged, cut or written by a newer
//! program is told apart from one that can be used, before any of it is.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::names::ContentsName;
use crate::store::key::FORMAT;
use crate::store::{LogPosition, is_file_name, total_bytes};

/// The version of backups that this program writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;
/// A manifest of more is none: it would name a million files.
pub(super) const BYTES_MAX: u64 = 256 << 20;
const MAGIC: &str = "reviewsd-snapshot";

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// When it was taken: after its last commit, and before any later one.
    pub(super) taken_ms: i64,
    /// The program that took it.
    pub(super) reviewsd: String,
    /// The format of the store.
    pub(super) format: u32,
    store: String,
    epoch: u64,
    seq: u64,
    chain: String,
    /// The time at which an operator accepted this store in place of the one that the target held before;
    /// nothing for the first store of a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted_ms: Option<i64>,
    /// Bytes of files that no snapshot before it had.
    pub(super) new_bytes: u64,
    /// The files of the store.
    pub(super) files: Vec<StoreFile>,
}

/// A file of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoreFile {
    /// Its name in the store, which is no path.
    pub(super) name: String,
    /// Its length.
    pub(super) bytes: u64,
    hash: String,
    by: String,
}

/// The reason for which a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It differs from the one that was written.
    Damaged(&'static str),
    /// A newer program wrote it, in this version.
    Newer(u32),
}

impl StoreFile {
    /// Returns the entry of a file with these contents.
    pub(super) fn new(name: &str, ContentsName { hash, bytes, by }: ContentsName) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            hash: format!("{hash:032x}"),
            by: format!("{by:08x}"),
        }
    }

    /// Returns its contents. A text that is no hash is taken for that of nothing.
    pub(super) fn contents(&self) -> ContentsName {
        ContentsName {
            hash: u128::from_str_radix(&self.hash, 16).unwrap_or_default(),
            bytes: self.bytes,
            by: u32::from_str_radix(&self.by, 16).unwrap_or_default(),
        }
    }
}

impl Snapshot {
    /// One of these files, of a store that is at `position`.
    pub(super) fn new(
        taken_ms: i64,
        store: u128,
        position: LogPosition,
        files: Vec<StoreFile>,
    ) -> Self {
        Self {
            taken_ms,
            reviewsd: env!("CARGO_PKG_VERSION").to_owned(),
            format: FORMAT,
            store: format!("{store:032x}"),
            epoch: position.epoch,
            seq: position.seq,
            chain: format!("{:016x}", position.chain),
            accepted_ms: None,
            new_bytes: 0,
            files,
        }
    }

    /// The store.
    pub(super) fn store(&self) -> u128 {
        u128::from_str_radix(&self.store, 16).unwrap_or_default()
    }

    /// Returns the position of the store.
    pub(super) fn position(&self) -> LogPosition {
        LogPosition {
            epoch: self.epoch,
            seq: self.seq,
            chain: u64::from_str_radix(&self.chain, 16).unwrap_or_default(),
        }
    }

    /// Returns the bytes of all its files, which [`Self::read`] has found to be a number.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Returns it as an object.
    pub(super) fn to_object(&self) -> Vec<u8> {
        // Plain values always have a text.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        let hash = xxh3_128(&text);
        let mut object = format!("{MAGIC} {VERSION} {hash:032x}\n").into_bytes();
        object.extend(text);
        object
    }

    /// Reads an object.
    pub(super) fn read(object: &[u8]) -> Result<Self, Unusable> {
        let line_bytes = memchr::memchr(b'\n', object).ok_or(Unusable::Damaged("it is cut"))?;
        let (line, text) = object.split_at(line_bytes);
        let text = text.get(1..).unwrap_or_default();
        let line = str::from_utf8(line).unwrap_or_default();
        let mut words = line.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(Unusable::Damaged("it is not a snapshot"));
        }
        let version: Option<u32> = words.next().and_then(|word| word.parse().ok());
        match version {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(Unusable::Newer(newer)),
            _ => return Err(Unusable::Damaged("it has no version")),
        }
        if words.next() != Some(&format!("{:032x}", xxh3_128(text))) {
            return Err(Unusable::Damaged("its checksum differs"));
        }
        let read: Self =
            serde_json::from_slice(text).map_err(|_| Unusable::Damaged("it cannot be read"))?;
        if !read.files.iter().all(|file| is_file_name(&file.name)) {
            return Err(Unusable::Damaged("a file in it has an invalid name"));
        }
        if total_bytes(read.files.iter().map(|file| file.bytes)).is_none() {
            return Err(Unusable::Damaged("its files are larger than any disk"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn snapshot() -> Snapshot {
        let of = |hash, bytes| ContentsName { hash, bytes, by: 9 };
        let files = vec![
            StoreFile::new("000012.sst", of(u128::MAX, 5)),
            StoreFile::new("CURRENT", of(3, 16)),
        ];
        let position = LogPosition {
            epoch: 1,
            seq: 2,
            chain: u64::MAX,
        };
        Snapshot::new(1_700_000_000_000, 7, position, files)
    }

    #[test]
    fn what_is_written_is_read() {
        let written = snapshot();
        let read = Snapshot::read(&written.to_object()).unwrap();
        assert_eq!(read, written);
        assert_eq!((read.store(), read.position().chain), (7, u64::MAX));
        let contents = read.files[0].contents();
        assert_eq!(
            (read.bytes(), contents.hash, contents.by),
            (21, u128::MAX, 9)
        );
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let object = String::from_utf8(snapshot().to_object()).unwrap();
        let newer = object.replacen(" 1 ", " 2 ", 1);
        assert_eq!(Snapshot::read(newer.as_bytes()), Err(Unusable::Newer(2)));
        let path = object.replace("CURRENT", "../../x");
        assert!(matches!(
            Snapshot::read(path.as_bytes()),
            Err(Unusable::Damaged(_))
        ));
    }

    #[test]
    fn sizes_that_add_up_to_no_number_are_damage() {
        let mut snapshot = snapshot();
        snapshot.files[0].bytes = u64::MAX;
        let read = Snapshot::read(&snapshot.to_object());
        assert!(matches!(read, Err(Unusable::Damaged(why)) if why.contains("disk")));
    }

    proptest! {
        #[test]
        fn no_byte_of_it_can_be_another(at: prop::sample::Index, flip in 1_u8..=255) {
            let mut object = snapshot().to_object();
            *at.get_mut(&mut object) ^= flip;
            prop_assert!(Snapshot::read(&object).is_err());
        }

        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(Snapshot::read(&bytes).is_err());
        }
    }
}
