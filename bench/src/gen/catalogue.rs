//! The catalogue's rows of one product: itself, styles, skus, photos, features, related.
//!
//! Owns what these rows say, and their dirt: unclosed quotes, missing values,
//! relations to nothing, to oneself and twice. It must not know reviews. It
//! writes exactly as many rows as the shape says.

use anyhow::Result;

use crate::r#gen::files::{Sheets, push_int};
use crate::r#gen::shape::{Ids, Plan, Shape, StyleShape};
use crate::r#gen::text::{Phrases, Slot, Subject, title_case};
use crate::rng::{Purpose, Rng};

/// One photo row in so many lacks its last quote; the real set has 193 in 5,655,656.
const UNCLOSED_EVERY: u64 = 29_400;
/// The first of them; any thousand products have as many rows.
const UNCLOSED_FIRST: u64 = 2_500;

/// The lists the catalogue draws from.
pub(crate) struct Catalogue {
    material: Slot,
    name: Slot,
    slogan: Slot,
    describe_first: Slot,
    describe_more: Slot,
    style_name: Slot,
    feature_name: Slot,
    feature_value: Slot,
}

impl Catalogue {
    pub(crate) fn new(phrases: &Phrases) -> Result<Self> {
        Ok(Self {
            material: phrases.slot("material")?,
            name: phrases.slot("product.name")?,
            slogan: phrases.slot("slogan")?,
            describe_first: phrases.slot("describe.first")?,
            describe_more: phrases.slot("describe.more")?,
            style_name: phrases.slot("style.name")?,
            feature_name: phrases.slot("feature.name")?,
            feature_value: phrases.slot("feature.value")?,
        })
    }

    /// Returns the product's name and material, for its own rows and its reviews.
    pub(crate) fn subject(
        &self,
        plan: &Plan,
        product: u64,
        shape: &Shape,
        phrases: &Phrases,
    ) -> Subject {
        let mut rng = plan.rng(product, Purpose::Subject);
        let mut subject = Subject {
            category: shape.category,
            product: Vec::new(),
            material: Vec::new(),
            material_title: Vec::new(),
        };
        let mut material = Vec::new();
        phrases.write(&mut material, &mut rng, self.material, &subject);
        subject.material_title = title_case(&material);
        subject.material = material;
        let mut name = Vec::new();
        phrases.write(&mut name, &mut rng, self.name, &subject);
        subject.product = name;
        subject
    }

    pub(crate) fn render(
        &self,
        sheets: &mut Sheets,
        ids: Ids,
        plan: &Plan,
        product: u64,
        shape: &Shape,
        (phrases, subject): (&Phrases, &Subject),
    ) {
        let mut rng = plan.rng(product, Purpose::Catalogue);
        let price = shape.category.price(&mut rng);
        sheets
            .products
            .begin(product)
            .text(&subject.product)
            .quoted(|out| phrases.write_sentence(out, &mut rng, self.slogan, subject))
            .quoted(|out| self.describe(out, &mut rng, phrases, subject))
            .text(subject.category.name)
            .int(price);
        self.styles(
            sheets,
            ids,
            &mut rng,
            (product, price),
            shape,
            (phrases, subject),
        );
        self.features(sheets, ids, &mut rng, product, shape, (phrases, subject));
        related(sheets, ids, &mut rng, product, shape, plan.products);
    }

    fn describe(&self, out: &mut Vec<u8>, rng: &mut Rng, phrases: &Phrases, subject: &Subject) {
        phrases.write_sentence(out, rng, self.describe_first, subject);
        let lines = phrases.len(self.describe_more, subject);
        let first = rng.index(lines);
        for step in 0..2 + rng.index(4) {
            out.push(b' ');
            // Steps of three through a list whose length is no multiple of it repeat no line.
            let at = (first + 3 * step) % lines;
            phrases.write_line(out, rng, self.describe_more, at, subject);
        }
    }

    fn styles(
        &self,
        sheets: &mut Sheets,
        mut ids: Ids,
        rng: &mut Rng,
        (product, price): (u64, u64),
        shape: &Shape,
        (phrases, subject): (&Phrases, &Subject),
    ) {
        ids.style += shape.style_gap;
        let default_style = rng.below(shape.styles().count() as u64);
        for (number, style) in (0_u64..).zip(shape.styles()) {
            let original = if rng.chance(1, 10) {
                price + 5 * (1 + rng.below(6))
            } else {
                price
            };
            let row = sheets.styles.begin(ids.style).int(product);
            row.quoted(|out| phrases.write(out, rng, self.style_name, subject));
            if rng.chance(1, 4) {
                row.int(original * (60 + rng.below(31)) / 100);
            } else {
                row.word("null");
            }
            row.int(original).int(u64::from(number == default_style));
            skus(sheets, ids, rng, shape, style);
            for photo in ids.photo..ids.photo + style.photos {
                style_photo(sheets, photo, ids.style, rng);
            }
            ids.style += 1;
            ids.sku += style.skus;
            ids.photo += style.photos;
        }
    }

    fn features(
        &self,
        sheets: &mut Sheets,
        ids: Ids,
        rng: &mut Rng,
        product: u64,
        shape: &Shape,
        (phrases, subject): (&Phrases, &Subject),
    ) {
        let lines = phrases.len(self.feature_name, subject);
        let mut at = rng.index(lines);
        for id in ids.feature..ids.feature + shape.features {
            let row = sheets.features.begin(id).int(product);
            row.quoted(|out| phrases.write_line(out, rng, self.feature_name, at, subject));
            if rng.chance(1, 25) {
                row.word("null");
            } else {
                row.quoted(|out| phrases.write_line(out, rng, self.feature_value, at, subject));
            }
            at = (at + 1) % lines;
        }
    }
}

fn skus(sheets: &mut Sheets, ids: Ids, rng: &mut Rng, shape: &Shape, style: StyleShape) {
    // The real set has sku 8 before sku 7: the first two of a style, now and then.
    let swapped = style.skus > 1 && rng.chance(1, 400);
    let sizes = shape.category.class.sizes(style.skus, rng);
    for (number, size) in (0..style.skus).zip(sizes) {
        let id = match number {
            0 if swapped => ids.sku + 1,
            1 if swapped => ids.sku,
            _ => ids.sku + number,
        };
        sheets
            .skus
            .begin(id)
            .int(ids.style)
            .text(size)
            .int(rng.below(60));
    }
}

fn style_photo(sheets: &mut Sheets, id: u64, style: u64, rng: &mut Rng) {
    let photo = Photo::draw(rng);
    let row = sheets
        .photos
        .begin(id)
        .int(style)
        .quoted(|out| photo.write(out, photo.width));
    let thumbnail = |out: &mut Vec<u8>| photo.write(out, 300);
    if id % UNCLOSED_EVERY == UNCLOSED_FIRST {
        row.unclosed(thumbnail);
    } else {
        row.quoted(thumbnail);
    }
}

fn related(sheets: &mut Sheets, ids: Ids, rng: &mut Rng, product: u64, shape: &Shape, all: u64) {
    let mut last = 0;
    for id in ids.related..ids.related + shape.related {
        let other = match rng.below(10_000) {
            0..4 => 0,
            4..70 => product,
            70..170 if last != 0 => last,
            _ => 1 + rng.below(all),
        };
        sheets.related.begin(id).int(product).int(other);
        last = other;
    }
}

/// A photo's address: one picture, cut to any width.
pub(crate) struct Photo {
    taken: u64,
    hash: u64,
    width: u64,
    plain: bool,
}

impl Photo {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            taken: 1_480_000_000 + rng.below(130_000_000),
            hash: rng.next(),
            width: 600 + rng.below(2600),
            plain: rng.chance(1, 2),
        }
    }

    /// The address in full, for the shop's own photos.
    fn write(&self, out: &mut Vec<u8>, width: u64) {
        let middle: &[u8] = if self.plain {
            b"ixlib=shop-1.2.1&"
        } else {
            b"ixlib=shop-1.2.1&cs=tinysrgb&fm=jpg&"
        };
        self.write_with(out, middle, width);
    }

    /// The short address that customers' photos have.
    pub(crate) fn write_short(&self, out: &mut Vec<u8>) {
        self.write_with(out, b"", self.width);
    }

    fn write_with(&self, out: &mut Vec<u8>, middle: &[u8], width: u64) {
        out.extend_from_slice(b"https://images.example.com/photo-");
        push_int(out, self.taken);
        out.push(b'-');
        for nibble in 0..12 {
            let digit = u32::try_from(self.hash >> (4 * nibble) & 0xf).unwrap_or(0);
            out.extend(char::from_digit(digit, 16).and_then(|digit| u8::try_from(digit).ok()));
        }
        out.push(b'?');
        out.extend_from_slice(middle);
        out.extend_from_slice(b"auto=format&fit=crop&w=");
        push_int(out, width);
        out.extend_from_slice(b"&q=80");
    }
}
