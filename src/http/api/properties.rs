//! Properties of any path, any parameters and any body, from any client.
//!
//! Each is derived from a second reading of the contract, which shares no code with the first. The fuzz targets
//! in `fuzz/` look for inputs that break it; the tests below hold the inputs that were made by hand or found so
//! far. Invariant: an input either holds or panics.

pub(super) mod body;
pub(super) mod query;
mod reading;
pub(super) mod route;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http_body_util::BodyExt;
use hyper::Request;
use hyper::header::{self, HeaderMap, HeaderValue};
use serde_json::Value;

use super::cors::Cors;
use super::error::ApiError;
use super::request_id::RequestId;

/// An error as a client sees it.
struct Heard {
    status: u16,
    sentence: String,
    /// Every fault: its JSON pointer, or the name of its parameter.
    places: Vec<String>,
    bytes: usize,
}

/// Returns the error that `fail` makes as a client sees it, the same in both formats.
fn heard(fail: impl Fn() -> ApiError) -> Heard {
    let (status, text) = answered(fail(), "text/plain");
    let sentence = text.strip_prefix("Error: ").expect("an error says so");
    assert!(!sentence.is_empty() && !sentence.contains(char::is_control));
    let (status_of_problem, problem) = answered(fail(), "application/json");
    assert_eq!(status, status_of_problem);
    let bytes = problem.len();
    let problem: Value = serde_json::from_str(&problem).expect("a problem is JSON");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["detail"], sentence);
    let faults = problem["errors"].as_array().expect("errors are a list");
    assert!(!faults.is_empty());
    let mut places = Vec::new();
    for fault in faults {
        let detail = fault["detail"].as_str().expect("a fault is told");
        assert!(!detail.is_empty());
        let place = fault.get("pointer").or_else(|| fault.get("parameter"));
        places.extend(place.and_then(Value::as_str).map(str::to_owned));
    }
    Heard {
        status,
        sentence: sentence.to_owned(),
        places,
        bytes,
    }
}

/// The status and the body by which a client that accepts `accept` hears of `error`.
fn answered(error: ApiError, accept: &'static str) -> (u16, String) {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let (mut head, ()) = Request::new(()).into_parts();
    head.headers = headers;
    let opening = Cors::new(&[]).open(&head.headers);
    let mut id = RequestId::default();
    let reply = error.report(&head, &mut id);
    let response = reply.into_response(&mut head, opening, id);
    let status = response.status().as_u16();
    let all = pin!(response.into_body().collect());
    let Poll::Ready(Ok(all)) = all.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("a body in one piece is there at once");
    };
    let text = String::from_utf8(all.to_bytes().to_vec()).expect("an answer is UTF-8");
    (status, text)
}

/// `text` with its `%XX` undone.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.as_bytes() {
            [high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digits = char::from(*high)
                    .to_digit(16)
                    .zip(char::from(*low).to_digit(16));
                let byte = digits.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                bytes.extend(byte);
                bytes.extend(rest);
            }
            as_it_is => {
                bytes.push(b'%');
                bytes.extend(as_it_is);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The number that `text` is the digits of; one that does not fit is the largest that does.
fn digits(text: &str) -> Option<u128> {
    let number = text.chars().try_fold(0_u128, |number, digit| {
        let digit = digit.to_digit(10)?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    })?;
    (!text.is_empty()).then_some(number)
}

/// The id that `text` is.
fn id(text: &str) -> Option<u64> {
    digits(text)
        .filter(|id| *id > 0)
        .and_then(|id| u64::try_from(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::replay;

    #[test]
    fn every_path_of_the_corpus_is_what_the_contract_says() {
        replay("route", route::hold);
    }

    #[test]
    fn every_query_of_the_corpus_is_read_as_the_contract_says() {
        replay("query", query::hold);
    }

    #[test]
    fn every_body_of_the_corpus_is_read_as_the_contract_says() {
        replay("body", body::hold);
    }
}
