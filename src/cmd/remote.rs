//! A server's operator's port, asked over HTTP; the only file that names the client.
//!
//! Must not know what is asked. Invariant: what a server refuses is told in its own sentence.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::tls::{ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::cli::TrustArgs;
use crate::net::{provider, trouble};

use super::Configured;

/// The time for a server to accept a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The time that a whole request may take if nobody wants to wait for it.
const IMPATIENT_TIME_MAX: Duration = Duration::from_secs(5);
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
    /// Nothing says whom to believe.
    NoAuthority(String),
    /// A file does not hold what it should.
    Pem {
        /// The path.
        path: String,
        /// The expected contents.
        what: &'static str,
        /// Why it does not.
        why: String,
    },
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
    /// An answer that does not fit the request.
    Unknown {
        /// The requested path.
        path: String,
        /// The fault of the answer.
        why: String,
    },
}

/// A server's address with its scheme, which is http:// unless it is said, and no path; `None` where it
/// is no address.
pub(super) fn base_of(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let rest = rest.trim_end_matches('/');
    let is_one = ["http", "https"].contains(&scheme) && !rest.is_empty() && !rest.contains('/');
    is_one.then(|| format!("{scheme}://{rest}"))
}

impl Remote {
    /// The server whose operator's port is at `address`: `http://127.0.0.1:8081`, without the scheme,
    /// or with `https://`, which takes what is in `trust`.
    pub(super) fn new(address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        Self::within(None, address, trust)
    }

    /// The same for short questions, whose answers are not waited for if they take long.
    pub(super) fn impatient(address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        Self::within(Some(IMPATIENT_TIME_MAX), address, trust)
    }

    fn within(time_max: Option<Duration>, address: &str, trust: &TrustArgs) -> Result<Self, Error> {
        let base = base_of(address).ok_or_else(|| Error::Address(address.to_owned()))?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(time_max);
        if base.starts_with("https://") {
            config = config.tls_config(secured(&base, trust)?);
        }
        Ok(Self {
            base,
            agent: config.build().into(),
        })
    }

    /// The body of what is at a path.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}", self.base);
        self.body(path, self.agent.get(url).call())
    }

    /// The time of day at the server, as its answers tell it.
    pub(super) fn date(&self) -> Result<Option<String>, Error> {
        let answer = self.agent.get(format!("{}/livez", self.base)).call();
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        let date = answer.headers().get("date");
        Ok(date.and_then(|date| Some(date.to_str().ok()?.to_owned())))
    }

    /// Gets a path, and reads it as JSON.
    pub(super) fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(path, &self.get(path)?)
    }

    /// Posts a JSON object, and reads the answer as JSON.
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

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let trouble = match error {
            ureq::Error::Io(error) => trouble(error),
            ureq::Error::Rustls(error) => trouble(error),
            _ => None,
        };
        Error::Unreachable {
            base: self.base.clone(),
            why: trouble.unwrap_or_else(|| error.to_string()),
        }
    }

    fn body(
        &self,
        path: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, Error> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let body = body.read_to_vec();
        let body = body.map_err(|error| self.unreachable(&error))?;
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

/// TLS with the server at `base`.
fn secured(base: &str, trust: &TrustArgs) -> Result<TlsConfig, Error> {
    let no_authority = || Error::NoAuthority(base.to_owned());
    let authority = trust.ca.as_deref().ok_or_else(no_authority)?;
    let authority = certificates(authority)?;
    let own = trust.cert.as_deref().zip(trust.key.as_deref());
    let own = own.map(|(certificate, key)| {
        let chain = certificates(certificate)?;
        let bytes = read(key, "private key")?;
        let key =
            PrivateKey::from_pem(&bytes).map_err(|error| unfit(key, "private key", &error))?;
        Ok(ClientCert::new_with_certs(&chain, key))
    });
    let config = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider())
        .root_certs(RootCerts::new_with_certs(&authority))
        .client_cert(own.transpose()?);
    Ok(config.build())
}

fn certificates(path: &Path) -> Result<Vec<ureq::tls::Certificate<'static>>, Error> {
    let bytes = read(path, "certificate")?;
    let all = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(unfit(path, "certificate", &error))),
    });
    let all: Vec<_> = all.collect::<Result<_, Error>>()?;
    if all.is_empty() {
        return Err(unfit(path, "certificate", &"there is none in it"));
    }
    Ok(all)
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| unfit(path, what, &error))
}

fn unfit(path: &Path, what: &'static str, why: &impl fmt::Display) -> Error {
    Error::Pem {
        path: path.display().to_string(),
        what,
        why: why.to_string(),
    }
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
            Self::Address(_) | Self::NoAuthority(_) => true,
            Self::Pem { .. }
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
                "{address} is not an address such as http://127.0.0.1:8081; give the operator's port \
                 (net.admin) of the server"
            ),
            Self::NoAuthority(base) => write!(
                f,
                "{base} needs --ca FILE, the certificate of the authority that signed the server's"
            ),
            Self::Pem { path, what, why } => {
                write!(f, "cannot read the {what} in {path}: {why}")
            }
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
