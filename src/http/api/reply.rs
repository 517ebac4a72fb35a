//! An answer before it is HTTP: status, body and the few headers that answers differ in.
//!
//! Must not know routes or resources. Invariant: the headers are the same for GET and for HEAD.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use crate::model::ReviewId;

use super::body_pieces::BodyPieces;
use super::cors::CorsHeaders;
use super::request_id::{REQUEST_ID, RequestId};
use super::route::Allow;
use super::session_token::{SEQ, SessionToken};

/// The content type of answers in JSON.
pub(super) const JSON: &str = "application/json; charset=utf-8";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const PROBLEM: &str = "application/problem+json";

/// Prevents browsers from guessing another type for an answer than its `Content-Type`.
pub const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");

/// The headers that pages of another origin may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("Location, X-Seq");

/// The header of a list that ended before it had all requested rows: its number of rows.
const TRUNCATED: HeaderName = HeaderName::from_static("x-truncated");
const EXPOSED_TRUNCATED: HeaderValue = HeaderValue::from_static("X-Truncated");

/// An answer to be sent.
pub(super) struct Reply {
    status: StatusCode,
    /// `None` for an answer without a body.
    content_type: Option<&'static str>,
    body: BodyPieces,
    /// Rarely any, and then it does not allocate until there is one.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The headers of an answer of another server; if set, there are no others.
    passed: Option<Box<HeaderMap>>,
}

impl Reply {
    /// 200 with a JSON body.
    pub(super) fn json(body: impl Into<BodyPieces>) -> Self {
        Self::new(StatusCode::OK, JSON, body)
    }

    /// 200 with a fixed text.
    pub(super) fn text(body: &'static str) -> Self {
        Self::new(StatusCode::OK, TEXT, Bytes::from_static(body.as_bytes()))
    }

    /// 201 with the way to the new review.
    pub(super) fn created(review: ReviewId) -> Self {
        let body = Bytes::from_static(b"Created");
        let reply = Self::new(StatusCode::CREATED, TEXT, body);
        match HeaderValue::try_from(format!("/reviews/{review}")) {
            Ok(location) => reply.with(header::LOCATION, location),
            Err(_) => reply,
        }
    }

    /// 201 for a write that is stored nowhere.
    pub(super) fn taken() -> Self {
        let body = Bytes::from_static(b"Created");
        Self::new(StatusCode::CREATED, TEXT, body)
    }

    /// The same with where the store is since.
    pub(super) fn at(self, place: SessionToken) -> Self {
        let Ok(seq) = HeaderValue::try_from(place.to_string()) else {
            return self;
        };
        self.with(SEQ, seq)
            .with(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED)
    }

    /// The same with the number of rows of a list that ended before it had all requested ones, if it did.
    pub(super) fn truncated(self, rows: Option<usize>) -> Self {
        match rows {
            None => self,
            Some(rows) => self
                .with(TRUNCATED, HeaderValue::from(rows))
                .with(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_TRUNCATED),
        }
    }

    /// 204.
    pub(super) fn empty() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: None,
            body: BodyPieces::default(),
            headers: Vec::new(),
            passed: None,
        }
    }

    /// Any status with a body.
    pub(super) fn new(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<BodyPieces>,
    ) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            body: body.into(),
            headers: Vec::new(),
            passed: None,
        }
    }

    /// Makes a reply of another server's answer, which is passed on as it is.
    pub(super) fn passed(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            content_type: None,
            body: body.into(),
            headers: Vec::new(),
            passed: Some(Box::new(headers)),
        }
    }

    /// The same with the methods of its path.
    pub(super) fn allow(self, allow: Allow) -> Self {
        self.with(header::ALLOW, allow.header())
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the bytes of the body, also where HEAD sends none.
    pub(super) fn body_bytes(&self) -> usize {
        self.body.len()
    }

    /// The response to the request with `head`, whose header map is taken over: with its capacity, a connection
    /// goes on using one map instead of making two for every request.
    pub(super) fn into_response(
        self,
        head: &mut Parts,
        opening: CorsHeaders,
        request_id: RequestId,
    ) -> Response<BodyPieces> {
        if let Some(mut headers) = self.passed {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
            let mut response = Response::new(self.body);
            *response.status_mut() = self.status;
            *response.headers_mut() = *headers;
            return response;
        }
        let mut headers = std::mem::take(&mut head.headers);
        headers.clear();
        if let Some(content_type) = self.content_type {
            let content_type = HeaderValue::from_static(content_type);
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
        opening.write(&mut headers);
        if let Some(request_id) = request_id.into_header() {
            headers.insert(REQUEST_ID, request_id);
        }
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        let body = if head.method == Method::HEAD {
            without_body(&mut headers, self.body.len())
        } else {
            self.body
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

/// Removes the body, and sets the headers that GET would have sent.
fn without_body(headers: &mut HeaderMap, bytes: usize) -> BodyPieces {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    BodyPieces::default()
}
