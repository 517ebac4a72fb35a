//! Ids of products that files name by a handle or a SKU: read from a file, learnt, or made.
//!
//! Owns the file of ids. Must not know rows. Invariants: a handle has one id as long as the file exists; ids
//! that are made are the lowest that no product has; an id that was made for a handle is no product's number in
//! a vendor's file, so a row that gives only that number is not taken for it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use roaring::RoaringTreemap;

use super::mapping::spelled;
use crate::error::Error;
use crate::report::IdsReport;

/// The header of the file.
const HEADER: [&str; 3] = ["handle", "product_id", "made"];
/// Names that its first column may have.
const KEY_NAMES: [&str; 4] = ["handle", "producthandle", "sku", "key"];
/// The approximate size of the entry of a key beside its text.
const ENTRY_BYTES: usize = 72;

/// The products that keys name.
pub(crate) struct ProductKeys {
    /// The file; without one no ids are made.
    path: Option<PathBuf>,
    ids: HashMap<Box<str>, u64>,
    made: RoaringTreemap,
    taken: RoaringTreemap,
    /// Ids below it are not free.
    next: u64,
    bytes: usize,
    bytes_max: usize,
    is_changed: bool,
    made_now: u64,
}

impl ProductKeys {
    /// The keys of a file, which need not be there yet.
    pub(crate) fn read(path: Option<&Path>, bytes_max: usize) -> Result<Self, Error> {
        let mut keys = Self {
            path: path.map(Path::to_owned),
            ids: HashMap::new(),
            made: RoaringTreemap::new(),
            taken: RoaringTreemap::new(),
            next: 1,
            bytes: 0,
            bytes_max,
            is_changed: false,
            made_now: 0,
        };
        let Some(path) = path else {
            return Ok(keys);
        };
        match File::open(path) {
            Ok(file) => keys.load(path, file)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::read(path)(e)),
        }
        Ok(keys)
    }

    fn load(&mut self, path: &Path, file: File) -> Result<(), Error> {
        let refuse = |line: u64, why: &str| Error::Refused {
            path: path.to_owned(),
            why: format!("line {line} {why}"),
        };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(file);
        let mut record = StringRecord::new();
        let mut line = 0;
        let mut columns = None;
        loop {
            line += 1;
            match reader.read_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(_) => return Err(refuse(line, "cannot be read as CSV in UTF-8")),
            }
            let Some((key_at, id_at, made_at)) = columns else {
                let names: Vec<_> = record
                    .iter()
                    .map(|name| spelled(name.trim_start_matches('\u{feff}')))
                    .collect();
                let find = |wanted: &[&str]| {
                    names
                        .iter()
                        .position(|name| wanted.contains(&name.as_str()))
                };
                let found = find(&KEY_NAMES).zip(find(&["productid"]));
                let (key, id) =
                    found.ok_or_else(|| refuse(1, "must name the columns: handle,product_id"))?;
                columns = Some((key, id, find(&["made"])));
                continue;
            };
            let key = record.get(key_at).unwrap_or_default().trim();
            let id = record.get(id_at).unwrap_or_default().trim().parse();
            let Some(id) = id.ok().filter(|id| *id > 0) else {
                return Err(refuse(
                    line,
                    "has no product_id that is a whole number above zero",
                ));
            };
            if key.is_empty() {
                return Err(refuse(line, "has no handle"));
            }
            if self.ids.get(key).is_some_and(|other| *other != id) {
                return Err(refuse(
                    line,
                    "gives a handle another id than a line before it",
                ));
            }
            if made_at.is_some_and(|at| record.get(at) == Some("true")) {
                self.made.insert(id);
            }
            self.insert(key, id)?;
        }
    }

    fn insert(&mut self, key: &str, id: u64) -> Result<(), Error> {
        self.taken.insert(id);
        if self.ids.insert(key.into(), id).is_none() {
            self.bytes += key.len() + ENTRY_BYTES;
        }
        if self.bytes > self.bytes_max {
            return Err(Error::ManyHandles {
                memory_max: self.bytes_max as u64,
            });
        }
        Ok(())
    }

    /// The id of a key.
    pub(crate) fn id_of(&self, key: &str) -> Option<u64> {
        self.ids.get(key).copied()
    }

    /// Records that a file gives a product this key and this id; an earlier record takes precedence.
    pub(crate) fn learn(&mut self, key: &str, id: u64) -> Result<(), Error> {
        if self.ids.contains_key(key) || self.is_made(id) {
            return Ok(());
        }
        self.is_changed = true;
        self.insert(key, id)
    }

    /// Reserves an id, so that it is not made.
    pub(crate) fn take(&mut self, id: u64) {
        self.taken.insert(id);
    }

    /// Returns true if the id was made for a key.
    pub(crate) fn is_made(&self, id: u64) -> bool {
        self.made.contains(id)
    }

    /// The id of a key, made if there is none.
    pub(crate) fn id_or_make(&mut self, key: &str) -> Result<u64, Error> {
        if let Some(id) = self.id_of(key) {
            return Ok(id);
        }
        if self.path.is_none() {
            return Err(Error::NoIds {
                key: key.to_owned(),
            });
        }
        while self.taken.contains(self.next) {
            self.next += 1;
        }
        let id = self.next;
        self.made.insert(id);
        self.made_now += 1;
        self.is_changed = true;
        self.insert(key, id)?;
        Ok(id)
    }

    /// Writes the file anew, durably, if an entry was added.
    pub(crate) fn save(&self) -> Result<Option<IdsReport>, Error> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        if self.is_changed {
            self.write(path).map_err(|source| Error::Ids {
                path: path.clone(),
                source,
            })?;
        }
        Ok(Some(IdsReport {
            file: path.clone(),
            made: self.made_now,
        }))
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let dir = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut rows: Vec<(u64, &str)> = self.ids.iter().map(|(key, id)| (*id, &**key)).collect();
        rows.sort_unstable();
        let file = tempfile::NamedTempFile::new_in(dir)?;
        let mut writer = WriterBuilder::new().from_writer(BufWriter::new(&file));
        writer.write_record(HEADER)?;
        for (id, key) in rows {
            let made = if self.is_made(id) { "true" } else { "false" };
            writer.write_record([key, &id.to_string(), made])?;
        }
        writer
            .into_inner()
            .map_err(csv::IntoInnerError::into_error)?
            .flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        fs::File::open(dir)?.sync_all()
    }
}

/// The handle of each product that a file of ids names; the first in the order of letters, if it has several.
pub fn handles(path: &Path) -> Result<BTreeMap<u64, String>, Error> {
    let keys = ProductKeys::read(Some(path), usize::MAX)?;
    if keys.ids.is_empty() {
        return Err(Error::Refused {
            path: path.to_owned(),
            why: "it is not there, or has no handles".to_owned(),
        });
    }
    let mut pairs: Vec<_> = keys.ids.into_iter().collect();
    pairs.sort_unstable_by(|one, other| other.cmp(one));
    Ok(pairs
        .into_iter()
        .map(|(key, id)| (id, key.into()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 1 << 20;

    #[test]
    fn ids_that_are_made_are_kept_and_come_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids.csv");
        let mut keys = ProductKeys::read(Some(&path), MANY).unwrap();
        keys.take(2);
        assert_eq!(
            [
                keys.id_or_make("scarf").unwrap(),
                keys.id_or_make("hat, \"warm\"").unwrap()
            ],
            [1, 3]
        );
        keys.learn("boots", 8_031_234).unwrap();
        keys.learn("scarf", 77).unwrap();
        keys.save().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "handle,product_id,made\nscarf,1,true\n\"hat, \"\"warm\"\"\",3,true\nboots,8031234,false\n"
        );
        let mut again = ProductKeys::read(Some(&path), MANY).unwrap();
        assert_eq!(again.id_or_make("hat, \"warm\"").unwrap(), 3);
        assert_eq!(again.id_or_make("gloves").unwrap(), 2);
        assert!(again.is_made(1) && !again.is_made(8_031_234));
        assert_eq!((again.id_of("boots"), again.made_now), (Some(8_031_234), 1));
    }

    #[test]
    fn a_users_file_is_left_alone_if_nothing_came_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids.csv");
        fs::write(&path, "\u{feff}Product ID,SKU\r\n12,A-1\r\n").unwrap();
        let keys = ProductKeys::read(Some(&path), MANY).unwrap();
        assert_eq!(keys.id_of("A-1"), Some(12));
        keys.save().unwrap();
        assert!(fs::read(&path).unwrap().ends_with(b"A-1\r\n"));
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids.csv");
        for (text, why) in [
            ("a,b\n", "line 1 must name the columns"),
            ("handle,product_id\nx,0\n", "line 2 has no product_id"),
            ("handle,product_id\nx,1\n,2\n", "line 3 has no handle"),
            (
                "handle,product_id\nx,1\nx,2\n",
                "line 3 gives a handle another id",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let found = ProductKeys::read(Some(&path), MANY)
                .err()
                .unwrap()
                .to_string();
            assert!(found.contains(why), "{found}");
        }
        fs::write(&path, b"handle,product_id\n\xff,1\n").unwrap();
        assert!(ProductKeys::read(Some(&path), MANY).is_err());
        fs::write(&path, "handle,product_id\nx,1\n").unwrap();
        let found = ProductKeys::read(Some(&path), 8).err().unwrap().to_string();
        assert!(found.contains("raise --memory"), "{found}");
    }

    #[test]
    fn without_a_file_no_id_is_made() {
        let mut keys = ProductKeys::read(None, MANY).unwrap();
        keys.learn("boots", 5).unwrap();
        assert_eq!(keys.id_or_make("boots").unwrap(), 5);
        let why = keys.id_or_make("hat").unwrap_err().to_string();
        assert!(why.contains("\"hat\"") && why.contains("--ids"), "{why}");
    }
}
