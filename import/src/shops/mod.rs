//! Files of other shops' programs: which of them there are, which mapping fits each, and their rows.
//!
//! Must not know the store. Invariants: products are read before reviews; a file that no mapping fits is
//! named, never guessed; rows of all files are one store's, with ids that no two of them share.

mod columns;
mod forms;
mod html;
mod inspect;
mod keys;
mod ledger;
mod looks;
mod mapping;
mod plain_text;
mod products;
mod reviews;
mod source;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub use inspect::{Inspection, inspect};
pub(crate) use keys::ProductKeys;
pub use keys::handles;
pub use mapping::{Mapping, Vendor};

use crate::chunk::Chunks;
use crate::error::Error;
use crate::files::File;
use crate::progress::ImportProgress;
use crate::read::{ids_bytes, read_header};
use crate::rejects::Rejects;
use crate::report::{FileReport, FileState};
use crate::{FoundFile, Options, ReadFiles};
use columns::BoundMapping;
use ledger::{RowEnd, RowLedger, at};
use mapping::RowKind;
use products::{ProductBuilder, ProductColumns, ProductFile, ProductIntake};
use reviews::{KnownProducts, ReviewColumns, ReviewIntake};
use roaring::RoaringTreemap;
use source::{RowForm, ShopCsv, ShopRow};

/// The endings of the files that a directory is searched for.
const ENDINGS: [&str; 3] = ["csv", "tsv", "txt"];
/// The rows between two looks at whether to go on.
const ROWS: u64 = 1024;

/// The way to read files of other shops' programs.
#[derive(Debug, Clone)]
pub struct ShopOptions {
    /// The mappings, one of which must fit each file.
    pub mappings: Vec<Mapping>,
    /// The file of the ids of products that have handles.
    pub ids: Option<PathBuf>,
}

/// A file, and the mapping that fits it.
pub(crate) struct ShopFile {
    pub(crate) path: PathBuf,
    mapping: Mapping,
}

/// Finds the files: those of the ten by name and header, and others by a mapping.
pub(crate) fn find(
    options: &Options,
    shops: &ShopOptions,
) -> Result<(Vec<FoundFile>, Vec<ShopFile>), Error> {
    let mut found: Vec<FoundFile> = File::ALL.map(|file| (file, None)).to_vec();
    let mut others = Vec::new();
    for path in candidates(options, shops)? {
        let one_of_ten = found.iter_mut().find(|(file, place)| {
            let name = path.file_name();
            let is_named = |one: &&str| name.is_some_and(|name| name == *one);
            place.is_none() && file.names().iter().any(is_named) && is_ten(*file, &path)
        });
        if let Some((_, place)) = one_of_ten {
            *place = Some(path);
        } else {
            let mapping = fitting(&path, &shops.mappings)?;
            others.push(ShopFile { path, mapping });
        }
    }
    refuse_both(&found, &others)?;
    // Products first, then reviews that have ids, then reviews whose ids are made.
    others.sort_by_key(|file| {
        let is_numbered = file.mapping.fields.contains_key("id");
        (file.mapping.rows, !is_numbered)
    });
    Ok((found, others))
}

fn candidates(options: &Options, shops: &ShopOptions) -> Result<Vec<PathBuf>, Error> {
    let dir = &options.csv;
    let read = Error::read(dir);
    if fs::metadata(dir).map_err(read)?.is_file() {
        return Ok(vec![dir.clone()]);
    }
    let is_same = |one: &Path, other: &Path| {
        let (one, other) = (one.canonicalize(), other.canonicalize());
        one.is_ok_and(|one| other.is_ok_and(|other| one == other))
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::read(dir))? {
        let path = entry.map_err(Error::read(dir))?.path();
        let ending = path.extension().and_then(OsStr::to_str);
        let is_csv =
            ending.is_some_and(|ending| ENDINGS.iter().any(|one| one.eq_ignore_ascii_case(ending)));
        let is_own = shops.ids.as_ref().is_some_and(|ids| is_same(ids, &path))
            || is_same(&options.rejects, &path);
        if is_csv && !is_own && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(Error::Refused {
            path: dir.clone(),
            why: "there is no file in it whose name ends with .csv, .tsv or .txt".to_owned(),
        });
    }
    Ok(paths)
}

/// Returns true if a file has the header of the one of the ten that has its name.
fn is_ten(file: File, path: &Path) -> bool {
    let opened = fs::File::open(path);
    opened.is_ok_and(|opened| read_header(file, path, &mut Chunks::new(opened)).is_ok())
}

/// The mapping that uses the most columns of a file's header.
fn fitting(path: &Path, mappings: &[Mapping]) -> Result<Mapping, Error> {
    let mut best: Option<(usize, &Mapping)> = None;
    let mut misfits = Vec::new();
    let mut header = Vec::new();
    for mapping in mappings {
        let csv = open(path, mapping)?;
        match BoundMapping::of(mapping, &csv.header) {
            Ok(bound) if best.is_none_or(|(columns, _)| bound.columns_used > columns) => {
                best = Some((bound.columns_used, mapping));
            }
            Ok(_) => {}
            Err(why) => misfits.push(format!("{} ({why})", mapping.name)),
        }
        header = csv.header;
    }
    best.map(|(_, mapping)| mapping.clone()).ok_or_else(|| Error::Refused {
        path: path.to_owned(),
        why: format!(
            "its columns are {}, and fit no mapping: {}; begin one of your own with `reviewsd import --inspect {}` \
             and give it with --map, or move the file elsewhere",
            header.join(", "),
            misfits.join(", "),
            path.display()
        ),
    })
}

fn open(path: &Path, mapping: &Mapping) -> Result<ShopCsv, Error> {
    let encoding = mapping.encoding().map_err(|why| Error::Refused {
        path: path.to_owned(),
        why,
    })?;
    ShopCsv::open(path, encoding, mapping.file.separator)
}

/// An error where both the ten files and other files have rows of one side: their ids would collide.
fn refuse_both(found: &[FoundFile], others: &[ShopFile]) -> Result<(), Error> {
    for file in others {
        let is_of_reviews = |of: File| {
            matches!(
                of,
                File::Reviews | File::Characteristics | File::ReviewPhotos | File::Ratings
            )
        };
        let is_review = file.mapping.rows == RowKind::Reviews;
        let both = found
            .iter()
            .find_map(|(of, path)| path.as_ref().filter(|_| is_of_reviews(*of) == is_review));
        if let Some(other) = both {
            return Err(Error::Refused {
                path: file.path.clone(),
                why: format!(
                    "it holds {}, as {} does; import one of them, or export the other's store in between",
                    file.mapping.rows,
                    other.display()
                ),
            });
        }
    }
    Ok(())
}

/// The context of reading.
pub(crate) struct ShopReading<'a> {
    pub(crate) options: &'a Options,
    pub(crate) memory: usize,
    pub(crate) progress: &'a ImportProgress,
    pub(crate) rejects: &'a Mutex<Rejects>,
}

impl ShopReading<'_> {
    /// Reads all files; gives the ids of their products. `products` are those of the ten files.
    pub(crate) fn read(
        &self,
        shops: &ShopOptions,
        files: &[ShopFile],
        products: Option<RoaringTreemap>,
        all: &mut ReadFiles,
    ) -> Result<ProductKeys, Error> {
        let mut keys = ProductKeys::read(shops.ids.as_deref(), self.memory / 4)?;
        let mut known = KnownProducts {
            ids: products,
            ..KnownProducts::default()
        };
        let of_kind = |kind: RowKind| files.iter().filter(move |file| file.mapping.rows == kind);
        for file in of_kind(RowKind::Reviews) {
            self.learn(file, &mut keys)?;
        }
        let product_files: Vec<_> = of_kind(RowKind::Products).collect();
        if !product_files.is_empty() {
            self.read_products(&product_files, &mut keys, &mut known, all)?;
        }
        let mut intake = ReviewIntake::new(&self.options.spill_dir, self.memory / 4 * 3);
        let mut has_reviews = false;
        for file in of_kind(RowKind::Reviews) {
            has_reviews = true;
            let report = self.read_reviews(file, &mut intake, &mut keys, &known)?;
            all.report.files.push(report);
        }
        if has_reviews {
            all.review = intake.finish()?;
        }
        Ok(keys)
    }

    fn bind(file: &ShopFile) -> Result<(ShopCsv, BoundMapping), Error> {
        let csv = open(&file.path, &file.mapping)?;
        let bound = BoundMapping::of(&file.mapping, &csv.header).map_err(|why| Error::Refused {
            path: file.path.clone(),
            why,
        })?;
        Ok((csv, bound))
    }

    fn report(file: &ShopFile, csv: &ShopCsv, defaults: &[String]) -> FileReport {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let mut report = FileReport::new(&name, FileState::Read);
        report.bytes = csv.bytes;
        report.mapping = Some(file.mapping.name.clone());
        report.defaults = defaults.to_vec();
        report
    }

    /// Records which handle and which number are of one product, where reviews have both.
    fn learn(&self, file: &ShopFile, keys: &mut ProductKeys) -> Result<(), Error> {
        let (mut csv, bound) = Self::bind(file)?;
        let columns = ReviewColumns::of(bound);
        if !columns.has_pairs() {
            return Ok(());
        }
        while let Some(row) = csv.next()? {
            if row.form == RowForm::Good
                && let Some((key, id)) = columns.pair(&row)
            {
                keys.learn(key.text.trim(), id)?;
            }
            self.progress.check()?;
        }
        Ok(())
    }

    fn read_reviews(
        &self,
        file: &ShopFile,
        intake: &mut ReviewIntake,
        keys: &mut ProductKeys,
        known: &KnownProducts,
    ) -> Result<FileReport, Error> {
        let (mut csv, bound) = Self::bind(file)?;
        let columns = ReviewColumns::of(bound);
        let mut report = Self::report(file, &csv, columns.defaults());
        if known.ids.is_none() {
            let products = "product: any that a review names, since no file has products";
            report.defaults.push(products.to_owned());
        }
        let mut ledger = RowLedger::new(report, self.rejects);
        let separator = csv.separator;
        let mut told = (0, 0);
        while let Some(row) = csv.next()? {
            ledger.report.rows_read += 1;
            let stored = match form_of(&row) {
                None => intake.store(&columns, &row, keys, known, &mut ledger),
                Some(end) => Err(end),
            };
            match stored {
                Ok(()) => ledger.stored(),
                Err(end) => ledger.ended(end, row.line, || row.csv(separator))?,
            }
            if ledger.report.rows_read.is_multiple_of(ROWS) {
                self.tell(&mut csv, &ledger, &mut told)?;
                self.check_ids(file, intake.ids())?;
            }
        }
        self.tell(&mut csv, &ledger, &mut told)?;
        self.refuse_few(file, &ledger.report)?;
        Ok(ledger.report)
    }

    fn read_products(
        &self,
        files: &[&ShopFile],
        keys: &mut ProductKeys,
        known: &mut KnownProducts,
        all: &mut ReadFiles,
    ) -> Result<(), Error> {
        let spill_dir = &self.options.spill_dir;
        let mut intake = ProductIntake::new(spill_dir, self.memory / 2);
        let mut read = Vec::new();
        // Numbers before handles, so that no number is made that another file has.
        let mut opened = Vec::new();
        for file in files {
            let (csv, bound) = Self::bind(file)?;
            let columns = ProductColumns::of(bound, csv.separator);
            opened.push((*file, csv, columns));
        }
        opened.sort_by_key(|(.., columns)| columns.needs_keys());
        for (number, (file, mut csv, columns)) in opened.into_iter().enumerate() {
            let report = Self::report(file, &csv, columns.defaults());
            let mut ledger = RowLedger::new(report, self.rejects);
            let mut told = (0, 0);
            let separator = csv.separator;
            while let Some(row) = csv.next()? {
                ledger.report.rows_read += 1;
                let taken = match form_of(&row) {
                    None => intake.take(number, &columns, &row, keys),
                    Some(end) => Err(end),
                };
                if let Err(end) = taken {
                    ledger.ended(end, row.line, || row.csv(separator))?;
                }
                if ledger.report.rows_read.is_multiple_of(ROWS) {
                    self.tell(&mut csv, &ledger, &mut told)?;
                }
            }
            self.tell(&mut csv, &ledger, &mut told)?;
            read.push((file, ProductFile { columns, ledger }));
        }
        let sorted = intake.finish()?;
        let (files, mut product_files): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let builder =
            ProductBuilder::new(&mut product_files, keys, known, spill_dir, self.memory / 2);
        all.shop = builder.build(&sorted, self.memory / 4, self.progress)?;
        for (file, product_file) in files.into_iter().zip(product_files) {
            let report = product_file.ledger.report;
            if let Some(ids) = &known.ids {
                self.check_ids(file, ids)?;
            }
            self.progress.add_read(0, 0, report.rows_stored);
            self.refuse_few(file, &report)?;
            all.report.files.push(report);
        }
        Ok(())
    }

    /// Reports how far a file is read, and ends if the import is to stop.
    fn tell(
        &self,
        csv: &mut ShopCsv,
        ledger: &RowLedger<'_>,
        told: &mut (u64, u64),
    ) -> Result<(), Error> {
        let rows = (ledger.report.rows_read, ledger.report.rows_stored);
        self.progress
            .add_read(csv.take_bytes(), rows.0 - told.0, rows.1 - told.1);
        *told = rows;
        self.progress.check()
    }

    fn check_ids(&self, file: &ShopFile, ids: &RoaringTreemap) -> Result<(), Error> {
        let memory_max = self.memory as u64 / 4;
        if ids_bytes(ids) > memory_max {
            return Err(Error::ScatteredIds {
                path: file.path.clone(),
                memory_max,
            });
        }
        Ok(())
    }

    /// An error where too few rows of a file were stored.
    fn refuse_few(&self, file: &ShopFile, report: &FileReport) -> Result<(), Error> {
        let rejected: u64 = report.rows_rejected.values().sum();
        let rejects = self.options.rejects.clone();
        if rejected > 0 && report.rows_stored == 0 {
            return Err(Error::Refused {
                path: file.path.clone(),
                why: format!(
                    "no row can be stored, and {rejected} were rejected; see {}, and mend the file or its mapping",
                    rejects.display()
                ),
            });
        }
        if rejected > self.options.rejects_max.of(report.rows_read) {
            return Err(Error::LargeShare {
                name: report.file.clone(),
                rejected,
                rows: report.rows_read,
                rejects,
            });
        }
        Ok(())
    }
}

/// The reason for which a row cannot be looked at.
fn form_of(row: &ShopRow<'_>) -> Option<RowEnd> {
    match row.form {
        RowForm::Good => None,
        RowForm::Blank => Some(RowEnd::Skip("blank line".to_owned())),
        RowForm::TooFew => Some(at("")("has too few fields")),
        RowForm::TooMany => Some(at("")("has too many fields")),
        RowForm::NotText => Some(at("")("is not in the encoding of its file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        CatalogueSink, CharacteristicRow, FeatureRow, FullStyle, PhotoRow, ProductRow, RatingRow,
        RejectsMax, ReviewRow, ReviewSink, SinkError, run,
    };
    use proptest::prelude::*;

    /// A sink that discards everything.
    struct Sinkhole;

    impl ReviewSink for Sinkhole {
        fn owner(&mut self, _: u64, _: u64) -> Result<(), SinkError> {
            Ok(())
        }

        fn product(&mut self, _: u64, _: &[CharacteristicRow<'_>]) -> Result<(), SinkError> {
            Ok(())
        }

        fn review(
            &mut self,
            _: u64,
            _: u64,
            review: &ReviewRow<'_>,
            _: &[PhotoRow<'_>],
            _: &[RatingRow],
        ) -> Result<(), SinkError> {
            assert!((1..=5).contains(&review.rating));
            Ok(())
        }
    }

    impl CatalogueSink for Sinkhole {
        fn product(
            &mut self,
            _: u64,
            product: &ProductRow<'_>,
            _: &[FeatureRow<'_>],
        ) -> Result<(), SinkError> {
            assert!(!product.name.is_empty() && !product.default_price.is_empty());
            Ok(())
        }

        fn related(&mut self, _: u64, _: &[u64]) -> Result<(), SinkError> {
            Ok(())
        }

        fn styles(&mut self, _: u64, styles: Vec<FullStyle<'_>>) -> Result<(), SinkError> {
            assert!(styles.iter().all(|style| !style.skus.is_empty()));
            Ok(())
        }
    }

    /// All columns that a mapping names.
    fn columns(mapping: &Mapping) -> Vec<String> {
        let fields = mapping
            .fields
            .values()
            .flat_map(|source| source.full().columns);
        let options = mapping.variants.options.iter();
        let options = options.flat_map(|(name, value)| [name.clone(), value.clone()]);
        let filters = mapping.skip.keys().chain(mapping.only.keys());
        let others = filters.chain(mapping.features.keys()).cloned();
        let mut columns: Vec<_> = fields.chain(options).chain(others).collect();
        columns.sort();
        columns.dedup();
        columns
    }

    fn cell() -> impl Strategy<Value = String> {
        let usual = [
            "",
            "",
            "scarf",
            "hat",
            "1",
            "2",
            "-2",
            "5",
            "TRUE",
            "0",
            "id:1",
            "id:x",
            "Red",
            "Size",
            "2021-01-01 10:00:00 UTC",
            "1615987717",
            "19.90",
            "<p>&amp;</p>",
            "18446744073709551615",
        ];
        prop_oneof![
            8 => prop::sample::select(usual.to_vec()).prop_map(str::to_owned),
            1 => ".{0,8}",
            1 => "[\"\r\n,;é]{0,4}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn any_rows_are_stored_or_told(
            rows in prop::collection::vec(prop::collection::vec(cell(), 24), 0..12),
            vendor in prop::sample::select(Vendor::ALL.to_vec()),
            number in 0_usize..2,
            short in 0_usize..40,
        ) {
            let mappings = vendor.mappings().unwrap();
            let mapping = mappings.get(number).or(mappings.first()).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("rows.csv");
            let header = columns(mapping);
            let mut writer = csv::WriterBuilder::new().flexible(true).from_path(&file).unwrap();
            writer.write_record(&header).unwrap();
            for row in &rows {
                let cells = row.iter().cycle().take(header.len().max(2));
                let cells: Vec<_> = cells.skip(usize::from(short == 0)).collect();
                writer.write_record(cells).unwrap();
            }
            drop(writer);
            let options = Options {
                csv: file,
                shops: Some(ShopOptions { mappings, ids: Some(dir.path().join("ids.csv")) }),
                spill_dir: dir.path().to_owned(),
                memory: 16 << 20,
                workers: 1,
                rejects: dir.path().join("rejects.csv"),
                rejects_max: RejectsMax { rows: u64::MAX, share: 1_000_000 },
                allow_empty: Vec::new(),
                exported: false,
            };
            match run(&options, &ImportProgress::default(), &mut Sinkhole, &mut Sinkhole) {
                Ok(report) => {
                    let file = &report.files[0];
                    let sum = |reasons: &crate::Reasons| reasons.values().sum::<u64>();
                    let ended = sum(&file.rows_skipped) + sum(&file.rows_rejected);
                    prop_assert_eq!(file.rows_read, file.rows_stored + ended);
                }
                Err(Error::Refused { why, .. }) => {
                    prop_assert!(why.contains("no row can be stored") || why.contains("zero bytes"), "{}", why);
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
