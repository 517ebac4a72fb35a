//! Requests of front ends to other services at the same address, and further members of the hosted service.

use reviewsd::api::{CatalogueSettings, Dialect, Settings};
use serde_json::Value;

use super::{Server, settings};

fn hosted() -> Server {
    Server::with(&Settings {
        catalogue: CatalogueSettings {
            hosted_fields: true,
            price_decimals: true,
        },
        ..settings()
    })
}

fn names(object: &Value) -> Vec<&str> {
    let members = object.as_object().unwrap();
    members.keys().map(String::as_str).collect()
}

/// The time the shop's store was made, as the products report it.
fn made(product: &Value) -> String {
    let made = product["created_at"].as_str().unwrap();
    assert_eq!(product["updated_at"], made);
    assert!(made.len() == 24 && made.ends_with('Z'), "{made}");
    made.to_owned()
}

#[test]
fn products_have_the_hosted_members_where_they_are_asked_for() {
    let server = hosted();
    let body = server.body("/products/1");
    let made = made(&server.get("/products/1").json());
    let expected = format!(
        r#"{{"id":1,"campus":"hr-rfp","name":"Rain Jacket","slogan":"Made to be \"used\"","description":"What it is, in a sentence; and\nin another.","category":"Jackets","default_price":"140.00","created_at":"{made}","updated_at":"{made}","features":[{{"feature":"Fabric","value":"Canvas"}},{{"feature":"Buttons","value":"Brass"}}]}}"#
    );
    assert_eq!(body, expected);
    let list = server.get("/products?count=2").json();
    for product in list.as_array().unwrap() {
        assert_eq!(
            names(product).len(),
            9,
            "a product of a list has no features"
        );
        assert_eq!(product["created_at"], made);
        assert_eq!(product["campus"], "hr-rfp");
    }
    let plain = Server::new().get("/products/1").json();
    assert_eq!(plain.get("campus"), None);
    assert_eq!(plain["default_price"], "140");
}

#[test]
fn the_campus_is_that_of_the_path_also_when_the_answer_is_kept() {
    let server = hosted();
    for _ in 0..2 {
        for (base, campus) in [
            ("/api/fec2/hr-lax", "hr-lax"),
            ("/api/fec2/hr-sfo", "hr-sfo"),
            ("/api", "hr-rfp"),
            ("", "hr-rfp"),
            ("/api/fec2/%22", "hr-rfp"),
        ] {
            let one = server.get(&format!("{base}/products/1")).json();
            assert_eq!(one["campus"], campus, "{base}");
            let list = server.get(&format!("{base}/products")).json();
            assert_eq!(list[4]["campus"], campus, "{base}");
        }
    }
}

#[test]
fn prices_have_two_decimals_where_it_is_asked_for() {
    let server = hosted();
    let styles = server.get("/products/1/styles").json();
    let prices = |style: usize| {
        let style = &styles["results"][style];
        (style["original_price"].clone(), style["sale_price"].clone())
    };
    assert_eq!(prices(0), ("140.00".into(), Value::Null));
    assert_eq!(prices(1), ("140.00".into(), "100.00".into()));
    let greenfield = Server::with(&Settings {
        dialect: Dialect::Greenfield,
        catalogue: CatalogueSettings {
            hosted_fields: false,
            price_decimals: true,
        },
        ..settings()
    });
    let styles = greenfield.get("/products/1/styles").json();
    assert_eq!(styles["results"][0]["sale_price"], "0");
    assert_eq!(styles["results"][1]["sale_price"], "100.00");
}

#[test]
fn services_beside_are_empty_where_it_is_asked_for() {
    let server = Server::with(&Settings {
        empty_neighbours: true,
        ..settings()
    });
    for base in ["", "/api/fec2/hr-rfp"] {
        assert_eq!(
            server.body(&format!("{base}/qa/questions?product_id=1&count=100")),
            r#"{"product_id":"1","results":[]}"#
        );
        assert_eq!(server.body(&format!("{base}/cart")), "[]");
        let clicked = server.send("POST", &format!("{base}/interactions"), &[]);
        assert_eq!((clicked.status, clicked.body.as_str()), (201, "Created"));
    }
    let answer = server.get("/qa/questions");
    assert_eq!(answer.status, 422);
    // A write of a customer is not answered as if it were stored.
    for uri in ["/qa/questions", "/cart"] {
        let answer = server.send("POST", uri, &[]);
        assert_eq!(answer.status, 405, "{uri}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    assert_eq!(server.get("/interactions").status, 405);
    assert_eq!(server.get("/qa/questions/1/answers").status, 404);
}

#[test]
fn services_beside_are_not_served_by_default() {
    let server = Server::new();
    for (method, uri) in [
        ("GET", "/qa/questions?product_id=1"),
        ("GET", "/cart"),
        ("POST", "/interactions"),
    ] {
        assert_eq!(server.send(method, uri, &[]).status, 404, "{method} {uri}");
    }
}
