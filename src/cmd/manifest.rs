//! The manifest of an export, in a file beside the others, with the facts that rows of CSV cannot hold.
//!
//! Owns the file. Must not know rows. Invariant: an import that finds it reads texts as they were
//! exported and gives no id again that was given before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Its name.
pub(super) const FILE: &str = "export.json";
/// The version of exports that this program writes and reads.
const VERSION: u32 = 1;
/// The form of the files that an import reads.
pub(super) const CSV: &str = "csv";

/// The description of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExportManifest {
    /// The version of this file and of the escapes.
    version: u32,
    /// `csv` or `jsonl`.
    pub(super) format: String,
    /// The store that was exported.
    pub(super) store_id: String,
    /// The store and where it was in its history: all writes up to there are in the export. None in
    /// exports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) saved_as: Option<String>,
    /// When, in milliseconds since 1970.
    pub(super) exported_ms: i64,
    /// The id that the next review gets: higher than that of any there ever was.
    pub(super) next_review_id: u64,
    /// The id that the next photo of a review gets.
    pub(super) next_photo_id: u64,
    /// The number of rows of each file, without its header.
    pub(super) rows: BTreeMap<String, u64>,
    /// The parts that could not be read and are not in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) missing: Vec<Missing>,
}

/// A part that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Missing {
    /// The family of the store that it is of.
    pub(super) family: String,
    /// The rows that could not be read.
    pub(super) what: String,
    /// The number of reviews among them, as far as the store knows otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reviews: Option<u64>,
    /// The first thousand ids of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) review_ids: Vec<u64>,
    /// The reason it cannot be read.
    pub(super) why: String,
}

impl ExportManifest {
    /// Describes an export made now.
    pub(super) fn new(
        format: &str,
        stats: &crate::store::Stats,
        exported_ms: i64,
        rows: BTreeMap<String, u64>,
    ) -> Self {
        Self {
            version: VERSION,
            format: format.to_owned(),
            store_id: stats.store_id.clone(),
            saved_as: None,
            exported_ms,
            next_review_id: stats.next_review_id,
            next_photo_id: stats.next_photo_id,
            rows,
            missing: Vec::new(),
        }
    }

    /// The same, of an export that has all writes up to where the store was then, but for what is missing.
    pub(super) fn with_all_of(self, before: &crate::store::Stats, missing: Vec<Missing>) -> Self {
        let saved_as = before.saved_as.clone().filter(|_| missing.is_empty());
        Self {
            saved_as,
            missing,
            ..self
        }
    }

    /// Writes it into a directory, durably.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let mut file = File::create(dir.join(FILE))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()
    }

    /// The one in a directory; `None` where there is none, and otherwise why it cannot be used.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, String> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(format!(
                    "{} is a file; give --csv the directory that the CSV files are in",
                    dir.display()
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                return Err(format!(
                    "this user may not read {}; run the import as one who may, or let others read it \
                     (chmod a+rX)",
                    path.display()
                ));
            }
            Err(e) => return Err(format!("cannot look for {}: {e}", path.display())),
        };
        let wrong = |why: &str| format!("{} is not usable: {why}", path.display());
        let found: Self = serde_json::from_str(&text).map_err(|e| wrong(&e.to_string()))?;
        if found.version != VERSION {
            return Err(wrong("a newer reviewsd wrote it, and can import it"));
        }
        if found.format != CSV {
            return Err(wrong(
                "the export is not of CSV files; export with --format csv",
            ));
        }
        Ok(Some(found))
    }
}
