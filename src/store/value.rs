//! The bytes of values: one kind byte, one version byte, then bincode.
//!
//! The only file that names bincode. Must not know keys or RocksDB. Invariants: what was
//! encoded decodes to itself, and any other bytes to an error or another value, never to a panic;
//! every byte is consumed; no length read from a damaged value makes it allocate more than
//! `DECODED_BYTES_MAX`; the bytes of a version never change (golden bytes below), a new layout is a
//! new version.

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bincode::de::{BorrowDecode, BorrowDecoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::model::{
    Characteristic, CharacteristicRating, ClientHash, Feature, Product, ProductId, Report, Review,
    ReviewPhoto, Sku, Style, StylePhoto, Summary,
};

/// No value is larger: a product whose styles have some twenty thousand photos.
const VALUE_BYTES_MAX: usize = 4 << 20;
/// Decoding counts what lists and numbers take in memory, which is at most so many times their
/// bytes: an empty text is one byte on the disk and sixteen in memory.
const DECODED_PER_ENCODED: usize = 24;
const DECODED_BYTES_MAX: usize = VALUE_BYTES_MAX * DECODED_PER_ENCODED;

/// The version of the layout of a value, as its second byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u8);

/// The first layout of every kind.
const FIRST: Version = Version(1);
/// The layout of a review that has the report which hid it, and of an idempotency record that has its client.
const SECOND: Version = Version(2);

type Bincode = Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>>;
const BINCODE: Bincode = config::standard().with_limit();

/// The kind of a value, as its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    Review = 1,
    Summary = 2,
    Product = 3,
    Styles = 4,
    Related = 5,
    Identity = 6,
    Counters = 7,
    Retried = 8,
    // 9 is a position.
    Predecessors = 10,
}

/// A value that a family holds: encodes itself, and decodes borrowing from the bytes.
pub(super) trait StoredValue<'de>: FieldLayout + BorrowDecode<'de, Version> {
    /// The kind byte.
    const KIND: u8;
    /// The latest layout that is read.
    const LATEST: Version = FIRST;

    /// The layout that it is written in: the earliest that holds all of it, so that earlier programs read
    /// what they can.
    fn version(&self) -> Version {
        FIRST
    }
}

/// The part of a review that decides where it stands in a list; the first fields of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReviewHead {
    pub(super) helpfulness: u32,
    pub(super) date_ms: i64,
    pub(super) reported: bool,
    pub(super) report: Option<Report>,
}

/// The store's id and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Random, new for every import and every empty store.
    pub store_id: u128,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
}

/// The counters of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// The id the next review gets.
    pub next_review_id: u64,
    /// The id the next photo of a review gets.
    pub next_photo_id: u64,
    /// Reviews, including reported ones.
    pub reviews: u64,
    /// Reviews that are in lists.
    pub reviews_visible: u64,
    /// Products with reviews or characteristics.
    pub summaries: u64,
    /// Products of the catalogue.
    pub products: u64,
    /// Products that have styles.
    pub styled: u64,
    /// Products that have related products.
    pub related: u64,
    /// Idempotency records: reviews that clients may send again.
    pub idempotency_keys: u64,
}

/// The outcome of a review that its client may send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IdempotencyRecord {
    pub(super) review: u64,
    /// A hash of the request's body.
    pub(super) body: u128,
    pub(super) made_ms: i64,
    /// A salted hash of the client's address; `None` in values of version 1, which do not have it.
    pub(super) client: Option<u64>,
}

/// A store that another one replaced, and the position of the old one then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predecessor {
    /// Its id.
    pub store_id: u128,
    /// Its epoch.
    pub epoch: u64,
    /// The number of its last row.
    pub seq: u64,
}

/// The stores before a store, newest first, as one value.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Predecessors(pub(super) Vec<Predecessor>);

impl Counters {
    /// The counters of an empty store.
    pub const NONE: Self = Self {
        next_review_id: 1,
        next_photo_id: 1,
        reviews: 0,
        reviews_visible: 0,
        summaries: 0,
        products: 0,
        styled: 0,
        related: 0,
        idempotency_keys: 0,
    };
}

/// The styles of a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Styles<'a>(pub(super) Vec<Style<'a>>);

/// The products related to a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Related(pub(super) Vec<ProductId>);

/// Appends `record` as a value.
pub(super) fn encode<'de, R: StoredValue<'de>>(
    record: &R,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.extend_from_slice(&[R::KIND, record.version().0]);
    let bytes = bincode::encode_into_std_write(BincodeValue(record), out, BINCODE);
    let bytes = bytes.map_err(|e| e.to_string())?;
    // A value that could not be read back is not written.
    if bytes > VALUE_BYTES_MAX {
        return Err(format!(
            "its {bytes} bytes exceed the limit of {VALUE_BYTES_MAX}"
        ));
    }
    Ok(())
}

/// Decodes a value whole; the error says what is wrong with it.
pub(super) fn decode<'de, R: StoredValue<'de>>(value: &'de [u8]) -> Result<R, String> {
    let (version, rest) = open::<R>(value)?;
    let (record, read) = bincode::borrow_decode_from_slice_with_context(rest, BINCODE, version)
        .map_err(|e| e.to_string())?;
    match rest.len() - read {
        0 => Ok(record),
        left => Err(format!("{left} bytes too many")),
    }
}

/// Decodes only the head of a review.
pub(super) fn decode_head(value: &[u8]) -> Result<ReviewHead, String> {
    let (version, rest) = open::<Review<'_>>(value)?;
    bincode::borrow_decode_from_slice_with_context(rest, BINCODE, version)
        .map(|(head, _)| head)
        .map_err(|e| e.to_string())
}

fn open<'de, R: StoredValue<'de>>(value: &'de [u8]) -> Result<(Version, &'de [u8]), String> {
    match value {
        [kind, _, ..] if *kind != R::KIND => Err(format!("kind {kind} instead of {}", R::KIND)),
        [_, version, rest @ ..] if (FIRST..=R::LATEST).contains(&Version(*version)) => {
            Ok((Version(*version), rest))
        }
        [_, version, ..] => Err(format!("version {version} is not known")),
        _ => Err("shorter than its two leading bytes".to_owned()),
    }
}

/// A type that writes its fields one after the other. The types of the model and bincode's traits belong to
/// other crates, which is why there is a trait of this one.
pub(super) trait FieldLayout {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError>;
}

/// A value as bincode takes it.
struct BincodeValue<'v, L>(&'v L);

impl<L: FieldLayout> Encode for BincodeValue<'_, L> {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.write(to)
    }
}

impl<L: FieldLayout> FieldLayout for Vec<L> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (self.len() as u64).encode(to)?;
        self.iter().try_for_each(|item| item.write(to))
    }
}

impl<L: FieldLayout> FieldLayout for Option<L> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        u8::from(self.is_some()).encode(to)?;
        self.iter().try_for_each(|item| item.write(to))
    }
}

/// Leaves a type's layout to bincode.
macro_rules! plain {
    ($($name:ty),*) => {$(
        impl FieldLayout for $name {
            fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.encode(to)
            }
        }
    )*};
}
plain!(bool, u8, u32, u64, u128, i64, &str, [u64; 5]);

/// Writes a type's fields one after the other, in the order given, and reads them back.
macro_rules! layout {
    ($name:ident $(<$life:lifetime>)? { $($field:tt),* }) => {
        impl $(<$life>)? FieldLayout for $name $(<$life>)? {
            fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                $(self.$field.write(to)?;)*
                Ok(())
            }
        }
        layout!(@decode $name $(<$life>)? { $($field),* });
    };
    (@decode $name:ident <$life:lifetime> { $($field:tt),* }) => {
        impl<$life> BorrowDecode<$life, Version> for $name<$life> {
            fn borrow_decode<D: BorrowDecoder<$life, Context = Version>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
    (@decode $name:ident { $($field:tt),* }) => {
        impl<'de> BorrowDecode<'de, Version> for $name {
            fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
}

impl<'de> BorrowDecode<'de, Version> for ReviewHead {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            helpfulness: BorrowDecode::borrow_decode(from)?,
            date_ms: BorrowDecode::borrow_decode(from)?,
            reported: BorrowDecode::borrow_decode(from)?,
            report: if *from.context() >= SECOND {
                Some(Report::borrow_decode(from)?)
            } else {
                None
            },
        })
    }
}

impl FieldLayout for Review<'_> {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.helpfulness.write(to)?;
        self.date_ms.write(to)?;
        self.reported.write(to)?;
        if let Some(report) = &self.report {
            report.write(to)?;
        }
        self.rating.write(to)?;
        self.recommend.write(to)?;
        self.summary.write(to)?;
        self.body.write(to)?;
        self.reviewer_name.write(to)?;
        self.reviewer_email.write(to)?;
        self.response.write(to)?;
        self.photos.write(to)?;
        self.ratings.write(to)
    }
}

impl<'a> BorrowDecode<'a, Version> for Review<'a> {
    fn borrow_decode<D: BorrowDecoder<'a, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        let ReviewHead {
            helpfulness,
            date_ms,
            reported,
            report,
        } = BorrowDecode::borrow_decode(from)?;
        Ok(Self {
            helpfulness,
            date_ms,
            reported,
            report,
            rating: BorrowDecode::borrow_decode(from)?,
            recommend: BorrowDecode::borrow_decode(from)?,
            summary: BorrowDecode::borrow_decode(from)?,
            body: BorrowDecode::borrow_decode(from)?,
            reviewer_name: BorrowDecode::borrow_decode(from)?,
            reviewer_email: BorrowDecode::borrow_decode(from)?,
            response: BorrowDecode::borrow_decode(from)?,
            photos: BorrowDecode::borrow_decode(from)?,
            ratings: BorrowDecode::borrow_decode(from)?,
        })
    }
}

layout!(Report { at_ms, reporter });
layout!(ClientHash { 0 });
layout!(ReviewPhoto<'a> { id, url });
layout!(CharacteristicRating {
    characteristic_id,
    value
});
layout!(Summary<'a> { ratings, recommended_false, recommended_true, characteristics });
layout!(Characteristic<'a> { id, name, sum, count });
layout!(Product<'a> { name, slogan, description, category, default_price, features });
layout!(Feature<'a> { feature, value });
layout!(Styles<'a> { 0 });
layout!(Style<'a> { id, name, original_price, sale_price, default, photos, skus });
layout!(StylePhoto<'a> { url, thumbnail_url });
layout!(Sku<'a> { id, size, quantity });
layout!(Related { 0 });
layout!(ProductId { 0 });
layout!(Identity { store_id, made_ms });
layout!(Predecessor {
    store_id,
    epoch,
    seq
});
layout!(Predecessors { 0 });

impl FieldLayout for IdempotencyRecord {
    fn write<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.review.write(to)?;
        self.body.write(to)?;
        self.made_ms.write(to)?;
        self.client.write(to)
    }
}

impl<'de> BorrowDecode<'de, Version> for IdempotencyRecord {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Version>>(
        from: &mut D,
    ) -> Result<Self, DecodeError> {
        Ok(Self {
            review: BorrowDecode::borrow_decode(from)?,
            body: BorrowDecode::borrow_decode(from)?,
            made_ms: BorrowDecode::borrow_decode(from)?,
            client: if *from.context() >= SECOND {
                BorrowDecode::borrow_decode(from)?
            } else {
                None
            },
        })
    }
}

layout!(Counters {
    next_review_id,
    next_photo_id,
    reviews,
    reviews_visible,
    summaries,
    products,
    styled,
    related,
    idempotency_keys
});

impl<'a> StoredValue<'a> for Review<'a> {
    const KIND: u8 = ValueKind::Review as u8;
    const LATEST: Version = SECOND;

    fn version(&self) -> Version {
        self.report.map_or(FIRST, |_| SECOND)
    }
}

macro_rules! records {
    ($($name:ty => $kind:ident),* $(,)?) => {$(
        impl<'a> StoredValue<'a> for $name {
            const KIND: u8 = ValueKind::$kind as u8;
        }
    )*};
}
records! {
    Summary<'a> => Summary,
    Product<'a> => Product,
    Styles<'a> => Styles,
    Related => Related,
    Identity => Identity,
    Counters => Counters,
    Predecessors => Predecessors,
}

impl StoredValue<'_> for IdempotencyRecord {
    const KIND: u8 = ValueKind::Retried as u8;
    const LATEST: Version = SECOND;

    fn version(&self) -> Version {
        SECOND
    }
}

#[cfg(test)]
mod tests;
