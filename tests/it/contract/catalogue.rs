//! Products, their styles and their related products.

use super::Server;

const JACKET: &str = r#"{"id":1,"name":"Rain Jacket","slogan":"Made to be \"used\"","description":"What it is, in a sentence; and\nin another.","category":"Jackets","default_price":"140""#;

#[test]
fn a_list_of_products_is_a_bare_array() {
    assert_eq!(
        Server::new().body("/products?count=2"),
        format!(
            r#"[{JACKET}}},{{"id":2,"name":"Reading Glasses","slogan":"Made to be \"used\"","description":"What it is, in a sentence; and\nin another.","category":"Accessories","default_price":"69"}}]"#
        )
    );
}

#[test]
fn products_are_paged_in_order_of_their_ids() {
    let server = Server::new();
    let ids = |uri: &str| -> Vec<u64> {
        let list = server.get(uri).json();
        let id = |product: &serde_json::Value| product["id"].as_u64().unwrap();
        list.as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(ids("/products"), [1, 2, 3, 4, 5]);
    assert_eq!(ids("/products/list"), [1, 2, 3, 4, 5]);
    assert_eq!(ids("/products/?page=0"), [1, 2, 3, 4, 5]);
    assert_eq!(ids("/api/products/list/?page=2&count=4"), [5, 6, 7, 8]);
    assert_eq!(ids("/products?page=3&count=4"), [9, 10]);
    assert_eq!(ids("/products?page=1000000"), [] as [u64; 0]);
    assert_eq!(ids("/products?count=5000").len(), 10);
}

#[test]
fn a_product_has_its_features_last_and_their_values_may_be_null() {
    let server = Server::new();
    assert_eq!(
        server.body("/products/1"),
        format!(
            r#"{JACKET},"features":[{{"feature":"Fabric","value":"Canvas"}},{{"feature":"Buttons","value":"Brass"}}]}}"#
        )
    );
    let features = r#","features":[{"feature":"UV Protection","value":null}]}"#;
    assert!(server.body("/products/2").ends_with(features));
    assert!(server.body("/products/3/").ends_with(r#","features":[]}"#));
}

#[test]
fn styles_are_these_bytes() {
    assert_eq!(
        Server::new().body("/products/1/styles"),
        concat!(
            r#"{"product_id":"1","results":[{"style_id":1,"name":"Green & Black","original_price":"140","sale_price":null,"default?":true,"#,
            r#""photos":[{"thumbnail_url":"https://img.example/s/2-t.jpg","url":"https://img.example/s/2.jpg"},{"thumbnail_url":"https://img.example/s/1-t.jpg","url":"https://img.example/s/1.jpg"}],"#,
            r#""skus":{"1":{"quantity":8,"size":"XS"},"2":{"quantity":16,"size":"S"},"7":{"quantity":15,"size":"7.5"},"8":{"quantity":4,"size":"XS"}}},"#,
            r#"{"style_id":3,"name":"Blue","original_price":"140","sale_price":"100","default?":false,"#,
            r#""photos":[{"thumbnail_url":null,"url":null}],"skus":{"null":{"quantity":null,"size":null}}}]}"#
        )
    );
}

#[test]
fn a_product_without_styles_has_no_results() {
    assert_eq!(
        Server::new().body("/products/2/styles"),
        r#"{"product_id":"2","results":[]}"#
    );
}

#[test]
fn related_products_keep_their_order_and_their_duplicates() {
    let server = Server::new();
    assert_eq!(server.body("/products/1/related"), "[2,3,8,7]");
    assert_eq!(server.body("/products/5/related"), "[6,6,8,9,1,3]");
    assert_eq!(server.body("/products/7/related/"), "[7]");
    assert_eq!(server.body("/products/10/related"), "[]");
}

#[test]
fn an_unknown_product_is_not_found() {
    let server = Server::new();
    for uri in [
        "/products/99",
        "/products/99/styles",
        "/products/99/related",
    ] {
        let answer = server.get(uri);
        assert_eq!(answer.status, 404, "{uri}");
        assert_eq!(answer.body, "Error: there is no product 99", "{uri}");
    }
}
