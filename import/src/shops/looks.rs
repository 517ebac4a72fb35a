//! The names that columns of other programs have, and the values by which a column is recognised.
//!
//! Owns the tables alone: a file is judged by them in [`super::inspect`].

/// The kind of values that a field has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueLook {
    Any,
    Stars,
    Date,
    Boolean,
    Number,
    Price,
    Email,
    Links,
}

/// The names that a field's column may have, and the look of its values.
pub(super) struct FieldLook {
    pub(super) field: &'static str,
    pub(super) names: &'static [&'static str],
    pub(super) look: ValueLook,
    /// True if values alone are enough to know it.
    pub(super) by_values: bool,
}

const fn look(
    field: &'static str,
    look: ValueLook,
    by_values: bool,
    names: &'static [&'static str],
) -> FieldLook {
    FieldLook {
        field,
        names,
        look,
        by_values,
    }
}

/// The fields of reviews.
pub(super) const REVIEW_LOOKS: [FieldLook; 14] = [
    look(
        "rating",
        ValueLook::Stars,
        true,
        &[
            "rating",
            "stars",
            "score",
            "reviewscore",
            "reviewrating",
            "starrating",
            "note",
            "bewertung",
            "sterne",
        ],
    ),
    look(
        "date",
        ValueLook::Date,
        true,
        &[
            "date",
            "reviewdate",
            "createdat",
            "datecreated",
            "created",
            "timestamp",
            "submittedat",
            "time",
            "datum",
        ],
    ),
    look(
        "reviewer_email",
        ValueLook::Email,
        true,
        &[
            "email",
            "revieweremail",
            "authoremail",
            "customeremail",
            "mail",
        ],
    ),
    look(
        "photos",
        ValueLook::Links,
        true,
        &[
            "photos",
            "photo",
            "pictures",
            "pictureurls",
            "images",
            "imageurls",
            "photourl",
            "imagelinks",
            "media",
        ],
    ),
    look("id", ValueLook::Number, false, &["id", "reviewid"]),
    look(
        "product_id",
        ValueLook::Number,
        false,
        &["productid", "itemid"],
    ),
    look(
        "product",
        ValueLook::Any,
        false,
        &[
            "producthandle",
            "handle",
            "sku",
            "productsku",
            "productslug",
            "slug",
            "product",
            "productcode",
            "itemsku",
        ],
    ),
    look(
        "summary",
        ValueLook::Any,
        false,
        &[
            "title",
            "summary",
            "headline",
            "subject",
            "reviewtitle",
            "titel",
        ],
    ),
    look(
        "body",
        ValueLook::Any,
        false,
        &[
            "body",
            "content",
            "text",
            "review",
            "comment",
            "reviewbody",
            "reviewcontent",
            "reviewtext",
            "message",
            "description",
        ],
    ),
    look(
        "reviewer_name",
        ValueLook::Any,
        false,
        &[
            "name",
            "reviewername",
            "author",
            "nickname",
            "displayname",
            "reviewer",
            "customer",
            "customername",
            "autor",
        ],
    ),
    look(
        "response",
        ValueLook::Any,
        false,
        &[
            "reply",
            "response",
            "answer",
            "merchantreply",
            "shopreply",
            "antwort",
        ],
    ),
    look(
        "recommend",
        ValueLook::Boolean,
        false,
        &[
            "recommend",
            "recommended",
            "wouldrecommend",
            "isrecommended",
        ],
    ),
    look(
        "reported",
        ValueLook::Boolean,
        false,
        &["reported", "flagged", "isreported"],
    ),
    look(
        "helpfulness",
        ValueLook::Number,
        false,
        &[
            "helpfulness",
            "helpful",
            "helpfulcount",
            "votes",
            "votesup",
            "upvotes",
            "likes",
        ],
    ),
];

/// The fields of products.
pub(super) const PRODUCT_LOOKS: [FieldLook; 13] = [
    look("product_id", ValueLook::Number, false, &["productid", "id"]),
    look(
        "product",
        ValueLook::Any,
        false,
        &[
            "handle",
            "slug",
            "sku",
            "code",
            "productcode",
            "articlenumber",
            "product",
        ],
    ),
    look(
        "name",
        ValueLook::Any,
        false,
        &["name", "title", "productname", "producttitle", "titel"],
    ),
    look(
        "slogan",
        ValueLook::Any,
        false,
        &["slogan", "shortdescription", "subtitle", "tagline"],
    ),
    look(
        "description",
        ValueLook::Any,
        false,
        &[
            "description",
            "bodyhtml",
            "longdescription",
            "details",
            "beschreibung",
        ],
    ),
    look(
        "category",
        ValueLook::Any,
        false,
        &[
            "category",
            "categories",
            "type",
            "producttype",
            "department",
        ],
    ),
    look(
        "price",
        ValueLook::Price,
        false,
        &[
            "price",
            "regularprice",
            "variantprice",
            "listprice",
            "unitprice",
            "preis",
        ],
    ),
    look(
        "sale_price",
        ValueLook::Price,
        false,
        &["saleprice", "specialprice", "discountedprice"],
    ),
    look(
        "compare_at_price",
        ValueLook::Price,
        false,
        &["compareatprice", "variantcompareatprice", "oldprice"],
    ),
    look(
        "quantity",
        ValueLook::Number,
        false,
        &[
            "quantity",
            "stock",
            "inventory",
            "qty",
            "inventoryquantity",
            "variantinventoryqty",
            "bestand",
        ],
    ),
    look(
        "in_stock",
        ValueLook::Boolean,
        false,
        &["instock", "available", "availability"],
    ),
    look(
        "photos",
        ValueLook::Links,
        true,
        &[
            "photos",
            "images",
            "image",
            "imagesrc",
            "imageurl",
            "imageurls",
            "picture",
        ],
    ),
    look(
        "related",
        ValueLook::Any,
        false,
        &["related", "relatedproducts", "upsells", "crosssells"],
    ),
];
