//! How values become bytes: one kind byte, one version byte, then bincode.
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
    Characteristic, CharacteristicRating, Feature, Product, ProductId, Review, ReviewPhoto, Sku,
    Style, StylePhoto, Summary,
};

/// No value is larger: a product whose styles have some twenty thousand photos.
const VALUE_BYTES_MAX: usize = 4 << 20;
/// Decoding counts what lists and numbers take in memory, which is at most so many times their
/// bytes: an empty text is one byte on the disk and sixteen in memory.
const DECODED_PER_ENCODED: usize = 24;
const DECODED_BYTES_MAX: usize = VALUE_BYTES_MAX * DECODED_PER_ENCODED;

type Bincode = Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>>;
const BINCODE: Bincode = config::standard().with_limit();

/// The kind of a value, as its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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
pub(super) trait Record<'de>: Encode + BorrowDecode<'de, ()> {
    /// The kind byte.
    const KIND: u8;
    /// The version byte of the values that are written.
    const VERSION: u8 = 1;

    /// Decodes the fields of a value of an earlier version, and counts their bytes; `None` where the
    /// version is not known.
    fn decode_earlier(_version: u8, _fields: &'de [u8]) -> Option<Decoded<Self>> {
        None
    }
}

/// A record and the bytes that it was decoded from.
type Decoded<R> = Result<(R, usize), DecodeError>;

/// The part of a review that decides where it stands in a list; the first fields of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReviewHead {
    pub(super) helpfulness: u32,
    pub(super) date_ms: i64,
    pub(super) reported: bool,
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
    /// Reviews, reported ones too.
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
    /// Reviews that clients may send again.
    pub retries: u64,
}

/// The outcome of a review that its client may send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Retried {
    pub(super) review: u64,
    /// A hash of the request's body.
    pub(super) body: u128,
    pub(super) made_ms: i64,
    /// A salted hash of the client's address; `None` in values of version 1, which do not have it.
    pub(super) client: Option<u64>,
}

/// Version 1 of [`Retried`].
struct RetriedOne {
    review: u64,
    body: u128,
    made_ms: i64,
}

/// A store that another one took the place of, and where it was then.
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
        retries: 0,
    };
}

/// The styles of a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Styles<'a>(pub(super) Vec<Style<'a>>);

/// The products related to a product, as one value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Related(pub(super) Vec<ProductId>);

/// Appends `record` as a value.
pub(super) fn encode<'de, R: Record<'de>>(record: &R, out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(&[R::KIND, R::VERSION]);
    let bytes = bincode::encode_into_std_write(record, out, BINCODE).map_err(|e| e.to_string())?;
    // What could not be read back is not written.
    if bytes > VALUE_BYTES_MAX {
        return Err(format!(
            "its {bytes} bytes are more than the {VALUE_BYTES_MAX} that a value may have"
        ));
    }
    Ok(())
}

/// Decodes a value whole; the error says what is wrong with it.
pub(super) fn decode<'de, R: Record<'de>>(value: &'de [u8]) -> Result<R, String> {
    let (version, rest) = open::<R>(value)?;
    let decoded = if version == R::VERSION {
        bincode::borrow_decode_from_slice(rest, BINCODE)
    } else {
        R::decode_earlier(version, rest).ok_or_else(|| unknown(version))?
    };
    let (record, read) = decoded.map_err(|e| e.to_string())?;
    match rest.len() - read {
        0 => Ok(record),
        left => Err(format!("{left} bytes too many")),
    }
}

/// Decodes only the head of a review.
pub(super) fn decode_head(value: &[u8]) -> Result<ReviewHead, String> {
    let (version, fields) = open::<Review<'_>>(value)?;
    if version != Review::VERSION {
        return Err(unknown(version));
    }
    bincode::borrow_decode_from_slice(fields, BINCODE)
        .map(|(head, _)| head)
        .map_err(|e| e.to_string())
}

/// The version of a value, and the bytes of its fields.
fn open<'de, R: Record<'de>>(value: &'de [u8]) -> Result<(u8, &'de [u8]), String> {
    match value {
        [kind, _, ..] if *kind != R::KIND => Err(format!("kind {kind} instead of {}", R::KIND)),
        [_, version, fields @ ..] => Ok((*version, fields)),
        _ => Err("shorter than its two leading bytes".to_owned()),
    }
}

fn unknown(version: u8) -> String {
    format!("version {version} is not known")
}

/// Writes a type's fields one after the other, in the order given, and reads them back.
macro_rules! layout {
    ($name:ident $(<$life:lifetime>)? { $($field:tt),* }) => {
        impl $(<$life>)? Encode for $name $(<$life>)? {
            fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                $(self.$field.encode(to)?;)*
                Ok(())
            }
        }
        layout!(@decode $name $(<$life>)? { $($field),* });
    };
    (@decode $name:ident <$life:lifetime> { $($field:tt),* }) => {
        impl<$life, C> BorrowDecode<$life, C> for $name<$life> {
            fn borrow_decode<D: BorrowDecoder<$life, Context = C>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
    (@decode $name:ident { $($field:tt),* }) => {
        impl<'de, C> BorrowDecode<'de, C> for $name {
            fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
                from: &mut D,
            ) -> Result<Self, DecodeError> {
                Ok(Self { $($field: BorrowDecode::borrow_decode(from)?),* })
            }
        }
    };
}

layout!(ReviewHead {
    helpfulness,
    date_ms,
    reported
});
// The first three fields are those of ReviewHead.
layout!(Review<'a> {
    helpfulness, date_ms, reported, rating, recommend, summary, body, reviewer_name,
    reviewer_email, response, photos, ratings
});
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
layout!(Retried {
    review,
    body,
    made_ms,
    client
});
layout!(@decode RetriedOne { review, body, made_ms });
layout!(Counters {
    next_review_id,
    next_photo_id,
    reviews,
    reviews_visible,
    summaries,
    products,
    styled,
    related,
    retries
});

macro_rules! records {
    ($($name:ty => $kind:ident),* $(,)?) => {$(
        impl<'a> Record<'a> for $name {
            const KIND: u8 = Kind::$kind as u8;
        }
    )*};
}
records! {
    Review<'a> => Review,
    Summary<'a> => Summary,
    Product<'a> => Product,
    Styles<'a> => Styles,
    Related => Related,
    Identity => Identity,
    Counters => Counters,
    Predecessors => Predecessors,
}

impl<'de> Record<'de> for Retried {
    const KIND: u8 = Kind::Retried as u8;
    const VERSION: u8 = 2;

    fn decode_earlier(version: u8, fields: &'de [u8]) -> Option<Decoded<Self>> {
        if version != 1 {
            return None;
        }
        let decoded: Decoded<RetriedOne> = bincode::borrow_decode_from_slice(fields, BINCODE);
        Some(decoded.map(|(one, bytes)| (one.into(), bytes)))
    }
}

impl From<RetriedOne> for Retried {
    fn from(one: RetriedOne) -> Self {
        let RetriedOne {
            review,
            body,
            made_ms,
        } = one;
        Self {
            review,
            body,
            made_ms,
            client: None,
        }
    }
}

#[cfg(test)]
mod tests;
