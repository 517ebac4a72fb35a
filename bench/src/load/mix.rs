//! What is asked: the n-th request of a run as bytes, the same for the same seed.
//!
//! Owns the paths of the API in both spellings, and must not know when or where anything is sent.

use std::io::Write;

use crate::load::client::Target;
use crate::load::draft::{Learned, draft};
use crate::load::ids::Draw;
use crate::load::workload::{Kind, Numbers, Request, Workload};
use crate::rng::{Purpose, Rng};

/// The requests of a workload, ready to be written.
pub(crate) struct Mix {
    parts: Vec<Part>,
    weights: Vec<u64>,
    products: Draw,
    reviews: Draw,
    seed: u64,
    prefix: String,
    host: String,
}

/// One kind of request.
struct Part {
    request: Request,
    label: String,
    /// The products that are reviewed, where they are not drawn for each request.
    learned: Vec<Learned>,
}

/// A request: all that is needed to judge its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) number: u64,
    /// The kind of the request.
    pub(crate) part: usize,
    /// The product or the review.
    pub(crate) id: u64,
    pub(crate) page: u64,
    pub(crate) count: u64,
}

/// The page and the count of a list, where a request names none.
const PAGE: u64 = 1;
const COUNT: u64 = 5;

impl Mix {
    /// Requests without characteristics, until [`Mix::teach`] gives some.
    pub(crate) fn new(workload: &Workload, target: &Target) -> Self {
        let part = |request: &Request| Part {
            request: request.clone(),
            label: label(request),
            learned: Vec::new(),
        };
        let weights = workload.requests.iter().map(|request| request.weight);
        Self {
            parts: workload.requests.iter().map(part).collect(),
            weights: weights.collect(),
            products: Draw::new(&workload.products),
            reviews: Draw::new(&workload.reviews),
            seed: workload.seed,
            prefix: target.prefix.clone(),
            host: target.host.clone(),
        }
    }

    /// Gives each kind of request that wants them products whose characteristics are known.
    pub(crate) fn teach<E>(
        &mut self,
        mut learn: impl FnMut(&Draw, usize) -> Result<Vec<Learned>, E>,
    ) -> Result<(), E> {
        for part in self.parts.iter_mut().filter(|part| part.request.learn > 0) {
            part.learned = learn(&self.products, part.request.learn)?;
        }
        Ok(())
    }

    /// Returns the name of each kind of request.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.label.as_str())
    }

    pub(crate) fn request(&self, asked: &Asked) -> Option<&Request> {
        self.parts.get(asked.part).map(|part| &part.request)
    }

    /// Writes the request of this number; `body` is room for its body.
    pub(crate) fn write(&self, number: u64, out: &mut Vec<u8>, body: &mut Vec<u8>) -> Asked {
        let mut rng = Rng::new(self.seed, number, Purpose::Request);
        let mut asked = Asked {
            number,
            part: rng.weighted(&self.weights),
            id: 0,
            page: PAGE,
            count: COUNT,
        };
        out.clear();
        if let Some(part) = self.parts.get(asked.part) {
            // Writing into memory does not fail.
            let _ = self.write_part(part, &mut asked, &mut rng, out, body);
        }
        asked
    }

    fn write_part(
        &self,
        part: &Part,
        asked: &mut Asked,
        rng: &mut Rng,
        out: &mut Vec<u8>,
        body: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let Request { kind, old, .. } = part.request;
        asked.id = match kind {
            Kind::Helpful | Kind::Report => self.reviews.id(rng),
            Kind::Products => 0,
            _ => self.products.id(rng),
        };
        let learned = part.learned.get(rng.index(part.learned.len()));
        asked.id = learned.map_or(asked.id, |learned| learned.product);
        let (prefix, id) = (&self.prefix, asked.id);
        match (kind, old) {
            (Kind::List, false) => write!(out, "GET {prefix}/reviews?product_id={id}"),
            (Kind::List, true) => write!(out, "GET {prefix}/reviews/{id}/list"),
            (Kind::Meta, false) => write!(out, "GET {prefix}/reviews/meta?product_id={id}"),
            (Kind::Meta, true) => write!(out, "GET {prefix}/reviews/{id}/meta"),
            (Kind::Styles, _) => write!(out, "GET {prefix}/products/{id}/styles"),
            (Kind::Product, _) => write!(out, "GET {prefix}/products/{id}"),
            (Kind::Related, _) => write!(out, "GET {prefix}/products/{id}/related"),
            (Kind::Products, false) => write!(out, "GET {prefix}/products"),
            (Kind::Products, true) => write!(out, "GET {prefix}/products/list"),
            (Kind::Post, false) => write!(out, "POST {prefix}/reviews"),
            (Kind::Post, true) => write!(out, "POST {prefix}/reviews/{id}"),
            (Kind::Helpful, false) => write!(out, "PUT {prefix}/reviews/{id}/helpful"),
            (Kind::Helpful, true) => write!(out, "PUT {prefix}/reviews/helpful/{id}"),
            (Kind::Report, false) => write!(out, "PUT {prefix}/reviews/{id}/report"),
            (Kind::Report, true) => write!(out, "PUT {prefix}/reviews/report/{id}"),
        }?;
        let mut separator = if (kind, old) == (Kind::List, false) {
            '&'
        } else {
            '?'
        };
        if let Some(sort) = part.request.sort {
            write!(
                out,
                "{separator}sort={}",
                format!("{sort:?}").to_lowercase()
            )?;
            separator = '&';
        }
        for (name, numbers, drawn) in [
            ("page", &part.request.page, &mut asked.page),
            ("count", &part.request.count, &mut asked.count),
        ] {
            *drawn = match numbers {
                None => continue,
                Some(Numbers::One(number)) => {
                    rng.index(1);
                    *number
                }
                Some(Numbers::OneOf(list)) => {
                    list.get(rng.index(list.len())).copied().unwrap_or(*drawn)
                }
                Some(Numbers::Range { first, last }) => first + rng.below(last - first + 1),
            };
            write!(out, "{separator}{name}={drawn}")?;
            separator = '&';
        }
        write!(out, " HTTP/1.1\r\nhost: {}\r\n", self.host)?;
        match kind {
            Kind::Post => {
                body.clear();
                draft(body, rng, id, learned);
                let length = body.len();
                write!(
                    out,
                    "content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
                )?;
                out.write_all(body)
            }
            Kind::Helpful | Kind::Report => out.write_all(b"content-length: 0\r\n\r\n"),
            _ => out.write_all(b"\r\n"),
        }
    }
}

impl Request {
    /// The status of success.
    pub(crate) fn success(&self) -> u16 {
        match self.kind {
            Kind::Post => 201,
            Kind::Helpful | Kind::Report => 204,
            _ => 200,
        }
    }
}

fn label(request: &Request) -> String {
    let mut parts = vec![format!("{:?}", request.kind).to_lowercase()];
    if request.old {
        parts.push("old spelling".to_owned());
    }
    if let Some(sort) = request.sort {
        parts.push(format!("sort={sort:?}").to_lowercase());
    }
    for (key, numbers) in [("page", &request.page), ("count", &request.count)] {
        parts.extend(numbers.as_ref().map(|numbers| match numbers {
            Numbers::One(number) => format!("{key}={number}"),
            Numbers::OneOf(list) => format!("{key}={list:?}"),
            Numbers::Range { first, last } => format!("{key}={first}..{last}"),
        }));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn mix(requests: &str, target: &str) -> Mix {
        let text = format!(
            "about = \"x\"\nplan = {{ rate = 1, duration = \"1s\" }}\n\
             products = {{ set = [17] }}\nreviews = {{ set = [23] }}\nrequest = [{requests}]"
        );
        let workload = Workload::parse("x", &text).unwrap();
        Mix::new(&workload, &target.parse().unwrap())
    }

    fn written(mix: &Mix, number: u64) -> (String, Asked) {
        let (mut out, mut body) = (Vec::new(), Vec::new());
        let asked = mix.write(number, &mut out, &mut body);
        (String::from_utf8(out).unwrap(), asked)
    }

    const PATHS: &str = "
        'list' ; GET /reviews?product_id=17
        'list', old = true ; GET /reviews/17/list
        'list', sort = 'newest', page = 2, count = 3 ; GET /reviews?product_id=17&sort=newest&page=2&count=3
        'list', old = true, sort = 'helpful', count = 3 ; GET /reviews/17/list?sort=helpful&count=3
        'meta' ; GET /reviews/meta?product_id=17
        'meta', old = true ; GET /reviews/17/meta
        'styles' ; GET /products/17/styles
        'product' ; GET /products/17
        'related' ; GET /products/17/related
        'products' ; GET /products
        'products', page = 4 ; GET /products?page=4
        'products', old = true, page = 4 ; GET /products/list?page=4
        'helpful' ; PUT /reviews/23/helpful
        'helpful', old = true ; PUT /reviews/helpful/23
        'report' ; PUT /reviews/23/report
        'report', old = true ; PUT /reviews/report/23
        'post' ; POST /reviews
        'post', old = true ; POST /reviews/17";

    #[test]
    fn every_kind_has_its_path_in_both_spellings() {
        for line in PATHS.trim().lines() {
            let (request, path) = line.trim().split_once(" ; ").unwrap();
            let (method, path) = path.split_once(' ').unwrap();
            let mix = mix(&format!("{{ kind = {request} }}"), "127.0.0.1:8080/api/");
            let (text, asked) = written(&mix, 5);
            let head = format!("{method} /api{path} HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n");
            assert!(text.starts_with(&head), "{text}");
            assert_eq!(asked.number, 5);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let length = format!("\r\ncontent-length: {}", body.len());
            assert_eq!(head.contains(&length), method != "GET", "{head}");
        }
    }

    #[test]
    fn requests_are_as_frequent_as_weighed_and_repeatable() {
        let requests = "{ kind = 'list', weight = 7, page = { first = 2, last = 4 }, count = [10, 20] }, \
                        { kind = 'meta', weight = 3 }";
        let (one, other) = (mix(requests, "127.0.0.1:1"), mix(requests, "127.0.0.1:1"));
        let mut times = BTreeMap::new();
        for number in 0..10_000 {
            let (text, asked) = written(&one, number);
            if asked.part == 0 {
                let expected = format!("&page={}&count={} HTTP", asked.page, asked.count);
                assert!(text.contains(&expected), "{text}");
                assert!((2..=4).contains(&asked.page) && [10, 20].contains(&asked.count));
            }
            assert_eq!(written(&other, number), (text, asked));
            *times.entry(asked.part).or_insert(0) += 1;
        }
        assert!((6_800..=7_200).contains(&times[&0]), "{times:?}");
    }
}
