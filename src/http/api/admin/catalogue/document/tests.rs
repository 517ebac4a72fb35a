//! Documents of products: read, written, patched, and wrong in every way.

use super::*;
use crate::writes::document::parse;
use proptest::prelude::*;

const COAT: &str = r#"{"id":7,"name":"Coat","slogan":"","description":"Warm \"indeed\"","category":"Jackets","default_price":"140.00","features":[{"feature":"Fabric","value":"Canvas"},{"feature":"Vegan","value":null}],"styles":{"9":{"name":"Olive","original_price":"140","sale_price":null,"default?":true,"photos":[{"thumbnail_url":"t","url":"u"}],"skus":{"2":{"quantity":8,"size":"XS"},"10":{"quantity":0,"size":"S"}}},"10":{"name":"Red","original_price":"150","sale_price":"99.50","default?":false,"photos":[],"skus":{}}},"related":[2,3,2]}"#;

fn members(json: &str) -> Members {
    parse(json.as_bytes()).unwrap()
}

fn coat() -> WholeProduct {
    read(members(COAT), None).unwrap().in_order()
}

fn patched(patch: &str) -> ReadDocument {
    let merged = merge(Json::Object(members(COAT)), Json::Object(members(patch)));
    let Json::Object(members) = merged else {
        panic!("a merged object is one");
    };
    read(members, Some(ProductId(7)))
}

/// The faults of a document, as their sentences.
fn faults(json: &str, in_path: Option<u64>) -> Vec<String> {
    let read = read(members(json), in_path.map(ProductId));
    let faults = read.expect_err("it has no faults");
    faults
        .iter()
        .map(|fault| fault.detail().to_owned())
        .collect()
}

#[test]
fn a_document_is_written_as_it_was_read() {
    assert_eq!(String::from_utf8(write(&coat())).unwrap(), COAT);
    let least = read(
        members(r#"{"name":"x","default_price":1}"#),
        Some(ProductId(7)),
    );
    let least = least.unwrap();
    assert_eq!(
        (least.id, least.default_price.as_str()),
        (ProductId(7), "1")
    );
    assert!(least.styles.is_empty() && least.related.is_empty());
}

#[test]
fn every_fault_is_named_by_its_pointer() {
    assert_eq!(
        faults("{}", None),
        [
            "/id is missing",
            "/name is missing",
            "/default_price is missing"
        ]
    );
    assert_eq!(
        faults(r#"{"id":8,"name":"x","default_price":"1"}"#, Some(7)),
        ["/id differs from the one in the path"]
    );
    let wrong = r#"{"id":7,"name":5,"default_price":"free","colour":"red","features":[{"feature":"F"},3],
        "styles":{"x":{},"4":{"name":"n","original_price":"1.","sale_price":4.5,"default?":1,"photos":"u",
        "skus":{"5":{"quantity":-1,"size":"S"},"05":{"size":"M"}}},"04":{"name":"n","original_price":"1"}},
        "related":[0,"2"]}"#;
    assert_eq!(
        faults(wrong, None),
        [
            "/styles/4/skus/05/quantity is missing",
            "/styles/4/skus/5/quantity must be a whole number, zero or more",
            "/styles/4/sale_price must be a text such as \"140.00\"",
            "/styles/4/default? must be true or false",
            "/styles/4/photos must be a list",
            "/styles/x must be named by its id, a positive whole number",
            "/name must be a text",
            "/features/1 must be an object",
            "/related/1 must be the id of a product",
            "/colour is not known here",
            "/default_price must be a price such as 140 or 140.00",
            "/related/0 must be a positive whole number",
            "/styles/4 has another style already",
            "/styles/4/original_price must be a price such as 140 or 140.00",
            "/styles/4/skus/5 has another sku already",
        ]
    );
}

#[test]
fn a_patch_changes_what_it_names() {
    let mut expected = coat();
    expected.name = "Parka".to_owned();
    expected.slogan = "New".to_owned();
    expected.related = vec![ProductId(5)];
    expected.styles[0].sale_price = Some("120".to_owned());
    expected.styles[0].skus[1].quantity = 4;
    expected.styles.remove(1);
    let patch = r#"{"name":"Parka","slogan":"New","related":[5],
        "styles":{"9":{"sale_price":"120","skus":{"10":{"quantity":4}}},"10":null}}"#;
    assert_eq!(patched(patch).unwrap().in_order(), expected);
    assert_eq!(patched("{}").unwrap().in_order(), coat());
    let removed = patched(r#"{"name":null}"#).unwrap_err();
    assert_eq!(removed[0].detail(), "/name is missing");
}

/// The examples of RFC 7396, appendix A.
#[test]
fn a_merge_patch_does_what_its_standard_says() {
    for (value, patch, merged) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        let object = |json| Json::Object(members(json));
        assert_eq!(
            merge(object(value), object(patch)),
            object(merged),
            "{patch}"
        );
    }
}

#[test]
fn a_sku_is_given_a_quantity_or_a_size() {
    let read = |json| read_sku(members(json));
    assert_eq!(
        read(r#"{"quantity":3}"#).unwrap(),
        SkuUpdate {
            quantity: Some(3),
            size: None
        }
    );
    for (wrong, fault) in [
        ("{}", "/quantity is missing, and so is /size"),
        (
            r#"{"quantity":"3"}"#,
            "/quantity must be a whole number, zero or more",
        ),
        (r#"{"size":3}"#, "/size must be a text or null"),
        (r#"{"quantity":3,"price":1}"#, "/price is not known here"),
    ] {
        assert_eq!(read(wrong).unwrap_err()[0].detail(), fault);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z\"\\\\\n]{0,9}"]
}

fn price() -> impl Strategy<Value = String> {
    "[0-9]{1,4}(\\.[0-9]{1,2})?"
}

fn sku(id: u64) -> impl Strategy<Value = WholeSku> {
    (text(), any::<u64>()).prop_map(move |(size, quantity)| WholeSku { id, size, quantity })
}

fn whole_style(id: u64) -> impl Strategy<Value = WholeStyle> {
    let photo = (text(), text()).prop_map(|(url, thumbnail_url)| WholePhoto { url, thumbnail_url });
    let skus = (0..4_u64)
        .map(|sku_of| sku(id * 10 + sku_of + 1))
        .collect::<Vec<_>>();
    (
        (text(), price(), prop::option::of(price()), any::<bool>()),
        prop::collection::vec(photo, 0..3),
        skus,
    )
        .prop_map(
            move |((name, original_price, sale_price, default), photos, skus)| WholeStyle {
                id,
                name,
                original_price,
                sale_price,
                default,
                photos,
                skus,
            },
        )
}

proptest! {
    #[test]
    fn every_product_is_read_back_from_its_document(
        texts in (text(), text(), text(), text(), price()),
        features in prop::collection::vec((text(), prop::option::of(text())), 0..3),
        styles in (1..=3_u64).map(whole_style).collect::<Vec<_>>(),
        related in prop::collection::vec(1..u64::MAX, 0..4),
    ) {
        let (name, slogan, description, category, default_price) = texts;
        let features = features.into_iter();
        let product = WholeProduct {
            id: ProductId(7),
            name,
            slogan,
            description,
            category,
            default_price,
            features: features.map(|(feature, value)| WholeFeature { feature, value }).collect(),
            styles,
            related: related.into_iter().map(ProductId).collect(),
        };
        let written = parse(&write(&product)).unwrap();
        prop_assert_eq!(read(written, None).unwrap().in_order(), product);
    }
}
