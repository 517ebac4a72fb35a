//! Requests to the admin port of a server.
//!
//! Must not know what is asked. Invariants: an error of the server is reported in the server's own words; a token
//! is sent to the server that the command line names, and shown nowhere.

use std::env;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::cli::TrustArgs;
use crate::net::{Dialer, HttpClient, NoAnswer, Tls, TlsError, TlsFiles};
use crate::replication::{Token, TokenError};

use super::Configured;

/// The time for a request: after an erasure from a large store the server compacts what held it.
const REQUEST_TIME_MAX: Duration = Duration::from_hours(24);
/// The time for a request whose response is not worth a wait.
const SHORT_REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// The status of a server that has no time for a request.
const BUSY: u16 = 503;
/// The number of times that it is asked, and the time between.
const BUSY_TRIES_MAX: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(500);
/// The variable of the environment with the token of commands.
const TOKEN_VARIABLE: &str = "REVIEWSD_TOKEN";
/// Bytes of a response: a page of rows is about 1 MiB and one value more.
const RESPONSE_BYTES_MAX: usize = 256 << 20;

/// The admin API of a server.
pub(super) struct Remote {
    base: String,
    client: HttpClient,
    /// The `Authorization` of each request.
    authorization: Option<HeaderValue>,
    runtime: Runtime,
    time_max: Duration,
}

/// The reason a server did not answer as expected.
#[derive(Debug)]
pub enum Error {
    /// The address is invalid.
    Address(String),
    /// No CA file is given for an https address.
    NoAuthority(String),
    /// The certificates cannot be used.
    Tls(TlsError),
    /// The token cannot be sent.
    Token(TokenError),
    /// The system provides no reactor.
    Start(io::Error),
    /// The server cannot be reached, or closed the connection.
    Unreachable {
        /// Its address.
        base: String,
        /// Why.
        why: NoAnswer,
    },
    /// The server refused.
    Refused {
        /// The status.
        status: u16,
        /// Its sentence.
        why: String,
    },
    /// The response does not fit the request.
    Unknown {
        /// The requested path.
        path: String,
        /// The fault of the response.
        why: String,
    },
}

/// Returns the token that a command sends: of a file, or else of the environment, if there is one.
pub(super) fn command_token(file: Option<&Path>) -> Result<Option<Token>, TokenError> {
    if let Some(file) = file {
        return Token::read(file).map(Some);
    }
    let set = env::var_os(TOKEN_VARIABLE).filter(|set| !set.is_empty());
    set.map(|set| Token::of_variable(TOKEN_VARIABLE, &set))
        .transpose()
}

/// A server's address with its scheme, which is http:// by default, and no path; `None` for any other text.
pub(super) fn base_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let rest = rest.trim_end_matches('/');
    let is_one = ["http", "https"].contains(&scheme) && !rest.is_empty() && !rest.contains('/');
    is_one.then(|| format!("{scheme}://{rest}"))
}

/// The same with a port, which is that of the scheme by default.
fn with_port(base: &str) -> String {
    let host_end = base.rfind(']').unwrap_or("https://".len());
    if base.get(host_end..).is_some_and(|rest| rest.contains(':')) {
        base.to_owned()
    } else if base.starts_with("https:") {
        format!("{base}:443")
    } else {
        format!("{base}:80")
    }
}

impl Remote {
    /// The server whose admin port is at `address`: `http://127.0.0.1:8081`, without the scheme, or with
    /// `https://`, which uses the files of `trust`.
    pub(super) fn new(address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        Self::within(REQUEST_TIME_MAX, address, trust)
    }

    /// The same for short requests, whose responses are not waited for if they take long.
    pub(super) fn impatient(address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        Self::within(SHORT_REQUEST_TIME_MAX, address, trust)
    }

    fn within(time_max: Duration, address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        let wrong = || Error::Address(address.to_owned());
        let base = base_of(address).ok_or_else(wrong)?;
        let files = if !base.starts_with("https://") {
            TlsFiles::default()
        } else if trust.ca.is_some() {
            TlsFiles {
                own: trust.cert.clone().zip(trust.key.clone()),
                authority: trust.ca.clone(),
                asks_clients: false,
            }
        } else {
            return Err(Error::NoAuthority(base));
        };
        let tls = Arc::new(Tls::load(files).map_err(Error::Tls)?);
        let dialer = Dialer::new(&with_port(&base), &tls).ok_or_else(wrong)?;
        let token = command_token(trust.token_file.as_deref()).map_err(Error::Token)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            base,
            client: HttpClient::new(dialer),
            authorization: token.and_then(|token| token.header()),
            runtime: runtime.map_err(Error::Start)?,
            time_max,
        })
    }

    /// Returns the body of the response to `GET path`.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let response = self.send(Request::get(path).body(Full::default()))?;
        body(path, response)
    }

    /// Returns the time of day at the server, from the header of its response.
    pub(super) fn date(&self) -> Result<Option<String>, Error> {
        let response = self.send(Request::get("/livez").body(Full::default()))?;
        let date = response.headers().get(DATE);
        Ok(date.and_then(|date| Some(date.to_str().ok()?.to_owned())))
    }

    /// Gets a path, and reads the response as JSON.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(path, &self.get(path)?)
    }

    /// Posts a JSON object, and reads the response as JSON.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        object: &serde_json::Value,
    ) -> Result<T, Error> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/json");
        let response = self.send(request.body(Full::from(object.to_string())))?;
        parse(path, &body(path, response)?)
    }

    /// Posts a JSON object a line, and returns the body of the response. A server that is busy is asked again:
    /// doing the lines twice must be as good as doing them once.
    pub(super) fn post_lines(&self, path: &str, lines: Vec<u8>) -> Result<Vec<u8>, Error> {
        let lines = Bytes::from(lines);
        let mut tries = 1;
        loop {
            let request = Request::post(path).header(CONTENT_TYPE, "application/x-ndjson");
            let response = self.send(request.body(Full::from(lines.clone())))?;
            match body(path, response) {
                Err(Error::Refused { status, .. }) if status == BUSY && tries < BUSY_TRIES_MAX => {
                    tries += 1;
                    thread::sleep(BUSY_PAUSE);
                }
                done => return done,
            }
        }
    }

    fn send(
        &self,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    ) -> Result<Response<Bytes>, Error> {
        let response = request.map_err(NoAnswer::Invalid).and_then(|mut request| {
            if let Some(authorization) = &self.authorization {
                let headers = request.headers_mut();
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            self.runtime.block_on(async {
                let deadline = Instant::now() + self.time_max;
                let exchange = self.client.exchange(request, RESPONSE_BYTES_MAX, deadline);
                exchange.await
            })
        });
        response.map_err(|why| Error::Unreachable {
            base: self.base.clone(),
            why,
        })
    }
}

/// Returns the body of a successful response.
fn body(path: &str, response: Response<Bytes>) -> Result<Vec<u8>, Error> {
    let (head, body) = response.into_parts();
    if head.status.is_success() {
        return Ok(body.into());
    }
    let why = String::from_utf8_lossy(&body);
    let why = why.strip_prefix("Error: ").unwrap_or(&why).to_owned();
    if head.status == StatusCode::NOT_FOUND && why == "nothing is served at this path" {
        return Err(Error::Unknown {
            path: path.to_owned(),
            why: "this is another port, or an older server".to_owned(),
        });
    }
    Err(Error::Refused {
        status: head.status.as_u16(),
        why,
    })
}

/// Reads the lines of a response, each as JSON.
pub(super) fn parse_lines<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<Vec<T>, Error> {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    lines.map(|line| parse(path, line)).collect()
}

fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unknown {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

impl Configured for Error {
    fn is_misconfigured(&self) -> bool {
        match self {
            Self::Address(_) | Self::NoAuthority(_) | Self::Token(_) => true,
            Self::Tls(_)
            | Self::Start(_)
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Unknown { .. } => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(
                f,
                "{address} is not an address such as http://127.0.0.1:8081; give the admin port \
                 (net.admin) of the server"
            ),
            Self::NoAuthority(base) => write!(
                f,
                "{base} needs --ca FILE, the CA file to verify the server's certificate with"
            ),
            Self::Tls(error) => error.fmt(f),
            Self::Token(error) => {
                error.fmt(f)?;
                let cause = std::error::Error::source(error);
                cause.map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::Start(error) => write!(f, "cannot start: {error}"),
            Self::Unreachable { base, why } => write!(
                f,
                "the server at {base} does not answer ({why}); --server takes the address of its \
                 admin port (net.admin)"
            ),
            Self::Refused { status, why } => {
                write!(f, "the server rejected the request ({status}): {why}")?;
                if *status == StatusCode::UNAUTHORIZED.as_u16() {
                    write!(f, " (give --token-file FILE, or {TOKEN_VARIABLE})")?;
                }
                Ok(())
            }
            Self::Unknown { path, why } => {
                write!(f, "the response to {path} is invalid: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_has_that_of_its_scheme() {
        for (base, expected) in [
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://reviews.example", "http://reviews.example:80"),
            ("https://reviews.example", "https://reviews.example:443"),
            ("http://[::1]", "http://[::1]:80"),
            ("https://[::1]:8081", "https://[::1]:8081"),
        ] {
            assert_eq!(with_port(base), expected);
        }
    }
}
