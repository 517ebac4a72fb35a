//! A server's operator's port, asked over HTTP; the only file that names the client.
//!
//! Must not know what is asked. Invariant: what a server refuses is told in its own sentence.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;

/// How long a server may take to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer at most: a page of rows is about 1 MiB and one value more.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// The operator's port of a server.
pub(super) struct Remote {
    base: String,
    agent: Agent,
}

/// Why the server did not answer as it should.
#[derive(Debug)]
pub enum Error {
    /// The address is none.
    Address(String),
    /// It cannot be reached, or hung up.
    Unreachable {
        /// Its address.
        base: String,
        /// Why.
        why: String,
    },
    /// It refused.
    Refused {
        /// The status.
        status: u16,
        /// Its sentence.
        why: String,
    },
    /// What it says is not what was asked for.
    Unknown {
        /// What was asked for.
        path: String,
        /// What is wrong with the answer.
        why: String,
    },
}

impl Remote {
    /// The server whose operator's port is at `address`: `http://127.0.0.1:8081`, or without the
    /// scheme.
    pub(super) fn new(address: &str) -> Result<Self, Error> {
        let rest = address.strip_prefix("http://").unwrap_or(address);
        let rest = rest.trim_end_matches('/');
        if rest.is_empty() || rest.contains('/') {
            return Err(Error::Address(address.to_owned()));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .build();
        Ok(Self {
            base: format!("http://{rest}"),
            agent: config.into(),
        })
    }

    /// The body of what is at a path.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}", self.base);
        self.body(path, self.agent.get(url).call())
    }

    /// What is at a path, read as JSON.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(path, &self.get(path)?)
    }

    /// What is answered to a JSON object, read as JSON.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        object: &serde_json::Value,
    ) -> Result<T, Error> {
        let request = self.agent.post(format!("{}{path}", self.base));
        let request = request.header("Content-Type", "application/json");
        let answer = request.send(object.to_string());
        parse(path, &self.body(path, answer)?)
    }

    fn body(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, Error> {
        let unreachable = |error: ureq::Error| Error::Unreachable {
            base: self.base.clone(),
            why: error.to_string(),
        };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(unreachable)?;
        if status.is_success() {
            return Ok(body);
        }
        let why = String::from_utf8_lossy(&body);
        let why = why.strip_prefix("Error: ").unwrap_or(&why).to_owned();
        if status.as_u16() == 404 && why == "nothing is served at this path" {
            let (path, why) = (
                path.to_owned(),
                "it is another port, or an older server".to_owned(),
            );
            return Err(Error::Unknown { path, why });
        }
        Err(Error::Refused {
            status: status.as_u16(),
            why,
        })
    }
}

fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unknown {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(
                f,
                "{address} is not an address such as http://127.0.0.1:8081; give the operator's port \
                 (net.admin) of the server"
            ),
            Self::Unreachable { base, why } => write!(
                f,
                "the server at {base} does not answer ({why}); --server takes the address of its \
                 operator's port (net.admin)"
            ),
            Self::Refused { status, why } => write!(f, "the server refused ({status}): {why}"),
            Self::Unknown { path, why } => {
                write!(f, "the server does not answer {path} as it should: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}
