//! The HTTP check: a service of the shop, a spam filter or the verifier of a captcha, that is asked about each
//! review before it is stored.
//!
//! Must not know what the service looks at. Invariants: no more than [`CHECK_CALLS_MAX`] requests are under way,
//! and none takes longer than the time limit, waiting included; an answer that is not understood is no answer.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ::policy::{Judgement, Verdict};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;

use crate::model::NewReview;
use crate::model::moderation::ReasonCode;
use crate::net::{Dialer, HttpClient};

use super::super::super::json::JsonWriter;
use super::super::document::{self, Json};
use super::meters::CheckMeters;

/// Requests to the service under way at most.
pub const CHECK_CALLS_MAX: usize = 32;
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 16 << 10;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A service that is asked about reviews.
pub struct ReviewCheck {
    client: HttpClient,
    path: Uri,
    time_max: Duration,
    unanswered: Verdict,
    calls: Semaphore,
}

/// A review with what the service may want to know of its request.
#[derive(Clone, Copy)]
pub(super) struct CheckedReview<'a> {
    pub(super) review: &'a NewReview,
    pub(super) client: IpAddr,
    pub(super) user_agent: Option<&'a str>,
    /// The body as it came, which is JSON.
    pub(super) request: &'a [u8],
}

impl ReviewCheck {
    /// A service at this path of a server. If it does not answer within `time_max`, the verdict is `unanswered`.
    /// `None` if the path is none.
    #[must_use]
    pub fn new(
        server: Dialer,
        path: &str,
        time_max: Duration,
        unanswered: Verdict,
    ) -> Option<Self> {
        Some(Self {
            client: HttpClient::new(server),
            path: path.parse().ok()?,
            time_max,
            unanswered,
            calls: Semaphore::new(CHECK_CALLS_MAX),
        })
    }

    /// Asks about a review, and returns the judgement of the service, or the one for no answer.
    pub(super) async fn ask(&self, checked: &CheckedReview<'_>, meters: &CheckMeters) -> Judgement {
        let begun = Instant::now();
        let answer = self.answer(checked).await;
        meters.asked(
            answer.as_ref().ok().map(|judgement| judgement.verdict),
            begun.elapsed(),
        );
        answer.unwrap_or_else(|why| {
            let server = self.client.authority();
            let verdict = self.unanswered.word();
            tracing::warn!(
                "the check of a review at {server} gave no answer ({why}); by \
                 moderation.check_unanswered the verdict is {verdict}"
            );
            Judgement::new(self.unanswered, ReasonCode::CheckFailed)
        })
    }

    async fn answer(&self, checked: &CheckedReview<'_>) -> Result<Judgement, String> {
        let deadline = tokio::time::Instant::now() + self.time_max;
        let call = timeout_at(deadline, self.calls.acquire()).await;
        let _call = call
            .map_err(|_| "too many other reviews wait for it")?
            .map_err(|closed| closed.to_string())?;
        let answer = self
            .client
            .exchange(self.request(checked)?, ANSWER_BYTES_MAX, deadline)
            .await
            .map_err(|none| none.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("its status is {}", answer.status().as_u16()));
        }
        judgement(answer.body())
    }

    fn request(&self, checked: &CheckedReview<'_>) -> Result<Request<Full<Bytes>>, String> {
        let body = checked.json().ok_or("the request is not UTF-8")?;
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        request.headers_mut().insert(CONTENT_TYPE, JSON);
        request.headers_mut().insert(ACCEPT, JSON);
        Ok(request)
    }
}

impl fmt::Debug for ReviewCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReviewCheck")
            .field("server", &self.client.authority())
            .field("path", &self.path)
            .field("time_max", &self.time_max)
            .field("unanswered", &self.unanswered)
            .finish_non_exhaustive()
    }
}

impl PartialEq for ReviewCheck {
    fn eq(&self, other: &Self) -> bool {
        let settings = |check: &Self| (check.path.clone(), check.time_max, check.unanswered);
        self.client.authority() == other.client.authority() && settings(self) == settings(other)
    }
}

impl Eq for ReviewCheck {}

impl CheckedReview<'_> {
    /// The body of the request to the service.
    fn json(&self) -> Option<Vec<u8>> {
        let request = str::from_utf8(self.request).ok()?;
        let review = self.review;
        let mut json = JsonWriter::with_capacity(512 + 2 * request.len());
        json.raw(r#"{"client":"#).text(&self.client.to_string());
        json.raw(r#","user_agent":"#);
        match self.user_agent {
            Some(user_agent) => json.text(user_agent),
            None => json.raw("null"),
        };
        json.raw(r#","review":{"product_id":"#)
            .number(review.product.0)
            .raw(r#","rating":"#)
            .number(review.rating.into())
            .raw(r#","summary":"#)
            .text(&review.summary)
            .raw(r#","body":"#)
            .text(&review.body)
            .raw(r#","recommend":"#)
            .raw(if review.recommend { "true" } else { "false" })
            .raw(r#","name":"#)
            .text(&review.reviewer_name)
            .raw(r#","email":"#)
            .text(&review.reviewer_email)
            .raw(r#","photos":["#);
        json.joined(&review.photos, |json, photo| {
            json.text(photo);
        });
        json.raw(r#"]},"request":"#).raw(request).raw("}");
        Some(json.into_bytes())
    }
}

/// The judgement that an answer is; otherwise why it is none.
fn judgement(answer: &[u8]) -> Result<Judgement, String> {
    let members = document::parse(answer)?;
    let word = |name: &str| match members.get(name) {
        Some(Json::Text(word)) => Some(word.as_str()),
        _ => None,
    };
    let verdict = word("verdict").and_then(Verdict::of_word);
    let verdict = verdict.ok_or(r#"its verdict is none of "publish", "hold" and "refuse""#)?;
    let reason = word("reason").and_then(ReasonCode::of_word);
    Ok(match verdict {
        Verdict::Publish => Judgement::PUBLISH,
        stricter => Judgement::new(stricter, reason.unwrap_or(ReasonCode::Check)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProductId;

    #[test]
    fn an_answer_is_a_verdict_with_a_reason() {
        let of = |answer: &str| judgement(answer.as_bytes());
        let hold = |reason| Ok(Judgement::new(Verdict::Hold, reason));
        assert_eq!(of(r#"{"verdict":"publish"}"#), Ok(Judgement::PUBLISH));
        assert_eq!(
            of(r#"{"verdict":"publish","reason":"spam"}"#),
            Ok(Judgement::PUBLISH)
        );
        assert_eq!(
            of(r#"{"verdict":"hold","reason":"spam","x":1}"#),
            hold(ReasonCode::Spam)
        );
        assert_eq!(
            of(r#"{"verdict":"hold","reason":"odd"}"#),
            hold(ReasonCode::Check)
        );
        assert_eq!(of(r#"{"verdict":"hold"}"#), hold(ReasonCode::Check));
        for answer in [
            "",
            "[]",
            "{}",
            r#"{"verdict":"maybe"}"#,
            r#"{"verdict":1}"#,
            "ok",
        ] {
            assert!(of(answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn the_service_gets_the_review_and_the_request_as_it_came() {
        let review = NewReview {
            product: ProductId(2),
            rating: 4,
            recommend: true,
            summary: "\"Good\"".to_owned(),
            body: "b\n".to_owned(),
            reviewer_name: "n".to_owned(),
            reviewer_email: "a@b".to_owned(),
            photos: vec!["p".to_owned(), "q".to_owned()],
            ratings: Vec::new(),
        };
        let checked = CheckedReview {
            review: &review,
            client: IpAddr::from([192, 0, 2, 1]),
            user_agent: None,
            request: br#"{"captcha": "token"}"#,
        };
        let expected = r#"{"client":"192.0.2.1","user_agent":null,"review":{"product_id":2,"rating":4,"summary":"\"Good\"","body":"b\n","recommend":true,"name":"n","email":"a@b","photos":["p","q"]},"request":{"captcha": "token"}}"#;
        let json = String::from_utf8(checked.json().unwrap()).unwrap();
        assert_eq!(json, expected);
    }
}
