//! Writes to a replica that passes them on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use ureq::http::{Request, Response};

use super::node::{Node, Setup, agent};
use super::proxy::Proxy;
use super::{Cluster, NOBODY, catches_up, eventually};

/// A replica that passes writes on to `primary`.
fn forwarding(cluster: &Cluster, primary: SocketAddr, more: &str) -> Setup {
    Setup {
        other: format!("[replica]\nprimary = \"http://{primary}\"\nforward_writes = true\n{more}"),
        ..cluster.replica("one")
    }
}

fn send(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{to}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = agent().run(request.body(body.to_owned()).unwrap()).unwrap();
    let (head, mut body) = answer.into_parts();
    Response::from_parts(head, body.read_to_string().unwrap())
}

fn review(text: &str) -> String {
    json!({
        "product_id": 2, "rating": 4, "summary": "Passed on", "body": text, "recommend": true,
        "name": "pine", "email": "pine@example.org", "photos": [], "characteristics": {"5": 3},
    })
    .to_string()
}

/// All of an answer but its date.
fn told(answer: &Response<String>) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers().iter().filter(|(name, _)| *name != "date");
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status().as_u16(), headers, answer.body().clone())
}

#[test]
fn an_answer_comes_back_as_the_primary_gave_it() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let copy = Node::start(&forwarding(&cluster, primary.api(), ""));
    catches_up(&copy, &primary);
    let json = ("accept", "application/json");
    let own = ("x-request-id", "own-1");
    let shop = ("origin", "https://shop.example");
    let unfit = review("ok").replace("\"rating\":4", "\"rating\":9");
    // A request that changes nothing is answered alike, however often and from either server.
    for (method, path, headers, body) in [
        ("POST", "/reviews", &[][..], "{"),
        ("POST", "/reviews", &[json, own], "{}"),
        ("POST", "/api/fec2/hr-rfe/reviews/", &[json, shop], &unfit),
        (
            "POST",
            "/reviews/7?x=%20y",
            &[("idempotency-key", "")],
            "{}",
        ),
        ("PUT", "/reviews/999999/helpful", &[own], ""),
        ("PUT", "/reviews/x/report", &[json], ""),
    ] {
        let there = send(primary.api(), method, path, headers, body);
        let here = send(copy.api(), method, path, headers, body);
        assert_eq!(told(&here), told(&there), "{method} {path}");
        assert!(there.status().is_client_error(), "{method} {path}");
    }
    let key = [("idempotency-key", "once"), own];
    let here = send(copy.api(), "POST", "/reviews", &key, &review("passed on"));
    assert_eq!(here.status(), 201, "{here:?}");
    assert_eq!(here.headers()["x-request-id"], "own-1");
    // The key came along, so it is the same review.
    let there = send(
        primary.api(),
        "POST",
        "/reviews",
        &key,
        &review("passed on"),
    );
    assert_eq!(told(&here), told(&there));
    for path in ["/reviews/5/helpful", "/reviews/5/report"] {
        let answer = send(copy.api(), "PUT", path, &[], "");
        assert_eq!(
            (answer.status().as_u16(), answer.body().as_str()),
            (204, "")
        );
    }
    catches_up(&copy, &primary);
    assert!(
        copy.get("/reviews?product_id=2&count=1&sort=newest")
            .1
            .contains("passed on")
    );
    let page = copy.ask("/metrics").unwrap().1;
    let line = "reviewsd_forwarded_writes_total{outcome=\"answered\"} 9\n";
    assert!(page.contains(line), "{page}");
}

#[test]
fn the_client_s_address_comes_along() {
    let cluster = Cluster::new();
    let limits = "[net]\ntrusted_proxies = [\"127.0.0.1\"]\n\
                  [writes]\nrate_limit_per_second = 1\nrate_limit_burst = 1\n";
    let primary = cluster.start_primary(&Setup {
        other: limits.to_owned(),
        ..cluster.primary("primary")
    });
    let copy = Node::start(&forwarding(&cluster, primary.api(), ""));
    let vote = |client: &str| {
        let client = [("x-forwarded-for", client)];
        send(copy.api(), "PUT", "/reviews/5/helpful", &client, "")
    };
    assert_eq!(vote("203.0.113.1").status(), 204);
    assert_eq!(vote("203.0.113.2").status(), 204);
    // One a second, and the machine may take longer than that for two.
    let mut votes = (0..50).map(|_| vote("203.0.113.1"));
    let refused = votes.find(|answer| answer.status() == 429);
    assert_eq!(refused.unwrap().headers()["retry-after"], "1");
}

#[test]
fn a_primary_that_is_away_is_told_of_and_found_again() {
    let cluster = Cluster::new();
    let setup = cluster.primary("primary");
    let primary = cluster.start_primary(&setup);
    let way = Proxy::start();
    way.lead_to(Some(primary.api()));
    let copy = Node::start(&forwarding(&cluster, way.address(), ""));
    let post = |text: &str| send(copy.api(), "POST", "/reviews", &[], &review(text));
    assert_eq!(post("before").status(), 201);
    primary.stop();
    let alone = Node::start(&Setup {
        data: cluster.data("two"),
        ..forwarding(&cluster, NOBODY, "")
    });
    // The store is not there yet; the requests here go to the replica that has one.
    assert_eq!(alone.ask("/readyz").unwrap().0, 503);
    let primary = cluster.start_primary(&setup);
    way.lead_to(Some(primary.api()));
    // Idle connections lead nowhere now, and no request is lost by that.
    for text in ["after", "and after that"] {
        let answer = post(text);
        assert_eq!(answer.status(), 201, "{answer:?}");
    }
    catches_up(&alone, &primary);
    let refused = send(alone.api(), "POST", "/reviews", &[], &review("nowhere"));
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(
        refused.body().contains("nothing was changed"),
        "{refused:?}"
    );
    alone.says("was not forwarded: it could not be sent");
}

/// A primary that accepts requests and does not answer; with the number of them so far.
fn mute(hangs_up: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    thread::spawn(move || {
        let mut open = Vec::new();
        for client in listener.incoming().map_while(Result::ok) {
            let mut client = BufReader::new(client);
            let mut length = 0;
            let mut line = String::new();
            while client.read_line(&mut line).unwrap() > 2 {
                if let Some(bytes) = line.strip_prefix("content-length: ") {
                    length = bytes.trim().parse().unwrap();
                }
                line.clear();
            }
            client.read_exact(&mut vec![0; length]).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            if !hangs_up {
                open.push(client);
            }
        }
    });
    (address, taken)
}

#[test]
fn what_may_have_been_done_is_not_sent_again_but_with_a_key() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (hangs_up, taken) = mute(true);
    let copy = Node::start(&forwarding(&cluster, hangs_up, ""));
    catches_up(&copy, &primary);
    let key = [("idempotency-key", "once")];
    for (method, path, headers, times) in [
        ("POST", "/reviews", &[][..], 1),
        ("PUT", "/reviews/5/helpful", &key, 1),
        ("POST", "/reviews", &key, 2),
    ] {
        let before = taken.load(Ordering::SeqCst);
        let answer = send(copy.api(), method, path, headers, &review("unknown"));
        assert_eq!(answer.status(), 502, "{answer:?}");
        assert!(
            answer.body().contains("the outcome is unknown"),
            "{answer:?}"
        );
        assert_eq!(
            taken.load(Ordering::SeqCst) - before,
            times,
            "{method} {path}"
        );
    }
}

#[test]
fn a_primary_that_hangs_is_not_waited_for_without_end() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let (hangs, taken) = mute(false);
    let copy = Node::start(&forwarding(&cluster, hangs, "forward_time_max = \"2s\"\n"));
    catches_up(&copy, &primary);
    let answer = send(copy.api(), "POST", "/reviews", &[], &review("unknown"));
    assert_eq!(answer.status(), 502);
    eventually("it was asked", || taken.load(Ordering::SeqCst) == 1);
    // Reads go on, and bodies keep within their bounds before anything is passed on.
    assert_eq!(copy.get("/reviews?product_id=2").0, 200);
    let large = send(copy.api(), "POST", "/reviews", &[], &"x".repeat(70_000));
    assert_eq!(
        (large.status().as_u16(), taken.load(Ordering::SeqCst)),
        (413, 1)
    );
}

#[test]
fn copies_do_not_pass_a_write_around_in_circles() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let way = Proxy::start();
    let copy = Node::start(&forwarding(&cluster, way.address(), ""));
    catches_up(&copy, &primary);
    // By mistake it is its own primary.
    way.lead_to(Some(copy.api()));
    let answer = send(copy.api(), "POST", "/reviews", &[], &review("around"));
    assert_eq!(answer.status(), 508, "{answer:?}");
    assert!(
        answer.body().contains("replica.primary there must name"),
        "{answer:?}"
    );
    copy.says_times("POST /reviews was rejected", 1);
}

#[test]
fn a_copy_that_passes_nothing_on_names_the_address_for_clients() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let copy = Node::start(&Setup {
        other: "[replica]\nprimary = \"http://reviews.shop.example:80\"\n".to_owned(),
        ..cluster.replica("one")
    });
    catches_up(&copy, &primary);
    let (status, answer) = copy.post("refused");
    assert_eq!(status, 405);
    assert!(
        answer.ends_with("primary at http://reviews.shop.example:80"),
        "{answer}"
    );
}

#[test]
fn requests_on_one_connection_are_passed_on_one_after_the_other() {
    let cluster = Cluster::new();
    let primary = cluster.start_primary(&cluster.primary("primary"));
    let copy = Node::start(&forwarding(&cluster, primary.api(), ""));
    catches_up(&copy, &primary);
    let mut client = BufReader::new(std::net::TcpStream::connect(copy.api()).unwrap());
    let body = review("one after the other");
    let length = body.len();
    let post =
        format!("POST /reviews HTTP/1.1\r\nHost: c\r\nContent-Length: {length}\r\n\r\n{body}");
    let vote = "PUT /reviews/5/helpful HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\n{}";
    // Ahead of the answers.
    write!(
        client.get_mut(),
        "{post}{vote}{post}GET /livez HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    let statuses: Vec<_> = statuses
        .filter_map(|answer| answer.lines().next())
        .collect();
    assert_eq!(
        statuses,
        ["201 Created", "204 No Content", "201 Created", "200 OK"],
        "{answers}"
    );
}
