//! The rows: the outcome of a line of each file, and how a row travels to the join.
//!
//! Must not know where lines come from or where rows go. Invariant: packing and unpacking stand
//! side by side, and a row that was let through unpacks to what the file said.

use std::borrow::Cow;

use roaring::RoaringTreemap;

use crate::clean::{self, Reason};
use crate::escape::unescape;
use crate::files::{Columns, File};
use crate::line::{CsvRow, Field};
use crate::pack::{Taker, put, put_nullable, put_text};
use crate::sort::SortKey;
use crate::values::{
    FeatureRow, ProductRow, RatingRow, ReviewRow, SkuRow, StylePhotoRow, StyleRow,
};

impl<'a> ReviewRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        out.push(self.rating);
        put(out, self.date_ms.cast_unsigned());
        out.extend([u8::from(self.recommend), u8::from(self.reported)]);
        put(out, self.helpfulness.into());
        for text in [
            self.summary,
            self.body,
            self.reviewer_name,
            self.reviewer_email,
        ] {
            put_text(out, text);
        }
        put_nullable(out, self.response);
    }

    pub(crate) fn unpack(packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            rating: from.byte(),
            date_ms: from.number().cast_signed(),
            recommend: from.byte() == 1,
            reported: from.byte() == 1,
            helpfulness: u32::try_from(from.number()).unwrap_or(u32::MAX),
            summary: from.text(),
            body: from.text(),
            reviewer_name: from.text(),
            reviewer_email: from.text(),
            response: from.nullable(),
        }
    }
}

impl<'a> ProductRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        for text in [
            self.name,
            self.slogan,
            self.description,
            self.category,
            self.default_price,
        ] {
            put_text(out, text);
        }
    }

    pub(crate) fn unpack(packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            name: from.text(),
            slogan: from.text(),
            description: from.text(),
            category: from.text(),
            default_price: from.text(),
        }
    }
}

impl<'a> FeatureRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        put_text(out, self.feature);
        put_nullable(out, self.value);
    }

    pub(crate) fn unpack(packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            feature: from.text(),
            value: from.nullable(),
        }
    }
}

impl<'a> StyleRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        put_text(out, self.name);
        put_text(out, self.original_price);
        put_nullable(out, self.sale_price);
        out.push(u8::from(self.default));
    }

    pub(crate) fn unpack(packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            name: from.text(),
            original_price: from.text(),
            sale_price: from.nullable(),
            default: from.byte() == 1,
        }
    }
}

impl<'a> StylePhotoRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        put_text(out, self.url);
        put_text(out, self.thumbnail_url);
    }

    pub(crate) fn unpack(packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            url: from.text(),
            thumbnail_url: from.text(),
        }
    }
}

impl<'a> SkuRow<'a> {
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        put_text(out, self.size);
        put(out, self.quantity);
    }

    pub(crate) fn unpack(id: u64, packed: &'a [u8]) -> Self {
        let mut from = Taker(packed);
        Self {
            id,
            size: from.text(),
            quantity: from.number(),
        }
    }
}

impl RatingRow {
    /// The rating, and where in the file it is.
    pub(crate) fn unpack(packed: &[u8]) -> (Self, u64) {
        let mut from = Taker(packed);
        let rating = Self {
            value: from.byte(),
            characteristic_id: from.number(),
        };
        (rating, from.number())
    }
}

/// A text that is a row's only field.
pub(crate) fn unpack_text(packed: &[u8]) -> &str {
    Taker(packed).text()
}

/// A number that is a row's only field.
pub(crate) fn unpack_number(packed: &[u8]) -> u64 {
    Taker(packed).number()
}

/// The ids of the rows that rows of other files refer to; `None` where the file was not there.
#[derive(Debug, Default)]
pub(crate) struct Parents {
    pub(crate) products: Option<RoaringTreemap>,
    pub(crate) reviews: Option<RoaringTreemap>,
    pub(crate) characteristics: Option<RoaringTreemap>,
    pub(crate) styles: Option<RoaringTreemap>,
}

impl Parents {
    /// Keeps the ids of a file, if rows of others refer to them.
    pub(crate) fn set(&mut self, file: File, ids: Option<RoaringTreemap>) {
        match file {
            File::Products => self.products = ids,
            File::Reviews => self.reviews = ids,
            File::Characteristics => self.characteristics = ids,
            File::Styles => self.styles = ids,
            _ => {}
        }
    }

    /// The sets there are.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &RoaringTreemap> {
        let sets = [
            &self.products,
            &self.reviews,
            &self.characteristics,
            &self.styles,
        ];
        sets.into_iter().flatten()
    }
}

/// The reason a row does not go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RowFault {
    /// The row cannot be stored.
    Reject {
        /// The column at fault.
        field: &'static str,
        /// The reason for the rejection.
        reason: Reason,
    },
    /// The row means nothing, and is known to occur.
    Skip(Reason),
}

/// A row that goes on: its sort key, and the id that its children refer to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CleanRow {
    pub(crate) id: u64,
    pub(crate) key: SortKey,
    /// The product that rows naming this one belong to.
    pub(crate) product: Option<u64>,
}

/// One line of a file, by the names of its columns.
pub(crate) struct NamedRow<'a> {
    pub(crate) file: File,
    pub(crate) line: &'a CsvRow<'a>,
    pub(crate) columns: &'a Columns,
    /// The offset of the line in the file: the order of rows that have no other.
    pub(crate) offset: u64,
    /// True if the files are an export: texts are escaped, and a review of a product that is not in
    /// the catalogue was in the store as well.
    pub(crate) exported: bool,
}

impl NamedRow<'_> {
    fn field(&self, index: usize) -> Field<'_> {
        self.line.field(self.columns.position(index))
    }

    fn get<'r, T>(
        &'r self,
        index: usize,
        clean: impl FnOnce(Field<'r>) -> Result<T, Reason>,
    ) -> Result<T, RowFault> {
        clean(self.field(index)).map_err(|reason| self.reject(index, reason))
    }

    fn reject(&self, index: usize, reason: Reason) -> RowFault {
        let field = self.file.columns().get(index).copied().unwrap_or_default();
        RowFault::Reject { field, reason }
    }

    fn child_of(
        &self,
        index: usize,
        parents: Option<&RoaringTreemap>,
        reason: Reason,
    ) -> Result<u64, RowFault> {
        let id = self.get(index, clean::id)?;
        match parents {
            Some(parents) if !parents.contains(id) => Err(self.reject(index, reason)),
            _ => Ok(id),
        }
    }

    fn text(&self, index: usize, out: &mut Vec<u8>) {
        put_text(out, &self.plain(index));
    }

    fn plain(&self, index: usize) -> Cow<'_, str> {
        let text = self.field(index).text();
        if self.exported { unescape(text) } else { text }
    }

    fn nullable(&self, index: usize, out: &mut Vec<u8>) {
        let text = (!self.field(index).is_null()).then(|| self.plain(index));
        put_nullable(out, text.as_deref());
    }

    /// Checks the row and appends its packed fields to `out`, which retains what a rejected row left there.
    pub(crate) fn clean(&self, parents: &Parents, out: &mut Vec<u8>) -> Result<CleanRow, RowFault> {
        let id = self.get(0, clean::id)?;
        let products = parents.products.as_ref().filter(|_| !self.exported);
        let (key, product) = match self.file {
            File::Products => {
                for text in 1..=4 {
                    self.text(text, out);
                }
                put_text(out, self.get(5, clean::price)?);
                ([id, 0, 0], None)
            }
            File::Reviews => {
                let product = self.review(products, out)?;
                ([product, id, 0], Some(product))
            }
            File::Characteristics => {
                let product = self.child_of(1, products, UNKNOWN_PRODUCT)?;
                self.text(2, out);
                ([product, id, 0], None)
            }
            File::ReviewPhotos => {
                let reviews = parents.reviews.as_ref();
                let review = self.child_of(1, reviews, "is not the id of a review")?;
                self.text(2, out);
                ([review, id, 0], None)
            }
            File::Ratings => ([self.rating(parents, out)?, id, 0], None),
            File::Styles => {
                let product = self.style(products, out)?;
                ([product, id, 0], Some(product))
            }
            File::Skus => {
                let style = self.child_of(1, parents.styles.as_ref(), UNKNOWN_STYLE)?;
                self.text(2, out);
                put(out, self.get(3, clean::number)?);
                ([style, id, 0], None)
            }
            File::StylePhotos => {
                let style = self.child_of(1, parents.styles.as_ref(), UNKNOWN_STYLE)?;
                self.text(2, out);
                self.text(3, out);
                ([style, self.offset, 0], None)
            }
            File::Features => {
                let product = self.child_of(1, parents.products.as_ref(), UNKNOWN_PRODUCT)?;
                self.text(2, out);
                self.nullable(3, out);
                ([product, id, 0], None)
            }
            File::Related => {
                let product = self.child_of(1, products, UNKNOWN_PRODUCT)?;
                let related = self.get(2, clean::number)?;
                if related == 0 {
                    return Err(RowFault::Skip("related_product_id is 0"));
                }
                put(out, related);
                ([product, self.offset, 0], None)
            }
        };
        Ok(CleanRow { id, key, product })
    }

    fn review(
        &self,
        products: Option<&RoaringTreemap>,
        out: &mut Vec<u8>,
    ) -> Result<u64, RowFault> {
        let product = self.child_of(1, products, UNKNOWN_PRODUCT)?;
        out.push(self.get(2, clean::stars)?);
        put(out, self.get(3, clean::date_ms)?.cast_unsigned());
        out.push(u8::from(self.get(6, clean::boolean)?));
        out.push(u8::from(self.get(7, clean::boolean)?));
        put(out, self.get(11, clean::small_number)?.into());
        for text in [4, 5, 8, 9] {
            self.text(text, out);
        }
        self.nullable(10, out);
        Ok(product)
    }

    fn rating(&self, parents: &Parents, out: &mut Vec<u8>) -> Result<u64, RowFault> {
        let characteristics = parents.characteristics.as_ref();
        let characteristic =
            self.child_of(1, characteristics, "is not the id of a characteristic")?;
        let review = self.child_of(2, parents.reviews.as_ref(), "is not the id of a review")?;
        out.push(self.get(3, clean::stars)?);
        put(out, characteristic);
        put(out, self.offset);
        Ok(review)
    }

    fn style(&self, products: Option<&RoaringTreemap>, out: &mut Vec<u8>) -> Result<u64, RowFault> {
        let product = self.child_of(1, products, UNKNOWN_PRODUCT)?;
        self.text(2, out);
        put_text(out, self.get(4, clean::price)?);
        if self.field(3).is_null() {
            put_nullable(out, None);
        } else {
            put_nullable(out, Some(self.get(3, clean::price)?));
        }
        out.push(u8::from(self.get(5, clean::boolean)?));
        Ok(product)
    }
}

const UNKNOWN_PRODUCT: Reason = "is not the id of a product";
const UNKNOWN_STYLE: Reason = "is not the id of a style";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::split;
    use std::path::Path;

    fn clean(file: File, text: &str, parents: &Parents) -> (Result<CleanRow, RowFault>, Vec<u8>) {
        let header = file.columns().join(",");
        let (columns, _) =
            Columns::of(file, Path::new(file.name()), &split(&header).unwrap()).unwrap();
        let line = split(text).unwrap();
        let row = NamedRow {
            file,
            line: &line,
            columns: &columns,
            offset: 40,
            exported: false,
        };
        let mut out = Vec::new();
        (row.clean(parents, &mut out), out)
    }

    #[test]
    fn a_review_unpacks_to_what_its_line_said() {
        let text = r#"9,4,5,1615987717620,"So ""warm""","Wore it, twice.",true,0,"pine","p@example.org",null,12"#;
        let (row, packed) = clean(File::Reviews, text, &Parents::default());
        assert_eq!(
            row,
            Ok(CleanRow {
                id: 9,
                key: [4, 9, 0],
                product: Some(4)
            })
        );
        let review = ReviewRow {
            rating: 5,
            date_ms: 1_615_987_717_620,
            recommend: true,
            reported: false,
            helpfulness: 12,
            summary: "So \"warm\"",
            body: "Wore it, twice.",
            reviewer_name: "pine",
            reviewer_email: "p@example.org",
            response: None,
        };
        assert_eq!(ReviewRow::unpack(&packed), review);
        let mut again = Vec::new();
        review.pack(&mut again);
        assert_eq!(again, packed);
    }

    #[test]
    fn rows_are_packed_as_lines_are() {
        let parents = Parents::default();
        let line = |file, text| clean(file, text, &parents).1;
        let mut out = Vec::new();
        let product = line(File::Products, r#"1,"n","s","d","c",140"#);
        ProductRow::unpack(&product).pack(&mut out);
        let feature = line(File::Features, r#"1,2,"UV",null"#);
        FeatureRow::unpack(&feature).pack(&mut out);
        let style = line(File::Styles, r#"1,1,"a",35,40,1"#);
        StyleRow::unpack(&style).pack(&mut out);
        let photo = line(File::StylePhotos, r#"1,1,"u","t""#);
        StylePhotoRow::unpack(&photo).pack(&mut out);
        let sku = line(File::Skus, r#"1,1,"XS",8"#);
        SkuRow::unpack(1, &sku).pack(&mut out);
        assert_eq!(out, [product, feature, style, photo, sku].concat());
    }

    #[test]
    fn a_quoted_null_is_a_word_and_a_bare_one_is_nothing() {
        let (_, packed) = clean(File::Features, r#"1,2,"UV","null""#, &Parents::default());
        assert_eq!(
            FeatureRow::unpack(&packed),
            FeatureRow {
                feature: "UV",
                value: Some("null")
            }
        );
        let (_, packed) = clean(File::Features, r#"1,2,"UV",null"#, &Parents::default());
        assert_eq!(FeatureRow::unpack(&packed).value, None);
    }

    #[test]
    fn a_relation_to_nothing_is_skipped() {
        let (row, _) = clean(File::Related, "1,2,0", &Parents::default());
        assert_eq!(row, Err(RowFault::Skip("related_product_id is 0")));
    }

    #[test]
    fn a_child_without_its_parent_is_rejected_if_parents_are_known() {
        let known = Parents {
            styles: Some([7].into_iter().collect()),
            ..Parents::default()
        };
        assert!(clean(File::Skus, r#"1,7,"XS",8"#, &known).0.is_ok());
        let (row, _) = clean(File::Skus, r#"1,8,"XS",8"#, &known);
        assert_eq!(
            row,
            Err(RowFault::Reject {
                field: "styleId",
                reason: UNKNOWN_STYLE
            })
        );
    }

    #[test]
    fn every_column_of_the_wrong_type_is_named() {
        let wrong = [
            (File::Reviews, "0,1,5,0,a,b,true,false,n,e,null,0", "id"),
            (
                File::Reviews,
                "1,x,5,0,a,b,true,false,n,e,null,0",
                "product_id",
            ),
            (File::Reviews, "1,1,9,0,a,b,true,false,n,e,null,0", "rating"),
            (File::Reviews, "1,1,5,?,a,b,true,false,n,e,null,0", "date"),
            (
                File::Reviews,
                "1,1,5,0,a,b,maybe,false,n,e,null,0",
                "recommend",
            ),
            (File::Reviews, "1,1,5,0,a,b,true,,n,e,null,0", "reported"),
            (
                File::Reviews,
                "1,1,5,0,a,b,true,false,n,e,null,-1",
                "helpfulness",
            ),
            (File::Ratings, "1,1,1,6", "value"),
            (File::Products, "1,a,b,c,d,free", "default_price"),
            (File::Styles, "1,1,a,cheap,40,1", "sale_price"),
            (File::Styles, "1,1,a,null,,1", "original_price"),
            (File::Styles, "1,1,a,null,40,2", "default_style"),
            (File::Skus, "1,1,XS,many", "quantity"),
        ];
        for (file, text, column) in wrong {
            match clean(file, text, &Parents::default()).0 {
                Err(RowFault::Reject { field, .. }) => assert_eq!(field, column, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
