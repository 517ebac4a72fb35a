//! `GET /reviews` and `GET /reviews/{review_id}`.

use std::cmp::Reverse;

use super::{Server, settings};
use crate::support::{HOT_PRODUCT, HOT_REVIEW_FIRST, all_reviews};
use reviewsd::api::{AnswerMemory, Dialect, Settings};
use reviewsd::model::{Review, ReviewId};

const FIVE: &str = r#"{"review_id":5,"rating":3,"summary":"Dark & light \\ \"both\" <b>","recommend":true,"response":null,"body":"Line one\nline two\ttabbed \u0001 Größe 漢字 🦀","date":"2021-03-17T13:28:37.620Z","reviewer_name":"Ana \"Nana\" O'Hara","helpfulness":5,"photos":[{"id":1,"url":"https://img.example/5/1.jpg?w=900&q=80"},{"id":2,"url":"https://img.example/5/2.jpg"},{"id":3,"url":"https://img.example/5/3.jpg"}]}"#;
const THREE: &str = r#"{"review_id":3,"rating":4,"summary":"As it should be","recommend":true,"response":"Thank you, \"Mx. Walker\"!","body":"Worn for a month and washed twice; it kept its shape and its colour.","date":"2020-12-30T10:57:31.021Z","reviewer_name":"walker","helpfulness":5,"photos":[]}"#;

#[test]
fn a_list_is_these_bytes() {
    assert_eq!(
        Server::new().body("/reviews?product_id=2&count=2"),
        format!(r#"{{"product":"2","page":0,"count":2,"results":[{FIVE},{THREE}]}}"#)
    );
}

#[test]
fn a_review_alone_has_the_same_ten_keys() {
    assert_eq!(Server::new().body("/reviews/5"), FIVE);
}

#[test]
fn a_review_that_is_unknown_or_reported_is_not_found() {
    let server = Server::new();
    for uri in ["/reviews/99999", "/reviews/14"] {
        assert_eq!(server.get(uri).status, 404, "{uri}");
    }
    assert_eq!(
        server.get("/reviews/14").body,
        "Error: there is no review 14"
    );
    assert_eq!(
        server.get("/reviews/x").body,
        "Error: invalid review_id provided"
    );
}

#[test]
fn five_reviews_of_the_first_page_unless_said_otherwise() {
    let list = Server::new().get("/reviews?product_id=20").json();
    assert_eq!((&list["page"], &list["count"]), (&0.into(), &5.into()));
    assert_eq!(list["results"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_list_that_is_cut_short_says_so_and_goes_on_where_it_ended() {
    let settings = Settings {
        page_bytes_max: 64 << 10,
        ..settings()
    };
    let (short, whole) = (Server::with(&settings), Server::new());
    let uri = |count, page| format!("/reviews?product_id=20&sort=newest&count={count}&page={page}");
    let answer = short.get(&uri(200, 1));
    let rows: usize = answer.header("x-truncated").unwrap().parse().unwrap();
    let exposed = answer.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("X-Truncated"), "{exposed}");
    assert!(answer.body.len() <= (64 << 10) + 2 && answer.body.len() > 60 << 10);
    let list = answer.json();
    assert_eq!((&list["page"], &list["count"]), (&0.into(), &200.into()));
    let ids = short.review_ids(&uri(200, 1));
    assert_eq!(ids.len(), rows);
    // A client that requests that many gets all, page by page.
    let second = short.get(&uri(rows, 2));
    assert_eq!(second.header("x-truncated"), None);
    let all = whole.review_ids(&uri(2 * rows, 1));
    assert_eq!([ids, short.review_ids(&uri(rows, 2))].concat(), all);
    assert_eq!(whole.get(&uri(200, 1)).header("x-truncated"), None);
    // It is cut short each time, and no client gets a cached one that is cut short.
    assert_eq!(short.get(&uri(200, 1)), answer);
}

#[test]
fn the_count_is_the_requested_one_and_pages_begin_at_zero() {
    let server = Server::new();
    let rest = server.body("/reviews?product_id=2&page=3&count=100");
    assert_eq!(rest, r#"{"product":"2","page":2,"count":100,"results":[]}"#);
    let page_zero = server.body("/reviews?product_id=2&page=0&count=2");
    assert_eq!(
        page_zero,
        server.body("/reviews?product_id=2&page=1&count=2")
    );
    let none = server.body("/reviews?product_id=2&count=0");
    assert_eq!(none, r#"{"product":"2","page":0,"count":0,"results":[]}"#);
    let far = "99999999999999999999";
    let far = server.body(&format!("/reviews?product_id=2&page={far}&count=1"));
    assert!(far.ends_with(r#""count":1,"results":[]}"#), "{far}");
}

#[test]
fn newest_is_by_date() {
    let ids = Server::new().review_ids("/reviews?product_id=2&sort=newest");
    assert_eq!(ids, [5, 7, 3, 4, 6]);
}

#[test]
fn everything_else_is_by_helpfulness_and_then_by_date() {
    let server = Server::new();
    for sort in [
        "",
        "&sort=helpful",
        "&sort=helpfulness",
        "&sort=relevant",
        "&sort=relevance",
        "&sort=%F0%9F%A6%80",
    ] {
        let ids = server.review_ids(&format!("/reviews?product_id=2{sort}"));
        assert_eq!(ids, [5, 3, 4, 7, 6], "{sort}");
    }
}

#[test]
fn reported_reviews_are_in_no_list() {
    assert_eq!(Server::new().review_ids("/reviews?product_id=7"), [13]);
}

#[test]
fn unknown_products_and_those_without_reviews_have_empty_lists() {
    let server = Server::new();
    for product in [3, 12345] {
        assert_eq!(
            server.body(&format!("/reviews?product_id={product}")),
            format!(r#"{{"product":"{product}","page":0,"count":5,"results":[]}}"#)
        );
    }
}

#[test]
fn pages_neither_repeat_nor_drop_a_row() {
    type Key = fn(&(ReviewId, Review<'_>)) -> Reverse<(u32, i64, ReviewId)>;
    let newest: Key = |(id, review)| Reverse((0, review.date_ms, *id));
    let helpful: Key = |(id, review)| Reverse((review.helpfulness, review.date_ms, *id));
    let server = Server::new();
    for (sort, key) in [("newest", newest), ("relevant", helpful)] {
        let mut visible: Vec<_> = all_reviews()
            .into_iter()
            .filter(|(product, _, review)| product.0 == HOT_PRODUCT && review.is_published())
            .map(|(_, id, review)| (id, review))
            .collect();
        visible.sort_by_key(key);
        let expected: Vec<u64> = visible.iter().map(|(id, _)| id.0).collect();
        for count in [97, 5000] {
            let mut found = Vec::new();
            for page in 1.. {
                let uri = format!("/reviews?product_id=20&sort={sort}&count={count}&page={page}");
                let ids = server.review_ids(&uri);
                if ids.is_empty() {
                    break;
                }
                found.extend(ids);
            }
            assert_eq!(found, expected, "{sort} by {count}");
        }
    }
}

#[test]
fn a_review_of_a_large_product_is_found_by_its_id() {
    let server = Server::new();
    let review = server
        .get(&format!("/reviews/{}", HOT_REVIEW_FIRST + 1))
        .json();
    assert_eq!(review["review_id"], HOT_REVIEW_FIRST + 1);
    assert_eq!(
        server.get(&format!("/reviews/{HOT_REVIEW_FIRST}")).status,
        404
    );
}

#[test]
fn a_count_above_the_limit_is_served_and_echoed_as_the_limit() {
    let server = Server::with(&Settings {
        page_rows_max: 3,
        memory: AnswerMemory::within(3 << 19),
        ..settings()
    });
    for count in ["4", "5000", "99999999999999999999"] {
        let list = server
            .get(&format!("/reviews?product_id=2&count={count}"))
            .json();
        assert_eq!(list["count"], 3);
        assert_eq!(list["results"].as_array().map(Vec::len), Some(3));
    }
    let products = server.get("/products?count=100").json();
    assert_eq!(products.as_array().map(Vec::len), Some(3));
}

#[test]
fn old_and_new_spellings_bases_and_slashes_answer_alike() {
    let server = Server::new();
    let list = server.body("/reviews?product_id=2&page=2&count=2&sort=newest");
    for uri in [
        "/reviews/?product_id=2&page=2&count=2&sort=newest",
        "/reviews/2/list?page=2&count=2&sort=newest",
        "/reviews/2/list/?page=2&count=2&sort=newest",
        "/reviews/%32/list?page=2&count=2&sort=newest",
        "/api/reviews?product_id=2&page=2&count=2&sort=newest",
        "/api/fec2/hr-rfp/reviews/?product_id=2&page=2&count=2&sort=newest",
        "/reviews?campus=x&product_id=%32&page=2&page=1&count=2&sort=newest&sort=x",
    ] {
        assert_eq!(server.body(uri), list, "{uri}");
    }
}

#[test]
fn an_id_that_is_no_positive_integer_is_refused() {
    let server = Server::new();
    let no_ids = [
        "hello",
        "null",
        "5.55",
        "-1",
        "0",
        "18446744073709551616",
        "",
    ];
    let mut uris = vec!["/reviews".to_owned(), "/reviews/meta".to_owned()];
    for id in no_ids {
        uris.push(format!("/reviews?product_id={id}"));
        uris.push(format!("/reviews/meta?product_id={id}"));
    }
    for id in no_ids.iter().filter(|id| !id.is_empty()) {
        uris.push(format!("/reviews/{id}/list"));
        uris.push(format!("/reviews/{id}/meta"));
        uris.push(format!("/products/{id}"));
        uris.push(format!("/products/{id}/styles"));
        uris.push(format!("/products/{id}/related"));
    }
    for uri in uris {
        let answer = server.get(&uri);
        assert_eq!(answer.status, 422, "{uri}");
        assert_eq!(answer.body, "Error: invalid product_id provided", "{uri}");
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
}

#[test]
fn an_empty_or_undefined_page_or_count_is_as_if_not_given() {
    for dialect in [Dialect::Atelier, Dialect::Greenfield] {
        let server = Server::with(&Settings {
            dialect,
            ..settings()
        });
        for route in ["/reviews?product_id=2", "/reviews/2/list?", "/products?"] {
            let usual = server.body(route);
            for value in ["", "undefined"] {
                let uri = format!("{route}&page={value}&count={value}");
                assert_eq!(server.body(&uri), usual, "{uri}");
            }
        }
    }
}

#[test]
fn a_page_or_count_that_is_no_whole_number_is_refused() {
    let server = Server::new();
    for route in [
        "/reviews?product_id=2&",
        "/reviews/2/list?",
        "/products?",
        "/products/list?",
    ] {
        for value in ["x", "-1", "1.5", "null", "%2B1"] {
            for parameter in ["page", "count"] {
                let uri = format!("{route}{parameter}={value}");
                let answer = server.get(&uri);
                assert_eq!(answer.status, 422, "{uri}");
                let sentence = format!("Error: invalid {parameter} provided");
                assert_eq!(answer.body, sentence, "{uri}");
            }
        }
    }
}
