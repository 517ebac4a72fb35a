//! The characteristics of some products, asked for before the run, so that reviews can rate them.
//!
//! Owns one plain connection that asks one thing after the other. It must not be used while a run is
//! measured.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::load::draft::Learned;
use crate::load::ids::Draw;
use crate::load::response::Reader;
use crate::load::target::Target;
use crate::rng::{Purpose, Rng};

/// So many draws for each product that is wanted; a small range has too few different ones.
const DRAWS_PER_PRODUCT: u64 = 4;
const BUFFER_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Meta {
    characteristics: std::collections::BTreeMap<String, Characteristic>,
}

#[derive(Deserialize)]
struct Characteristic {
    id: u64,
}

/// Draws up to `products` different ones and asks what characteristics they have.
pub(crate) fn learn(
    target: &Target,
    draw: &Draw,
    products: usize,
    seed: u64,
    timeout: Duration,
) -> Result<Vec<Learned>, Error> {
    let mut client = Client::open(target, timeout)?;
    let mut asked = HashSet::new();
    let mut learned = Vec::new();
    for number in 0..products as u64 * DRAWS_PER_PRODUCT {
        let product = draw.id(&mut Rng::new(seed, number, Purpose::Learn));
        if !asked.insert(product) {
            continue;
        }
        learned.push(client.meta(product)?);
        if learned.len() == products {
            break;
        }
    }
    Ok(learned)
}

/// A connection that asks one thing after the other.
pub(crate) struct Client<'a> {
    target: &'a Target,
    timeout: Duration,
    stream: TcpStream,
}

impl<'a> Client<'a> {
    /// Connects; every wait from here on is bounded.
    pub(crate) fn open(target: &'a Target, timeout: Duration) -> Result<Self, Error> {
        let unreachable = |source| Error::Unreachable {
            target: target.to_string(),
            source,
        };
        Ok(Self {
            target,
            timeout,
            stream: connect(target, timeout).map_err(unreachable)?,
        })
    }

    fn meta(&mut self, product: u64) -> Result<Learned, Error> {
        let path = format!("{}/reviews/meta?product_id={product}", self.target.prefix);
        let failed = |what: String| Error::Learn {
            path: path.clone(),
            what,
        };
        let (status, body) = self.get(&path).map_err(|error| failed(error.to_string()))?;
        if status != 200 {
            return Err(failed(format!("it was answered with {status}")));
        }
        let meta: Meta =
            serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let ids = meta.characteristics.into_values();
        Ok(Learned {
            product,
            characteristics: ids.map(|characteristic| characteristic.id).collect(),
        })
    }

    /// Asks and gives status and body.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let host = &self.target.host;
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
    }

    /// Sends a body of JSON and gives status and body of the answer.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
        let (host, bytes) = (&self.target.host, body.len());
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             content-length: {bytes}\r\n\r\n{body}"
        ))
    }

    fn ask(&mut self, request: &str) -> io::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request.as_bytes())?;
        let mut reader = Reader::default();
        let mut body = Vec::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        let answer = loop {
            let read = self.stream.read(&mut buffer)?;
            let came = buffer.get(..read).unwrap_or_default();
            let answer = match read {
                0 => reader.end().map(Some),
                _ => reader.feed(came, Some(&mut body)),
            };
            let malformed = |error: crate::load::response::Malformed| {
                io::Error::new(io::ErrorKind::InvalidData, error.to_string())
            };
            if let Some(answer) = answer.map_err(malformed)? {
                break answer;
            }
        };
        if !answer.keeps_open {
            self.stream = connect(self.target, self.timeout)?;
        }
        Ok((answer.status, body))
    }
}

/// A connection whose every wait is bounded.
pub(crate) fn connect(target: &Target, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target.address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}
