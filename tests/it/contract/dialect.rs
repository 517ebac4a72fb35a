//! The greenfield dialect: the same routes, other types.

use super::{Server, settings};
use reviewsd::api::{Dialect, Settings};

fn greenfield() -> Server {
    Server::with(&Settings {
        dialect: Dialect::Greenfield,
        ..settings()
    })
}

#[test]
fn greenfield_reviews_have_numbers_for_booleans_and_a_day() {
    let server = greenfield();
    assert_eq!(
        server.body("/reviews/4"),
        r#"{"review_id":4,"rating":4,"summary":"As it should be","recommend":1,"response":"","body":"Worn for a month and washed twice; it kept its shape and its colour.","date":"2020-07-01T00:00:00.000Z","reviewer_name":"walker","helpfulness":1,"photos":[]}"#
    );
    let seven = server.get("/reviews/7").json();
    assert_eq!(seven["recommend"], 0);
    let three = server.get("/reviews/3").json();
    assert_eq!(three["response"], "Thank you, \"Mx. Walker\"!");
}

#[test]
fn a_summary_has_numbers_and_four_decimals() {
    let server = greenfield();
    assert_eq!(
        server.body("/reviews/2/meta"),
        r#"{"product_id":"2","ratings":{"2":1,"3":1,"4":2,"5":1},"recommended":{"0":2,"1":3},"characteristics":{"Quality":{"id":5,"value":"4.2000"}}}"#
    );
    let four = server.get("/reviews/4/meta").json();
    assert_eq!(four["characteristics"]["Fit"]["value"], "3.6667");
    let three = server.get("/reviews/3/meta").json();
    assert!(three["characteristics"]["Fit"]["value"].is_null());
}

#[test]
fn styles_have_a_price_of_zero_and_sizes_for_skus() {
    assert_eq!(
        greenfield().body("/products/1/styles"),
        concat!(
            r#"{"product_id":"1","results":[{"style_id":1,"name":"Green & Black","original_price":"140","sale_price":"0","default?":1,"#,
            r#""photos":[{"thumbnail_url":"https://img.example/s/2-t.jpg","url":"https://img.example/s/2.jpg"},{"thumbnail_url":"https://img.example/s/1-t.jpg","url":"https://img.example/s/1.jpg"}],"#,
            r#""skus":{"XS":8,"S":16,"7.5":15}},"#,
            r#"{"style_id":3,"name":"Blue","original_price":"140","sale_price":"100","default?":0,"#,
            r#""photos":[{"thumbnail_url":null,"url":null}],"skus":{"null":null}}]}"#
        )
    );
}

#[test]
fn lists_and_products_are_as_ever() {
    let (greenfield, atelier) = (greenfield(), Server::new());
    for uri in ["/products", "/products/1", "/products/5/related"] {
        assert_eq!(greenfield.body(uri), atelier.body(uri), "{uri}");
    }
    let uri = "/reviews/2/list?sort=newest&count=3";
    assert_eq!(greenfield.review_ids(uri), atelier.review_ids(uri));
}
