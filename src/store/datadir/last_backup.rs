//! The time of the last complete backup of the store, and how far it reaches.
//!
//! Must not know how backups are taken. Invariants: what cannot be read is no backup, and no error; a
//! note is about the store it names, and about no row that this does not have.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{DataDir, unlocked};
use crate::error::Error;

/// The last complete backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackedUp {
    /// When it was complete, in milliseconds since 1970.
    pub time_ms: i64,
    /// The last row it has.
    pub seq: u64,
}

/// The file, as text.
#[derive(Serialize, Deserialize)]
struct Note {
    store: String,
    time_ms: i64,
    seq: u64,
}

/// A lock for notes, which are written one after the other.
#[derive(Default)]
pub(crate) struct Noting(Mutex<()>);

impl Noting {
    /// Notes, durably, that a store whose last row is `durable` was backed up, as `now` says. An earlier
    /// backup that reaches further, as one that is shipped may, is still there.
    pub(crate) fn note(
        &self,
        (data, store_id): (&DataDir, u128),
        durable: u64,
        now: BackedUp,
    ) -> Result<(), Error> {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = read(data.path(), store_id).map_or(0, |before| before.seq);
        let before = if before <= durable { before } else { 0 };
        let note = Note {
            store: format!("{store_id:032x}"),
            time_ms: now.time_ms,
            seq: now.seq.max(before),
        };
        // Plain values always have a text.
        let text = serde_json::to_string(&note).unwrap_or_default();
        data.set_backed_up(&format!("{text}\n"))
    }
}

/// Returns the last complete backup of a store; `None` where none is recorded.
pub(crate) fn read(data_dir: &Path, store_id: u128) -> Option<BackedUp> {
    parse(&unlocked::backed_up(data_dir).ok()??, store_id)
}

fn parse(text: &str, store_id: u128) -> Option<BackedUp> {
    let note: Note = serde_json::from_str(text).ok()?;
    let is_of_it = u128::from_str_radix(&note.store, 16) == Ok(store_id);
    (is_of_it && note.time_ms > 0).then_some(BackedUp {
        time_ms: note.time_ms,
        seq: note.seq,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const STORE: u128 = 7;

    fn noted(time_ms: i64, seq: u64) -> BackedUp {
        BackedUp { time_ms, seq }
    }

    #[test]
    fn the_last_backup_is_noted_for_its_owner_and_its_store_alone() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path(), "a test").unwrap();
        assert_eq!(read(dir.path(), STORE), None);
        let noting = Noting::default();
        noting.note((&data, STORE), 9, noted(1_000, 5)).unwrap();
        assert_eq!(read(dir.path(), STORE), Some(noted(1_000, 5)));
        assert_eq!(read(dir.path(), STORE + 1), None);
        let mode = fs::metadata(dir.path().join("BACKUP")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        // A snapshot that was begun before the last segment was shipped, and ended after it.
        noting.note((&data, STORE), 9, noted(2_000, 4)).unwrap();
        assert_eq!(read(dir.path(), STORE), Some(noted(2_000, 5)));
        // A store that has less than was backed up once.
        noting.note((&data, STORE), 4, noted(3_000, 3)).unwrap();
        assert_eq!(read(dir.path(), STORE), Some(noted(3_000, 3)));
    }

    #[test]
    fn what_is_no_note_of_a_backup_is_none() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{",
            "12",
            "\0\0\0\0",
            r#"{"time_ms":5,"seq":6}"#,
            r#"{"store":"7","time_ms":0,"seq":6}"#,
            r#"{"store":"7","time_ms":"5","seq":6}"#,
            r#"{"store":"7","time_ms":5,"seq":-6}"#,
        ] {
            fs::write(dir.path().join("BACKUP"), text).unwrap();
            assert_eq!(read(dir.path(), STORE), None, "{text}");
        }
        fs::write(dir.path().join("BACKUP"), b"\xff\xfe").unwrap();
        assert_eq!(read(dir.path(), STORE), None);
        // Fields that a later version adds are passed over.
        let later = r#"{"store":"7","time_ms":5,"seq":6,"target":"x"}"#;
        fs::write(dir.path().join("BACKUP"), later).unwrap();
        assert_eq!(read(dir.path(), STORE), Some(noted(5, 6)));
    }
}
