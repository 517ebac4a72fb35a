//! `GET /reviews/meta`.

use super::Server;

#[test]
fn a_summary_is_these_bytes() {
    let server = Server::new();
    let two = r#"{"product_id":"2","ratings":{"2":"1","3":"1","4":"2","5":"1"},"recommended":{"false":"2","true":"3"},"characteristics":{"Quality":{"id":5,"value":"4.2000000000000000"}}}"#;
    for uri in [
        "/reviews/meta?product_id=2",
        "/reviews/meta/?product_id=2",
        "/reviews/2/meta",
        "/api/fec2/x/reviews/2/meta/",
    ] {
        assert_eq!(server.body(uri), two, "{uri}");
    }
}

#[test]
fn means_have_sixteen_exact_decimals_in_characteristic_order() {
    let server = Server::new();
    assert_eq!(
        server.body("/reviews/meta?product_id=1"),
        r#"{"product_id":"1","ratings":{"4":"1","5":"1"},"recommended":{"false":"1","true":"1"},"characteristics":{"Fit":{"id":1,"value":"4.0000000000000000"},"Length":{"id":2,"value":"3.5000000000000000"},"Comfort":{"id":3,"value":"5.0000000000000000"},"Quality":{"id":4,"value":"4.0000000000000000"}}}"#
    );
    assert_eq!(
        server.body("/reviews/meta?product_id=4"),
        r#"{"product_id":"4","ratings":{"2":"1","4":"1","5":"1"},"recommended":{"false":"1","true":"2"},"characteristics":{"Fit":{"id":10,"value":"3.6666666666666667"},"Length":{"id":11,"value":"3.6666666666666667"},"Comfort":{"id":12,"value":"3.6666666666666667"},"Quality":{"id":13,"value":"3.6666666666666667"}}}"#
    );
}

#[test]
fn characteristics_that_nobody_rated_are_null() {
    assert_eq!(
        Server::new().body("/reviews/meta?product_id=3"),
        r#"{"product_id":"3","ratings":{},"recommended":{},"characteristics":{"Fit":{"id":6,"value":null},"Length":{"id":7,"value":null},"Comfort":{"id":8,"value":null},"Quality":{"id":9,"value":null}}}"#
    );
}

#[test]
fn reported_reviews_count() {
    assert_eq!(
        Server::new().body("/reviews/meta?product_id=7"),
        r#"{"product_id":"7","ratings":{"1":"1","5":"1"},"recommended":{"false":"1","true":"1"},"characteristics":{}}"#
    );
}

#[test]
fn an_unknown_product_has_an_empty_summary() {
    assert_eq!(
        Server::new().body("/reviews/meta?product_id=12345"),
        r#"{"product_id":"12345","ratings":{},"recommended":{},"characteristics":{}}"#
    );
}
