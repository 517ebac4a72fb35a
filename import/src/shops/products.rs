//! Products of other shops' programs: the rows of one product become it, its styles, skus and photos.
//!
//! Must not know where rows come from. Invariants: a product goes on with all of its rows or with none but
//! those that were rejected one by one, in whatever order the rows are; rows travel sorted by product, so
//! memory holds one product at a time.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use roaring::RoaringTreemap;

use super::columns::{BoundField, BoundMapping, FoundText, RowTexts};
use super::keys::ProductKeys;
use super::ledger::{RowEnd, RowLedger, at};
use super::reviews::KnownProducts;
use super::source::{ShopRow, csv_line};
use crate::catalogue::CatalogueFiles;
use crate::clean::Reason;
use crate::error::Error;
use crate::pack::{Taker, put, put_text};
use crate::progress::ImportProgress;
use crate::sort::{Sorted, SortedRows, Sorter};
use crate::values::{FeatureRow, ProductRow, SkuRow, StylePhotoRow, StyleRow};

/// A product has so many rows at most.
const PRODUCT_ROWS_MAX: usize = 20_000;
/// The name of a style that no option names, and the size of a sku that no option sizes.
const ONE_STYLE: &str = "Default";
const ONE_SIZE: &str = "One Size";
/// A reference to a product by its number, as WooCommerce writes it.
const BY_NUMBER: &str = "id:";

/// The columns of a product.
pub(crate) struct ProductColumns {
    mapping: BoundMapping,
    separator: u8,
    product: BoundField,
    product_id: BoundField,
    parent: BoundField,
    name: BoundField,
    slogan: BoundField,
    description: BoundField,
    category: BoundField,
    price: BoundField,
    compare_at_price: BoundField,
    sale_price: BoundField,
    sku_id: BoundField,
    quantity: BoundField,
    in_stock: BoundField,
    photos: BoundField,
    variant_photo: BoundField,
    related: BoundField,
}

impl ProductColumns {
    pub(crate) fn of(mapping: BoundMapping, separator: u8) -> Self {
        Self {
            separator,
            product: mapping.field("product"),
            product_id: mapping.field("product_id"),
            parent: mapping.field("parent"),
            name: mapping.field("name"),
            slogan: mapping.field("slogan"),
            description: mapping.field("description"),
            category: mapping.field("category"),
            price: mapping.field("price"),
            compare_at_price: mapping.field("compare_at_price"),
            sale_price: mapping.field("sale_price"),
            sku_id: mapping.field("sku_id"),
            quantity: mapping.field("quantity"),
            in_stock: mapping.field("in_stock"),
            photos: mapping.field("photos"),
            variant_photo: mapping.field("variant_photo"),
            related: mapping.field("related"),
            mapping,
        }
    }

    fn find<'r>(&self, field: &'r BoundField, row: &'r impl RowTexts) -> Option<FoundText<'r>> {
        field.find(row, &self.mapping.forms)
    }

    fn text(&self, field: &BoundField, row: &impl RowTexts) -> String {
        let found = self.find(field, row);
        found
            .map(|found| found.text.trim().to_owned())
            .unwrap_or_default()
    }

    /// The fields that no column gives.
    pub(crate) fn defaults(&self) -> &[String] {
        &self.mapping.defaults
    }

    /// Returns true if rows name products by handles alone.
    pub(crate) fn needs_keys(&self) -> bool {
        !self.product_id.is_bound()
    }

    /// The product that a row belongs to.
    fn owner(&self, row: &ShopRow<'_>, keys: &mut ProductKeys) -> Result<u64, RowEnd> {
        const NO_PARENT: Reason = "is not the id of a product before it";
        if let Some(parent) = self.find(&self.parent, row) {
            let text = parent.text.trim();
            return match text.strip_prefix(BY_NUMBER) {
                Some(number) => self.number(number).map_err(at(parent.column)),
                None => keys.id_of(text).ok_or_else(|| at(parent.column)(NO_PARENT)),
            };
        }
        let key = self.find(&self.product, row);
        let Some(number) = self.find(&self.product_id, row) else {
            let column = self.product.column("product");
            let key = key.ok_or_else(|| at(column)("is empty"))?;
            return Ok(keys.id_or_make(key.text.trim())?);
        };
        let id = self.number(&number.text).map_err(at(number.column))?;
        if keys.is_made(id) {
            return Err(at(number.column)("was made for a handle of another file"));
        }
        keys.take(id);
        if let Some(key) = key {
            keys.learn(key.text.trim(), id)?;
        }
        Ok(id)
    }

    fn number(&self, text: &str) -> Result<u64, Reason> {
        match self.mapping.forms.number(text)? {
            0 => Err("is zero"),
            // The next one must be a number as well.
            u64::MAX => Err("is too large"),
            id => Ok(id),
        }
    }

    fn is_child(&self, row: &ProductLine<'_>) -> bool {
        self.find(&self.parent, row).is_some()
    }
}

/// Takes rows of products in any order.
pub(crate) struct ProductIntake {
    rows: Sorter,
    packed: Vec<u8>,
}

impl ProductIntake {
    /// An intake that uses at most `memory` bytes.
    pub(crate) fn new(spill_dir: &Path, memory: usize) -> Self {
        Self {
            rows: Sorter::new(spill_dir, memory),
            packed: Vec::new(),
        }
    }

    /// Takes a row of a file.
    pub(crate) fn take(
        &mut self,
        file: usize,
        columns: &ProductColumns,
        row: &ShopRow<'_>,
        keys: &mut ProductKeys,
    ) -> Result<(), RowEnd> {
        let product = columns.owner(row, keys)?;
        self.packed.clear();
        for text in row.texts() {
            put_text(&mut self.packed, text);
        }
        self.rows
            .push([product, file as u64, row.line], &self.packed)?;
        Ok(())
    }

    /// All rows, sorted by product.
    pub(crate) fn finish(self) -> Result<Sorted, Error> {
        self.rows.finish()
    }
}

/// A row on its way.
struct ProductLine<'a> {
    file: usize,
    line: u64,
    texts: Vec<&'a str>,
}

impl RowTexts for ProductLine<'_> {
    fn text(&self, column: usize) -> &str {
        self.texts.get(column).copied().unwrap_or_default()
    }
}

impl<'a> ProductLine<'a> {
    fn unpack(file: usize, line: u64, packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        let mut texts = Vec::new();
        while !from.0.is_empty() {
            texts.push(from.text());
        }
        Self { file, line, texts }
    }
}

/// A product file: its columns, and what became of its rows.
pub(crate) struct ProductFile<'a> {
    pub(crate) columns: ProductColumns,
    pub(crate) ledger: RowLedger<'a>,
}

/// Puts the rows of products together.
pub(crate) struct ProductBuilder<'a, 'f> {
    pub(crate) files: &'f mut [ProductFile<'a>],
    pub(crate) keys: &'f ProductKeys,
    pub(crate) known: &'f mut KnownProducts,
    out: CatalogueSorters,
    ids: RoaringTreemap,
    skus: RoaringTreemap,
    style_id: u64,
    /// The number of photos or relations so far: their order.
    number: u64,
}

/// The rows that were made.
struct CatalogueSorters {
    products: Sorter,
    features: Sorter,
    related: Sorter,
    styles: Sorter,
    style_owners: Sorter,
    skus: Sorter,
    photos: Sorter,
    packed: Vec<u8>,
}

/// A style that is put together.
struct StyleDraft {
    name: String,
    price: String,
    sale_price: Option<String>,
    /// Pictures of its own.
    photos: Vec<String>,
    /// Ids that rows give, sizes and quantities.
    skus: Vec<(Option<u64>, String, u64)>,
}

/// A variant as its row gives it.
struct Variant {
    style: String,
    size: String,
    price: String,
    sale_price: Option<String>,
    quantity: u64,
    repairs: Vec<&'static str>,
    photo: Option<String>,
    sku_id: Option<u64>,
}

impl<'a, 'f> ProductBuilder<'a, 'f> {
    pub(crate) fn new(
        files: &'f mut [ProductFile<'a>],
        keys: &'f ProductKeys,
        known: &'f mut KnownProducts,
        spill_dir: &Path,
        memory: usize,
    ) -> Self {
        let sorter = || Sorter::new(spill_dir, memory / 8);
        Self {
            files,
            keys,
            known,
            out: CatalogueSorters {
                products: sorter(),
                features: sorter(),
                related: sorter(),
                styles: sorter(),
                style_owners: sorter(),
                skus: sorter(),
                photos: sorter(),
                packed: Vec::new(),
            },
            ids: RoaringTreemap::new(),
            skus: RoaringTreemap::new(),
            style_id: 0,
            number: 0,
        }
    }

    /// Builds products from rows that are sorted by product.
    pub(crate) fn build(
        mut self,
        sorted: &Sorted,
        memory: usize,
        progress: &ImportProgress,
    ) -> Result<CatalogueFiles, Error> {
        let mut rows = sorted.merge(memory)?;
        let (mut of, mut group) = (0, Vec::new());
        while let Some(([product, file, line], packed)) = rows.next()? {
            if product != of {
                self.group(of, &std::mem::take(&mut group))?;
                progress.check()?;
                of = product;
            }
            group.push((
                usize::try_from(file).unwrap_or(usize::MAX),
                line,
                packed.to_vec(),
            ));
        }
        self.group(of, &group)?;
        self.known.ids = Some(self.ids);
        let out = self.out;
        Ok(CatalogueFiles {
            products: out.products.finish()?,
            features: out.features.finish()?,
            related: out.related.finish()?,
            styles: out.styles.finish()?,
            style_owners: out.style_owners.finish()?,
            skus: out.skus.finish()?,
            photos: out.photos.finish()?,
        })
    }

    fn group(&mut self, product: u64, rows: &[(usize, u64, Vec<u8>)]) -> Result<(), Error> {
        let lines = rows
            .iter()
            .map(|(file, line, packed)| ProductLine::unpack(*file, *line, packed));
        let lines: Vec<_> = lines.collect();
        let Some(first) = lines.first() else {
            return Ok(());
        };
        let Some(columns) = self.files.get(first.file).map(|file| &file.columns) else {
            return Err(Error::Logic("a row is of no file"));
        };
        // If rows name their parent, the one that names none is it; elsewhere the first with a name.
        let is_head = |line: &&ProductLine<'_>| {
            line.file == first.file
                && !columns.is_child(line)
                && columns.find(&columns.name, *line).is_some()
        };
        let Some(head) = lines.iter().find(is_head) else {
            let end = || at(columns.name.column("name"))("is in no row of the product");
            let ends: Vec<_> = lines.iter().map(|_| end()).collect();
            return self.end_all(&lines, ends);
        };
        if let Some(reason) = columns.mapping.passed_over(head) {
            self.known.passed_over.insert(product);
            let ends = lines.iter().map(|_| RowEnd::Skip(reason.clone())).collect();
            return self.end_all(&lines, ends);
        }
        let made = self.product(product, head, &lines)?;
        for (line, end) in lines.iter().zip(made) {
            match end {
                None => self.file(line)?.ledger.stored(),
                Some(end) => self.end(line, end)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, line: &ProductLine<'_>) -> Result<&mut ProductFile<'a>, Error> {
        let file = self.files.get_mut(line.file);
        file.ok_or(Error::Logic("a row is of no file"))
    }

    fn end_all(&mut self, lines: &[ProductLine<'_>], ends: Vec<RowEnd>) -> Result<(), Error> {
        for (line, end) in lines.iter().zip(ends) {
            self.end(line, end)?;
        }
        Ok(())
    }

    fn end(&mut self, line: &ProductLine<'_>, end: RowEnd) -> Result<(), Error> {
        let file = self.file(line)?;
        let separator = file.columns.separator;
        file.ledger.ended(end, line.line, || {
            csv_line(line.texts.iter().map(|text| text.as_bytes()), separator)
        })
    }

    /// Makes a product of its rows; returns for each row the reason why it does not go on, if it does not.
    fn product(
        &mut self,
        id: u64,
        head: &ProductLine<'_>,
        lines: &[ProductLine<'_>],
    ) -> Result<Vec<Option<RowEnd>>, Error> {
        let Some(file) = self.files.get(head.file) else {
            return Err(Error::Logic("a row is of no file"));
        };
        let columns = &file.columns;
        let has_children = lines.iter().any(|line| columns.is_child(line));
        let mut ends: Vec<Option<RowEnd>> = Vec::with_capacity(lines.len());
        let mut drafts: Vec<StyleDraft> = Vec::new();
        let mut photos: Vec<String> = Vec::new();
        let mut options_used = HashSet::new();
        let mut repairs = Vec::new();
        let mut head_end = None;
        for (at_row, line) in lines.iter().enumerate() {
            let is_head = line.line == head.line && line.file == head.file;
            let end = if at_row >= PRODUCT_ROWS_MAX {
                Some(at("")("is one too many of its product"))
            } else if line.file != head.file {
                Some(at(columns.product.column("product"))(
                    "is that of a product of another file",
                ))
            } else if columns.parent.is_bound() && !columns.is_child(line) && !is_head {
                Some(at(columns.product_id.column("product"))(
                    "is that of an earlier row",
                ))
            } else if let Some(reason) = columns.mapping.passed_over(line).filter(|_| !is_head) {
                Some(RowEnd::Skip(reason))
            } else {
                let is_variant =
                    columns.is_child(line) || !has_children && columns.is_variant(line);
                let added = if is_variant {
                    columns
                        .variant(line, head, &mut options_used)
                        .and_then(|mut variant| {
                            let made = std::mem::take(&mut variant.repairs);
                            add_variant(&mut drafts, variant, columns, &self.skus)?;
                            repairs.extend(made);
                            Ok(())
                        })
                } else {
                    Ok(())
                };
                if added.is_ok() && !columns.is_child(line) {
                    for url in columns.photos(line) {
                        if !photos.contains(&url) {
                            photos.push(url);
                        }
                    }
                }
                added.err()
            };
            if is_head && end.is_some() {
                head_end = Some(ends.len());
            }
            ends.push(end);
        }
        if head_end.is_some() {
            // A product without its first row is none.
            for end in &mut ends {
                end.get_or_insert_with(|| at("")("is of a product whose first row was rejected"));
            }
            return Ok(ends);
        }
        let facts = ProductTexts {
            name: columns.text(&columns.name, head),
            slogan: columns.text(&columns.slogan, head),
            description: columns.text(&columns.description, head),
            category: columns.text(&columns.category, head),
            features: columns.features(head, has_children, &options_used),
        };
        let (related, unknown) = self.related(columns, head);
        let made = self.out.put(
            id,
            &facts,
            &related,
            &drafts,
            &photos,
            &mut RowNumbers {
                style_id: &mut self.style_id,
                number: &mut self.number,
                skus: &mut self.skus,
            },
        )?;
        self.ids.insert(id);
        let ledger = &mut self.file(head)?.ledger;
        for (kind, rows) in made {
            ledger.made(kind, rows);
        }
        for repair in repairs {
            ledger.repaired(repair);
        }
        if unknown > 0 {
            ledger.repaired("related products that no file has were left out");
        }
        Ok(ends)
    }

    /// The products that a row names as related, and how many of them are unknown.
    fn related(&self, columns: &ProductColumns, head: &ProductLine<'_>) -> (Vec<u64>, usize) {
        let (mut related, mut unknown) = (Vec::new(), 0);
        let lists = columns.related.all(head);
        for one in lists.flat_map(|list| columns.mapping.forms.list(list)) {
            let found = match one.strip_prefix(BY_NUMBER) {
                Some(number) => number.trim().parse().ok().filter(|id| *id > 0),
                None => self.keys.id_of(one),
            };
            match found {
                Some(id) if !related.contains(&id) => related.push(id),
                Some(_) => {}
                None => unknown += 1,
            }
        }
        (related, unknown)
    }
}

impl ProductColumns {
    /// Returns true if a row without a parent is a variant, and not only a picture.
    fn is_variant(&self, line: &ProductLine<'_>) -> bool {
        let is_priced = self.find_bound(&self.price, line);
        is_priced || !self.parent.is_bound() && self.options(line, line).next().is_some()
    }

    /// Returns true if a column of a field has a text in a row.
    fn find_bound(&self, field: &BoundField, line: &ProductLine<'_>) -> bool {
        field
            .all(line)
            .any(|text| !self.mapping.forms.is_empty(text))
    }

    /// The options of a row: name and value of each. Names may be in the first row of a product only.
    fn options<'r>(
        &'r self,
        line: &'r ProductLine<'_>,
        head: &'r ProductLine<'_>,
    ) -> impl Iterator<Item = (&'r str, &'r str)> {
        let is_none = |value: &str| {
            self.mapping.forms.is_empty(value)
                || self.mapping.no_options.contains(&value.to_lowercase())
        };
        self.mapping
            .options
            .iter()
            .filter_map(move |(name, value)| {
                let value = line.text(*value).trim();
                let names = [line.text(*name).trim(), head.text(*name).trim()];
                let name = names.into_iter().find(|name| !name.is_empty());
                (!is_none(value)).then_some((name.unwrap_or_default(), value))
            })
    }

    fn variant(
        &self,
        line: &ProductLine<'_>,
        head: &ProductLine<'_>,
        used: &mut HashSet<String>,
    ) -> Result<Variant, RowEnd> {
        let (mut style, mut size) = (String::new(), String::new());
        // If rows name their parent, the options of a row that does not are its features.
        let options = self.options(line, head);
        for (name, value) in options.filter(|_| !self.parent.is_bound() || self.is_child(line)) {
            let is_size = self.mapping.sizes.contains(&name.to_lowercase());
            used.insert(name.to_lowercase());
            let of = if is_size { &mut size } else { &mut style };
            if !of.is_empty() {
                of.push_str(" / ");
            }
            of.push_str(value);
        }
        let forms = &self.mapping.forms;
        let price = |field: &BoundField| {
            let found = self.find(field, line);
            let price = found.map(|found| {
                forms
                    .price(&found.text)
                    .map(Cow::into_owned)
                    .map_err(at(found.column))
            });
            price.transpose()
        };
        let mut repairs = Vec::new();
        if self.price.is_bound() && !self.find_bound(&self.price, line) {
            repairs.push("price is empty and became 0");
        }
        let regular = price(&self.price)?.unwrap_or_else(|| "0".to_owned());
        let compared = price(&self.compare_at_price)?;
        let sale = price(&self.sale_price)?;
        let (original, sale_price) = match compared {
            Some(compared) if is_above(&compared, &regular) => (compared, Some(regular)),
            _ => (regular, sale),
        };
        let found = self.find(&self.quantity, line);
        let column = found.as_ref().map_or("quantity", |found| found.column);
        let text = found.as_ref().map_or("0", |found| found.text.trim());
        let is_negative = text
            .strip_prefix('-')
            .is_some_and(|rest| forms.number(rest).is_ok());
        let quantity = if is_negative {
            repairs.push("quantity below zero became 0");
            0
        } else {
            forms.number(text).map_err(at(column))?
        };
        let is_sold_out = self
            .find(&self.in_stock, line)
            .is_some_and(|found| forms.boolean(&found.text) == Ok(false));
        let sku_id = self.find(&self.sku_id, line);
        let sku_id = sku_id.map(|found| self.number(&found.text).map_err(at(found.column)));
        let photo = self
            .find(&self.variant_photo, line)
            .map(|found| found.text.trim().to_owned());
        let own = || {
            self.photos(line)
                .into_iter()
                .next()
                .filter(|_| self.is_child(line))
        };
        Ok(Variant {
            style: if style.is_empty() {
                ONE_STYLE.to_owned()
            } else {
                style
            },
            size: if size.is_empty() {
                ONE_SIZE.to_owned()
            } else {
                size
            },
            price: original,
            sale_price,
            quantity: if is_sold_out { 0 } else { quantity },
            repairs,
            photo: photo.or_else(own),
            sku_id: sku_id.transpose()?,
        })
    }

    fn photos(&self, line: &ProductLine<'_>) -> Vec<String> {
        let lists = self.photos.all(line);
        lists
            .flat_map(|list| self.mapping.forms.list(list))
            .map(str::to_owned)
            .collect()
    }

    /// The features of a product: columns that are some, and options that no variant has.
    fn features(
        &self,
        head: &ProductLine<'_>,
        has_children: bool,
        used: &HashSet<String>,
    ) -> Vec<(String, String)> {
        let columns = self.mapping.features.iter();
        let columns = columns.map(|(at, name)| (name.as_str(), head.text(*at).trim()));
        let is_free = |name: &&str| {
            self.parent.is_bound() && (!has_children || !used.contains(&name.to_lowercase()))
        };
        let options = self.options(head, head).filter(|(name, _)| is_free(name));
        columns
            .chain(options)
            .filter(|(name, value)| !name.is_empty() && !self.mapping.forms.is_empty(value))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Returns true if a price is above another, both written with a point or without.
fn is_above(one: &str, other: &str) -> bool {
    let parts = |price: &str| {
        let (whole, decimals) = price.split_once('.').unwrap_or((price, ""));
        let whole = whole.trim_start_matches('0').to_owned();
        (
            whole.len(),
            whole,
            decimals.trim_end_matches('0').to_owned(),
        )
    };
    parts(one) > parts(other)
}

fn add_variant(
    drafts: &mut Vec<StyleDraft>,
    variant: Variant,
    columns: &ProductColumns,
    skus: &RoaringTreemap,
) -> Result<(), RowEnd> {
    let is_taken = |id: &u64| {
        let mut own = drafts.iter().flat_map(|draft| &draft.skus);
        skus.contains(*id) || own.any(|(taken, ..)| *taken == Some(*id))
    };
    if variant.sku_id.as_ref().is_some_and(is_taken) {
        return Err(at(columns.sku_id.column("sku_id"))(
            "is that of an earlier row",
        ));
    }
    let sku = (variant.sku_id, variant.size, variant.quantity);
    match drafts.iter_mut().find(|draft| draft.name == variant.style) {
        Some(draft) if draft.skus.iter().any(|(_, size, _)| *size == sku.1) => {
            return Err(at("")("has the options of an earlier row of its product"));
        }
        Some(draft) => {
            draft.skus.push(sku);
            let new = variant.photo.filter(|photo| !draft.photos.contains(photo));
            draft.photos.extend(new);
        }
        None => drafts.push(StyleDraft {
            name: variant.style,
            price: variant.price,
            sale_price: variant.sale_price,
            photos: variant.photo.into_iter().collect(),
            skus: vec![sku],
        }),
    }
    Ok(())
}

/// A product's own texts.
struct ProductTexts {
    name: String,
    slogan: String,
    description: String,
    category: String,
    features: Vec<(String, String)>,
}

/// The numbers that rows get.
struct RowNumbers<'a> {
    style_id: &'a mut u64,
    number: &'a mut u64,
    skus: &'a mut RoaringTreemap,
}

impl CatalogueSorters {
    /// Puts a product's rows into the sorters; gives how many of each kind.
    fn put(
        &mut self,
        id: u64,
        facts: &ProductTexts,
        related: &[u64],
        drafts: &[StyleDraft],
        photos: &[String],
        numbers: &mut RowNumbers<'_>,
    ) -> Result<[(&'static str, usize); 6], Error> {
        let price = drafts.first().map_or("0", |draft| draft.price.as_str());
        let row = ProductRow {
            name: &facts.name,
            slogan: &facts.slogan,
            description: &facts.description,
            category: &facts.category,
            default_price: price,
        };
        let packed = &mut self.packed;
        packed.clear();
        row.pack(packed);
        self.products.push([id, 0, 0], packed)?;
        for (number, (feature, value)) in (1..).zip(&facts.features) {
            packed.clear();
            let value = Some(value.as_str());
            FeatureRow { feature, value }.pack(packed);
            self.features.push([id, number, 0], packed)?;
        }
        for other in related {
            packed.clear();
            put(packed, *other);
            *numbers.number += 1;
            self.related.push([id, *numbers.number, 0], packed)?;
        }
        let (mut skus, mut pictures) = (0, 0);
        for (at, draft) in drafts.iter().enumerate() {
            *numbers.style_id += 1;
            let style = *numbers.style_id;
            let row = StyleRow {
                name: &draft.name,
                original_price: &draft.price,
                sale_price: draft.sale_price.as_deref(),
                default: at == 0,
            };
            packed.clear();
            row.pack(packed);
            self.styles.push([id, style, 0], packed)?;
            packed.clear();
            put(packed, id);
            self.style_owners.push([style, 0, 0], packed)?;
            for (own, size, quantity) in &draft.skus {
                let next = numbers.skus.max().unwrap_or(0) + 1;
                let sku = own.unwrap_or(next);
                numbers.skus.insert(sku);
                packed.clear();
                let quantity = *quantity;
                SkuRow {
                    id: sku,
                    size,
                    quantity,
                }
                .pack(packed);
                self.skus.push([style, sku, 0], packed)?;
            }
            let of_all = photos.iter().filter(|url| !draft.photos.contains(url));
            for url in draft.photos.iter().chain(of_all) {
                let (url, thumbnail_url) = (url.as_str(), url.as_str());
                packed.clear();
                StylePhotoRow { url, thumbnail_url }.pack(packed);
                *numbers.number += 1;
                self.photos.push([style, *numbers.number, 0], packed)?;
                pictures += 1;
            }
            skus += draft.skus.len();
        }
        Ok([
            ("products", 1),
            ("features", facts.features.len()),
            ("related products", related.len()),
            ("styles", drafts.len()),
            ("skus", skus),
            ("photos of styles", pictures),
        ])
    }
}
