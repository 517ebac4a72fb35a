//! Invalid bodies, and any bytes at all.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use proptest::prelude::*;
use serde_json::Value;

use super::{good, server};
use crate::contract::{PEER, Server, settings};
use crate::support::own_shop;

const BYTES_MAX: usize = 64 << 10;

/// A body that comes in pieces, and then ends or never does.
struct Pieces {
    pieces: VecDeque<Bytes>,
    ends: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn pieces(bytes: &[u8], size: usize, ends: bool) -> Pieces {
    let pieces = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    Pieces { pieces, ends }
}

/// A good body that is so long.
fn padded(bytes: usize) -> String {
    let mut body = good().to_string();
    body.push_str(&" ".repeat(bytes - body.len()));
    body
}

#[test]
fn what_is_not_a_json_object_is_a_bad_request() {
    let server = server();
    let product_id = "9".repeat(400);
    for body in [
        String::new(),
        "product_id=2&rating=4".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        r#"{"rating":NaN}"#.to_owned(),
        format!(r#"{{"product_id":{product_id}}}"#),
        r#"{"rating":4,"rating":5}"#.to_owned(),
        r#"{"summary":"\ud800"}"#.to_owned(),
        format!(r#"{{"x":{}{}}}"#, "[".repeat(129), "]".repeat(129)),
        "[".repeat(BYTES_MAX),
    ] {
        let answer = server.post_bytes("/reviews", &[], body.clone());
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(
            answer.body.starts_with("Error: the body "),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains('\n'));
    }
    let answer = server.post_bytes("/reviews", &[], &b"{\"body\":\"\xff\"}"[..]);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(server.reviews_of(2), 5);
}

#[test]
fn a_body_is_at_most_64_kib_however_it_comes() {
    let server = server();
    let just = server.post_bytes("/reviews", &[], padded(BYTES_MAX));
    assert_eq!(just.status, 201, "{}", just.body);
    let just = pieces(padded(BYTES_MAX).as_bytes(), 1000, true);
    assert_eq!(server.ask(PEER, "POST", "/reviews", &[], just).status, 201);
    let whole = server.post_bytes("/reviews", &[], padded(BYTES_MAX + 1));
    // This one never ends: it is refused without a wait for its end.
    let endless = pieces(padded(BYTES_MAX + 1).as_bytes(), 1000, false);
    let endless = server.ask(PEER, "POST", "/reviews", &[], endless);
    for answer in [whole, endless] {
        let sentence = "Error: the body must have at most 65536 bytes";
        assert_eq!((answer.status, answer.body.as_str()), (413, sentence));
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn a_body_that_does_not_come_in_time_is_given_up() {
    let mut settings = settings();
    settings.writes.body_time_max = Duration::from_millis(5);
    let server = Server::of(own_shop(), &settings);
    let body = pieces(b"{\"rating\":", 4, false);
    let answer = server.ask(PEER, "POST", "/reviews", &[], body);
    let sentence = "Error: the body did not arrive in time";
    assert_eq!((answer.status, answer.body.as_str()), (408, sentence));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[test]
fn the_answer_to_a_body_full_of_faults_is_bounded() {
    let server = server();
    let photos: Vec<u8> = vec![0; 30_000];
    let mut body = good();
    body["photos"] = photos.into();
    let answer = server.post(&body);
    assert_eq!(answer.status, 422);
    assert!(answer.body.len() < 10_000, "{}", answer.body.len());
}

/// One server for all the random bodies; their reviews are of no interest.
fn shared() -> &'static Server {
    static SERVER: LazyLock<Server> = LazyLock::new(server);
    &SERVER
}

fn is_answered(body: Vec<u8>) {
    let answer = shared().post_bytes("/reviews/2", &[], body);
    assert!(
        [201, 400, 413, 422].contains(&answer.status),
        "{}: {}",
        answer.status,
        answer.body
    );
    assert!(answer.status == 201 || answer.body.starts_with("Error: "));
}

/// Any JSON, mostly under keys that mean something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..7_u8).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("a@b")),
        Just(Value::from("https://a")),
    ];
    let key = prop_oneof![
        prop::sample::select(
            good()
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        ),
        Just("5".to_owned()),
        any::<String>(),
    ];
    leaf.prop_recursive(4, 32, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..300)) {
        is_answered(body);
    }

    #[test]
    fn any_json_is_answered(body in any_json()) {
        is_answered(body.to_string().into_bytes());
    }

    #[test]
    fn a_good_body_with_any_member_is_answered(
        name in prop::sample::select(good().as_object().unwrap().keys().cloned().collect::<Vec<_>>()),
        value in any_json(),
    ) {
        let mut body = good();
        body[name] = value;
        is_answered(body.to_string().into_bytes());
    }

    #[test]
    fn a_good_body_with_any_damage_is_answered(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = good().to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        is_answered(body[..cut.index(body.len() + 1)].to_vec());
        is_answered(body);
    }
}
