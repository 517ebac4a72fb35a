//! The ten files: their names and headers, how a row is put together, and where rows go.
//!
//! Owns the bytes between the values (commas, quotes, line breaks) and the
//! files on disk. It must not know what the values mean. Every line ends
//! with a line break, the last one too, so that rows can be added behind it;
//! and a file has its final name only once all ten are complete.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::text::cannot;

/// Name and header, in the order of [`Sheets::in_order`].
const FILES: [(&str, &str); 10] = [
    (
        "reviews.csv",
        "id,product_id,rating,date,summary,body,recommend,reported,reviewer_name,reviewer_email,response,helpfulness",
    ),
    ("reviews_photos.csv", "id,review_id,url"),
    ("characteristics.csv", "id,product_id,name"),
    (
        "characteristic_reviews.csv",
        "id,characteristic_id,review_id,value",
    ),
    (
        "product.csv",
        "id,name,slogan,description,category,default_price",
    ),
    (
        "styles.csv",
        "id,productId,name,sale_price,original_price,default_style",
    ),
    ("skus.csv", "id,styleId,size,quantity"),
    ("photos.csv", "id,styleId,url,thumbnail_url"),
    ("features.csv", "id,product_id,feature,value"),
    ("related.csv", "id,current_product_id,related_product_id"),
];

/// Rows of one file.
#[derive(Default)]
pub(crate) struct Rows {
    bytes: Vec<u8>,
    count: u64,
}

/// Rows of all ten files, for some products.
#[derive(Default)]
pub(crate) struct Sheets {
    pub(crate) reviews: Rows,
    pub(crate) review_photos: Rows,
    pub(crate) characteristics: Rows,
    pub(crate) ratings: Rows,
    pub(crate) products: Rows,
    pub(crate) styles: Rows,
    pub(crate) skus: Rows,
    pub(crate) photos: Rows,
    pub(crate) features: Rows,
    pub(crate) related: Rows,
}

impl Rows {
    /// Begins a row, behind the line break of the one before it.
    pub(crate) fn begin(&mut self, id: u64) -> &mut Self {
        self.count += 1;
        self.bytes.push(b'\n');
        push_int(&mut self.bytes, id);
        self
    }

    pub(crate) fn int(&mut self, value: u64) -> &mut Self {
        self.bytes.push(b',');
        push_int(&mut self.bytes, value);
        self
    }

    /// A bare word: `null`, `true`, `false`.
    pub(crate) fn word(&mut self, word: &str) -> &mut Self {
        self.bytes.push(b',');
        self.bytes.extend_from_slice(word.as_bytes());
        self
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        self.word(if value { "true" } else { "false" })
    }

    /// A quoted field whose inside `write` appends, its quotes doubled.
    pub(crate) fn quoted(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.unclosed(write);
        self.bytes.push(b'"');
        self
    }

    /// The set's known dirt: a quoted field without its closing quote.
    pub(crate) fn unclosed(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.bytes.extend_from_slice(b",\"");
        write(&mut self.bytes);
        self
    }

    /// A quoted field of text that has no quotes.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.quoted(|out| out.extend_from_slice(text.as_ref()))
    }
}

pub(crate) fn push_int(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

impl Sheets {
    fn in_order(&self) -> [&Rows; 10] {
        [
            &self.reviews,
            &self.review_photos,
            &self.characteristics,
            &self.ratings,
            &self.products,
            &self.styles,
            &self.skus,
            &self.photos,
            &self.features,
            &self.related,
        ]
    }
}

/// The files under way, each under its name and `.part`.
pub(crate) struct FileSet {
    files: Vec<Open>,
}

struct Open {
    file: File,
    part: PathBuf,
    done: FileReport,
}

/// The report on a file.
pub(crate) struct FileReport {
    pub(crate) path: PathBuf,
    pub(crate) name: &'static str,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl FileSet {
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        let mut set = Self { files: Vec::new() };
        match set.open(dir) {
            Ok(()) => Ok(set),
            Err(error) => {
                set.discard();
                Err(error)
            }
        }
    }

    fn open(&mut self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(cannot("create", dir))?;
        for (name, header) in FILES {
            let part = dir.join(format!("{name}.part"));
            let file = File::create(&part).with_context(cannot("create", &part))?;
            let done = FileReport {
                path: dir.join(name),
                name,
                rows: 0,
                bytes: 0,
            };
            self.files.push(Open { file, part, done });
            if let Some(open) = self.files.last_mut() {
                open.append(header.as_bytes(), 0)?;
            }
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, sheets: &Sheets) -> Result<()> {
        for (open, rows) in self.files.iter_mut().zip(sheets.in_order()) {
            open.append(&rows.bytes, rows.count)?;
        }
        Ok(())
    }

    /// Ends the last lines, and gives the files their names.
    pub(crate) fn finish(mut self) -> Result<Vec<FileReport>> {
        for open in &mut self.files {
            open.append(b"\n", 0)?;
            fs::rename(&open.part, &open.done.path)
                .with_context(cannot("name", &open.done.path))?;
        }
        Ok(self.files.into_iter().map(|open| open.done).collect())
    }

    /// Removes what there is so far.
    pub(crate) fn discard(self) {
        for open in self.files {
            // The run has failed for a reason that is reported; a file left over adds nothing.
            let _ = fs::remove_file(open.part);
        }
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8], rows: u64) -> Result<()> {
        self.file
            .write_all(bytes)
            .with_context(cannot("write", &self.part))?;
        self.done.rows += rows;
        self.done.bytes += bytes.len() as u64;
        Ok(())
    }
}
