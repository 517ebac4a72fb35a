//! A plain connection that asks one thing after the other, and whom it asks.
//!
//! Owns the spelling of a target, and the characteristics of products that reviews rate. It must not be
//! used while a run is measured.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::load::draft::Learned;
use crate::load::ids::Draw;
use crate::load::response::{self, Reading};
use crate::rng::{Purpose, Rng};

/// So many draws for each product that is wanted; a small range has too few different ones.
const DRAWS_PER_PRODUCT: u64 = 4;

/// A server of the API: `http://HOST[:PORT][/PREFIX]`. Only plain HTTP: TLS would measure the generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The `Host` header.
    pub(crate) host: String,
    /// Stands before every path: empty, or begins with a slash and ends without one.
    pub(crate) prefix: String,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            host: address.to_string(),
            prefix: String::new(),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let graphic = rest.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !graphic || rest.contains("://") || rest.contains(['?', '#', '@']) {
            return Err(
                "a target is http://HOST:PORT, and perhaps a path before those of the API".into(),
            );
        }
        let port = host.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        let whole = match port {
            Some(Ok(_)) => host.to_owned(),
            _ => format!("{host}:80"),
        };
        let addresses = whole.to_socket_addrs();
        let addresses = addresses.map_err(|error| format!("{host} has no address: {error}"));
        let address = addresses?
            .next()
            .ok_or_else(|| format!("{host} has no address"))?;
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        Ok(Self {
            address,
            host: host.to_owned(),
            prefix: format!("{slash}{path}"),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.host, self.prefix)
    }
}

impl Target {
    /// A connection whose every wait is bounded.
    pub(crate) fn connect(&self, timeout: Duration) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    }
}

/// A connection that asks one thing after the other.
pub(crate) struct Client<'a> {
    target: &'a Target,
    timeout: Duration,
    stream: TcpStream,
}

impl<'a> Client<'a> {
    /// Connects; every wait from here on is bounded.
    pub(crate) fn open(target: &'a Target, timeout: Duration) -> Result<Self> {
        let stream = target.connect(timeout);
        Ok(Self {
            target,
            timeout,
            stream: stream
                .with_context(|| format!("cannot reach {target}; is the server running?"))?,
        })
    }

    /// Asks and gives status and body.
    pub(crate) fn get(&mut self, path: &str) -> Result<(u16, Vec<u8>)> {
        self.ask("GET", path, "")
    }

    /// Sends JSON, or asks for something, and gives status and body of the answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let told = self.exchange(method, path, body);
        told.with_context(|| format!("cannot read the answer to {path} of {}", self.target))
    }

    fn exchange(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let (host, length) = (&self.target.host, body.len());
        let more = if body.is_empty() {
            String::new()
        } else {
            format!("content-type: application/json\r\ncontent-length: {length}\r\n")
        };
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{more}\r\n{body}");
        self.stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let read = self.stream.read(&mut buffer)?;
            bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
            match response::read(&bytes, read == 0).map_err(anyhow::Error::msg)? {
                Reading::Short(_) => ensure!(read > 0, "closed before the answer was whole"),
                Reading::Whole(answer) => {
                    if !answer.keeps_open {
                        self.stream = self.target.connect(self.timeout)?;
                    }
                    return Ok((answer.status, answer.body(&bytes)));
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Meta {
    characteristics: BTreeMap<String, Characteristic>,
}

#[derive(Deserialize)]
struct Characteristic {
    id: u64,
}

/// Draws up to `products` different ones and asks what characteristics they have.
pub(crate) fn learn(
    client: &mut Client<'_>,
    draw: &Draw,
    products: usize,
    seed: u64,
) -> Result<Vec<Learned>> {
    let mut asked = HashSet::new();
    let mut learned = Vec::new();
    for number in 0..products as u64 * DRAWS_PER_PRODUCT {
        let product = draw.id(&mut Rng::new(seed, number, Purpose::Learn));
        if !asked.insert(product) {
            continue;
        }
        let path = format!("{}/reviews/meta?product_id={product}", client.target.prefix);
        let (status, body) = client.get(&path)?;
        ensure!(
            status == 200,
            "cannot learn from {path} what reviews may rate: it was answered with {status}"
        );
        let meta: Meta = serde_json::from_slice(&body).with_context(|| path)?;
        let ids = meta.characteristics.into_values();
        learned.push(Learned {
            product,
            characteristics: ids.map(|characteristic| characteristic.id).collect(),
        });
        if learned.len() == products {
            break;
        }
    }
    Ok(learned)
}

#[test]
fn a_target_is_an_address_and_perhaps_a_path() {
    for text in [
        "https://example.org",
        "http://",
        "http://a b",
        "http://127.0.0.1:1/?x",
    ] {
        let error = text.parse::<Target>().unwrap_err();
        assert!(error.starts_with("a target is http://HOST:PORT"), "{error}");
    }
    for (text, shown, port) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", 8080),
        ("http://[::1]:80/api/", "http://[::1]:80/api", 80),
        ("http://127.0.0.1", "http://127.0.0.1", 80),
    ] {
        let target: Target = text.parse().unwrap();
        assert_eq!(
            (target.to_string().as_str(), target.address.port()),
            (shown, port)
        );
    }
}
