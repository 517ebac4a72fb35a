//! Votes and reports.

use super::{good, server};

#[test]
fn helpfulness_goes_up_by_one_each_call_in_every_spelling() {
    let server = server();
    let uris = [
        "/reviews/5/helpful",
        "/reviews/helpful/5",
        "/reviews/5/helpful/",
        "/api/reviews/5/helpful",
        "/api/fec2/hr-rfp/reviews/helpful/5/",
        "/reviews/%35/helpful",
    ];
    for (count, uri) in (6..).zip(uris) {
        let answer = server.put(uri);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{uri}");
        assert_eq!(answer.header("content-type"), None);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            server.get("/reviews/5").json()["helpfulness"],
            count,
            "{uri}"
        );
    }
}

#[test]
fn a_vote_moves_a_review_in_a_list_that_was_read_before() {
    let server = server();
    let list = "/reviews?product_id=4&sort=helpful";
    assert_eq!(server.review_ids(list), [9, 8, 10]);
    assert_eq!(server.put("/reviews/8/helpful").status, 204);
    assert_eq!(server.review_ids(list), [8, 9, 10]);
}

#[test]
fn a_report_hides_a_review_everywhere_but_in_meta() {
    let server = server();
    let meta = server.body("/reviews/2/meta");
    for uri in [
        "/reviews/5/report",
        "/reviews/report/5",
        "/api/reviews/5/report/",
    ] {
        for list in ["/reviews?product_id=2", "/reviews/2/list?sort=newest"] {
            let _read_before = server.review_ids(list);
            let answer = server.put(uri);
            assert_eq!((answer.status, answer.body.as_str()), (204, ""));
            assert!(!server.review_ids(list).contains(&5), "{uri} {list}");
        }
    }
    assert_eq!(server.get("/reviews/5").status, 404);
    assert_eq!(server.body("/reviews/2/meta"), meta);
}

#[test]
fn a_review_that_was_just_added_can_be_voted_for_and_reported() {
    let server = server();
    let answer = server.post(&good());
    let uri = answer.header("location").unwrap();
    assert_eq!(server.put(&format!("{uri}/helpful")).status, 204);
    assert_eq!(server.get(uri).json()["helpfulness"], 1);
    assert_eq!(server.put(&format!("{uri}/report")).status, 204);
    assert_eq!(server.get(uri).status, 404);
    assert_eq!(server.put(&format!("{uri}/helpful")).status, 204);
}

#[test]
fn a_review_that_is_not_there_is_not_found() {
    let server = server();
    for uri in ["/reviews/999/helpful", "/reviews/report/999"] {
        let answer = server.put(uri);
        let sentence = "Error: there is no review 999";
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (404, sentence),
            "{uri}"
        );
    }
}

#[test]
fn an_id_that_is_no_number_is_refused() {
    let server = server();
    for id in ["five", "0", "-1", "5.5", "null", "18446744073709551616"] {
        for uri in [
            format!("/reviews/{id}/helpful"),
            format!("/reviews/report/{id}"),
        ] {
            let answer = server.put(&uri);
            let sentence = "Error: invalid review_id provided";
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (422, sentence),
                "{uri}"
            );
        }
    }
}
