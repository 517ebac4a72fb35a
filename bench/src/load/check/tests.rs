//! Right bodies are taken, and each thing that can be wrong is found.

use super::*;
use crate::load::workload::Numbers;

const REVIEW: &str = r#"{"review_id":5,"rating":3,"summary":"s","recommend":true,"response":null,"body":"b","date":"2021-03-17T13:28:37.620Z","reviewer_name":"n","helpfulness":5,"photos":[{"id":1,"url":"https://x"}]}"#;
const META: &str = r#"{"product_id":"2","ratings":{"2":"1","5":"4"},"recommended":{"false":"2","true":"3"},"characteristics":{"Quality":{"id":5,"value":"4.2000000000000000"},"Fit":{"id":6,"value":null}}}"#;
const STYLES: &str = r#"{"product_id":"2","results":[{"style_id":1,"name":"n","original_price":"140","sale_price":null,"default?":true,"photos":[{"thumbnail_url":"https://x","url":"https://y"}],"skus":{"1":{"quantity":8,"size":"XS"}}},{"style_id":2,"name":"n","original_price":"140","sale_price":"100","default?":false,"photos":[{"thumbnail_url":null,"url":null}],"skus":{"null":{"quantity":null,"size":null}}}]}"#;
const PRODUCT: &str = r#"{"id":2,"name":"n","slogan":"s","description":"d","category":"c","default_price":"140","features":[{"feature":"Fabric","value":"Canvas"},{"feature":"Cut","value":null}]}"#;

const ASKED: Asked = Asked {
    number: 0,
    part: 0,
    id: 2,
    page: 1,
    count: 5,
};

fn list_of(reviews: &[String]) -> String {
    format!(
        r#"{{"product":"2","page":0,"count":5,"results":[{}]}}"#,
        reviews.join(",")
    )
}

fn review(id: u64, date: &str, helpfulness: u64) -> String {
    REVIEW
        .replace("\"review_id\":5", &format!("\"review_id\":{id}"))
        .replace("2021-03-17", date)
        .replace(
            "\"helpfulness\":5",
            &format!("\"helpfulness\":{helpfulness}"),
        )
}

fn listed(sort: Option<Sort>) -> What {
    What::List {
        sort,
        page: Numbers::Default,
        count: Numbers::Default,
    }
}

fn judged(what: &What, body: &str) -> Result<(), String> {
    check(what, &ASKED, body.as_bytes())
}

#[test]
fn right_bodies_are_taken() {
    let paged = What::Products {
        page: Numbers::Default,
        count: Numbers::Default,
    };
    let listed_product = PRODUCT.split(",\"features\"").next().unwrap();
    for (what, body) in [
        (&listed(None), list_of(&[])),
        (&listed(None), list_of(&[REVIEW.to_owned()])),
        (&What::Meta, META.to_owned()),
        (
            &What::Meta,
            r#"{"product_id":"2","ratings":{},"recommended":{},"characteristics":{}}"#.to_owned(),
        ),
        (&What::Styles, STYLES.to_owned()),
        (
            &What::Styles,
            r#"{"product_id":"2","results":[]}"#.to_owned(),
        ),
        (&What::Product, PRODUCT.to_owned()),
        (&What::Related, "[2,3,8,7,3]".to_owned()),
        (&paged, format!("[{listed_product}}}]")),
        (&What::Helpful, String::new()),
        (&What::Post { learn: 0 }, "Created".to_owned()),
    ] {
        assert_eq!(judged(what, &body), Ok(()), "{body}");
    }
}

#[test]
fn the_order_of_a_list_is_the_one_asked_for() {
    let newest = [
        review(3, "2021-03-17", 1),
        review(9, "2021-03-16", 9),
        review(8, "2021-03-16", 10),
    ];
    let helpful = [
        review(3, "2020-01-01", 9),
        review(9, "2021-01-01", 8),
        review(1, "2020-12-31", 8),
    ];
    for (sort, right, wrong) in [
        (Some(Sort::Newest), &newest, &helpful),
        (Some(Sort::Helpful), &helpful, &newest),
        (Some(Sort::Relevant), &helpful, &newest),
        (None, &helpful, &newest),
    ] {
        assert_eq!(judged(&listed(sort), &list_of(right)), Ok(()));
        let error = judged(&listed(sort), &list_of(wrong)).unwrap_err();
        assert!(error.contains("which is not the order of"), "{error}");
    }
    let twice = [REVIEW.to_owned(), REVIEW.to_owned()];
    assert!(judged(&listed(None), &list_of(&twice)).is_err());
}

#[test]
fn every_fault_of_a_list_is_found() {
    let right = list_of(&[REVIEW.to_owned()]);
    for (from, to, expected) in [
        (
            "\"product\":\"2\"",
            "\"product\":\"3\"",
            "product is 3 where 2",
        ),
        ("\"product\":\"2\"", "\"product\":2", "invalid type"),
        ("\"page\":0", "\"page\":1", "page is 1 where 0"),
        ("\"count\":5", "\"count\":6", "count is 6 where 5"),
        ("\"rating\":3", "\"rating\":6", "has the rating 6"),
        ("\"rating\":3", "\"rating\":\"3\"", "invalid type"),
        ("\"recommend\":true", "\"recommend\":1", "invalid type"),
        ("\"response\":null,", "", "missing field `response`"),
        (
            "\"response\":null",
            "\"response\":\"null\"",
            "the word null",
        ),
        ("\"body\":\"b\"", "\"body\":null", "invalid type"),
        ("2021-03-17T13:28:37.620Z", "2021-03-17", "has the date"),
        (
            "\"photos\":[",
            "\"email\":\"x\",\"photos\":[",
            "unknown field `email`",
        ),
        (
            "[{\"id\":1,\"url\":\"https://x\"}]",
            "[{\"id\":2,\"url\":\"a\"},{\"id\":1,\"url\":\"b\"}]",
            "do not ascend",
        ),
        ("]}", "]", "expected `,` or `}`"),
    ] {
        let body = right.replace(from, to);
        assert_ne!(body, right, "{from} is not there");
        let error = judged(&listed(None), &body).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let six: Vec<String> = (0..6).map(|id| review(9 - id, "2021-03-17", 1)).collect();
    let error = judged(&listed(None), &list_of(&six)).unwrap_err();
    assert!(error.contains("6 results where 5"), "{error}");
}

#[test]
fn every_fault_of_meta_is_found() {
    for (from, to, expected) in [
        (
            "\"2\",\"ratings\"",
            "\"20\",\"ratings\"",
            "product_id is 20",
        ),
        ("\"5\":\"4\"", "\"6\":\"4\"", "has 6: 4"),
        ("\"5\":\"4\"", "\"5\":4", "invalid type"),
        (
            "\"5\":\"4\"",
            "\"5\":\"3\"",
            "the sum of recommended is 5 where 4",
        ),
        ("\"false\":\"2\"", "\"no\":\"2\"", "has no: 2"),
        ("\"5\":\"4\"", "\"5\":\"4\",\"1\":\"0\"", "has 1: 0"),
        ("4.2000000000000000", "4.2", "Quality of product 2 is 4.2"),
        (
            "4.2000000000000000",
            "5.2000000000000000",
            "Quality of product 2 is 5.2",
        ),
        (",\"value\":null", "", "missing field `value`"),
    ] {
        let body = META.replace(from, to);
        assert_ne!(body, META, "{from} is not there");
        let error = judged(&What::Meta, &body).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn every_fault_of_the_catalogue_is_found() {
    let paged = What::Products {
        page: Numbers::Default,
        count: Numbers::Default,
    };
    let product = PRODUCT.split(",\"features\"").next().unwrap().to_owned() + "}";
    let twice = format!("[{product},{product}]");
    let six = format!("[{}]", vec![product; 6].join(","));
    for (what, body, expected) in [
        (
            &What::Styles,
            STYLES.replace("\"default?\":true", "\"default?\":1"),
            "invalid type",
        ),
        (
            &What::Styles,
            STYLES.replace("\"sale_price\":null,", ""),
            "missing field `sale_price`",
        ),
        (
            &What::Styles,
            STYLES.replace("{\"1\":{\"quantity\":8,\"size\":\"XS\"}}", "{}"),
            "no photos or skus",
        ),
        (
            &What::Styles,
            STYLES.replace("{\"1\":", "{\"XS\":"),
            "has the sku \"XS\"",
        ),
        (
            &What::Product,
            PRODUCT.replace("\"id\":2", "\"id\":3"),
            "id is 3 where 2",
        ),
        (
            &What::Product,
            PRODUCT.replace("\"140\"", "140"),
            "invalid type",
        ),
        (&What::Related, "[1,0]".to_owned(), "is 0"),
        (&What::Related, "[\"1\"]".to_owned(), "invalid type"),
        (&paged, twice, "do not ascend"),
        (&paged, six, "6 results where 5"),
        (&What::Report, "done".to_owned(), "a body where none"),
    ] {
        let error = judged(what, &body).unwrap_err();
        assert!(error.contains(expected), "{body}: {error}");
    }
}
