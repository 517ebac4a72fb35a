//! What is asked: the n-th request of a run as bytes, the same for the same seed.
//!
//! Owns the paths of the API in both spellings, and must not know when or where anything is sent.

use crate::load::draft::{Learned, draft};
use crate::load::ids::Draw;
use crate::load::target::Target;
use crate::load::workload::{Numbers, Request, Sort, What, Workload};
use crate::rng::{Purpose, Rng};

/// The requests of a workload, ready to be written.
pub(crate) struct Mix {
    parts: Vec<Part>,
    weights: Vec<u64>,
    products: Draw,
    reviews: Draw,
    seed: u64,
    prefix: Vec<u8>,
    /// The rest of a request line and the headers that all requests have.
    tail: Vec<u8>,
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
        Self {
            parts: workload.requests.iter().map(part).collect(),
            weights: workload
                .requests
                .iter()
                .map(|request| request.weight)
                .collect(),
            products: Draw::new(&workload.products),
            reviews: Draw::new(&workload.reviews),
            seed: workload.seed,
            prefix: target.prefix.clone().into_bytes(),
            tail: format!(" HTTP/1.1\r\nhost: {}\r\n", target.host).into_bytes(),
        }
    }

    /// Gives each kind of request that wants them products whose characteristics are known.
    pub(crate) fn teach<E>(
        &mut self,
        mut learn: impl FnMut(&Draw, usize) -> Result<Vec<Learned>, E>,
    ) -> Result<(), E> {
        for part in &mut self.parts {
            if let What::Post {
                learn: products @ 1..,
            } = part.request.what
            {
                part.learned = learn(&self.products, products)?;
            }
        }
        Ok(())
    }

    /// Returns the name of each kind of request.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.label.as_str())
    }

    pub(crate) fn what(&self, asked: &Asked) -> Option<&What> {
        self.parts.get(asked.part).map(|part| &part.request.what)
    }

    /// True if this is the right status for what was asked.
    pub(crate) fn is_right(&self, asked: &Asked, status: u16) -> bool {
        self.parts.get(asked.part).is_some_and(|part| {
            status == success(&part.request.what) || part.request.also_right.contains(&status)
        })
    }

    /// True if an answer of this status has the body of success.
    pub(crate) fn is_success(&self, asked: &Asked, status: u16) -> bool {
        self.what(asked).is_some_and(|what| status == success(what))
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
            self.write_part(part, &mut asked, &mut rng, out, body);
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
    ) {
        let old = part.request.old;
        asked.id = match part.request.what {
            What::Helpful | What::Report => self.reviews.id(rng),
            What::Products { .. } => 0,
            _ => self.products.id(rng),
        };
        let learned = part.learned.get(rng.index(part.learned.len()));
        if let Some(learned) = learned {
            asked.id = learned.product;
        }
        let method: &[u8] = match part.request.what {
            What::Post { .. } => b"POST ",
            What::Helpful | What::Report => b"PUT ",
            _ => b"GET ",
        };
        out.extend_from_slice(method);
        out.extend_from_slice(&self.prefix);
        let (before, after): (&[u8], &[u8]) = match (&part.request.what, old) {
            (What::List { .. }, false) => (b"/reviews?product_id=", b""),
            (What::List { .. }, true) => (b"/reviews/", b"/list"),
            (What::Meta, false) => (b"/reviews/meta?product_id=", b""),
            (What::Meta, true) => (b"/reviews/", b"/meta"),
            (What::Styles, _) => (b"/products/", b"/styles"),
            (What::Product, _) => (b"/products/", b""),
            (What::Related, _) => (b"/products/", b"/related"),
            (What::Products { .. }, false) => (b"/products", b""),
            (What::Products { .. }, true) => (b"/products/list", b""),
            (What::Post { .. }, false) => (b"/reviews", b""),
            (What::Post { .. }, true) | (What::Helpful | What::Report, false) => {
                (b"/reviews/", b"")
            }
            (What::Helpful, true) => (b"/reviews/helpful/", b""),
            (What::Report, true) => (b"/reviews/report/", b""),
        };
        out.extend_from_slice(before);
        if !matches!(
            (&part.request.what, old),
            (What::Products { .. }, _) | (What::Post { .. }, false)
        ) {
            push(out, asked.id);
        }
        out.extend_from_slice(after);
        match &part.request.what {
            What::Helpful if !old => out.extend_from_slice(b"/helpful"),
            What::Report if !old => out.extend_from_slice(b"/report"),
            What::List { sort, page, count } => {
                let mut query = Query { out, open: !old };
                query.sort(*sort);
                query.number(b"page=", page, rng, &mut asked.page);
                query.number(b"count=", count, rng, &mut asked.count);
            }
            What::Products { page, count } => {
                let mut query = Query { out, open: false };
                query.number(b"page=", page, rng, &mut asked.page);
                query.number(b"count=", count, rng, &mut asked.count);
            }
            _ => {}
        }
        out.extend_from_slice(&self.tail);
        match part.request.what {
            What::Post { .. } => {
                body.clear();
                draft(body, rng, asked.id, learned);
                out.extend_from_slice(b"content-type: application/json\r\ncontent-length: ");
                push(out, body.len() as u64);
                out.extend_from_slice(b"\r\n\r\n");
                out.extend_from_slice(body);
            }
            What::Helpful | What::Report => out.extend_from_slice(b"content-length: 0\r\n\r\n"),
            _ => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// The parameters of a request line.
struct Query<'a> {
    out: &'a mut Vec<u8>,
    /// True if there are some already.
    open: bool,
}

impl Query<'_> {
    fn next(&mut self, name: &[u8]) {
        self.out.push(if self.open { b'&' } else { b'?' });
        self.open = true;
        self.out.extend_from_slice(name);
    }

    fn sort(&mut self, sort: Option<Sort>) {
        if let Some(sort) = sort {
            self.next(b"sort=");
            self.out.extend_from_slice(name(sort).as_bytes());
        }
    }

    fn number(&mut self, name: &[u8], numbers: &Numbers, rng: &mut Rng, drawn: &mut u64) {
        *drawn = match numbers {
            Numbers::Default => return,
            Numbers::OneOf(list) => list.get(rng.index(list.len())).copied().unwrap_or(*drawn),
            Numbers::Range { first, last } => first + rng.below(last - first + 1),
        };
        self.next(name);
        push(self.out, *drawn);
    }
}

fn push(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn name(sort: Sort) -> &'static str {
    match sort {
        Sort::Newest => "newest",
        Sort::Helpful => "helpful",
        Sort::Relevant => "relevant",
    }
}

fn success(what: &What) -> u16 {
    match what {
        What::Post { .. } => 201,
        What::Helpful | What::Report => 204,
        _ => 200,
    }
}

fn label(request: &Request) -> String {
    let mut label = match request.what {
        What::List { .. } => "list",
        What::Meta => "meta",
        What::Styles => "styles",
        What::Product => "product",
        What::Related => "related",
        What::Products { .. } => "products",
        What::Post { .. } => "post",
        What::Helpful => "helpful",
        What::Report => "report",
    }
    .to_owned();
    if request.old {
        label.push_str(", old spelling");
    }
    if let What::List {
        sort: Some(sort), ..
    } = request.what
    {
        label.push_str(" sort=");
        label.push_str(name(sort));
    }
    if let What::List { page, count, .. } | What::Products { page, count } = &request.what {
        for (key, numbers) in [("page", page), ("count", count)] {
            let values = match numbers {
                Numbers::Default => continue,
                Numbers::OneOf(list) => {
                    let list: Vec<String> = list.iter().map(u64::to_string).collect();
                    list.join("|")
                }
                Numbers::Range { first, last } => format!("{first}..{last}"),
            };
            for part in [" ", key, "=", &values] {
                label.push_str(part);
            }
        }
    }
    label
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
        let workload = Workload::parse("x", "x.toml", &text).unwrap();
        Mix::new(&workload, &target.parse().unwrap())
    }

    fn written(mix: &Mix, number: u64) -> (String, Asked) {
        let (mut out, mut body) = (Vec::new(), Vec::new());
        let asked = mix.write(number, &mut out, &mut body);
        (String::from_utf8(out).unwrap(), asked)
    }

    #[test]
    fn every_kind_has_its_path_in_both_spellings() {
        for (request, line) in [
            ("kind = \"list\"", "GET /reviews?product_id=17"),
            ("kind = \"list\", old = true", "GET /reviews/17/list"),
            (
                "kind = \"list\", sort = \"newest\", page = 2, count = 3",
                "GET /reviews?product_id=17&sort=newest&page=2&count=3",
            ),
            (
                "kind = \"list\", old = true, sort = \"helpful\", count = 3",
                "GET /reviews/17/list?sort=helpful&count=3",
            ),
            ("kind = \"meta\"", "GET /reviews/meta?product_id=17"),
            ("kind = \"meta\", old = true", "GET /reviews/17/meta"),
            ("kind = \"styles\"", "GET /products/17/styles"),
            ("kind = \"product\"", "GET /products/17"),
            ("kind = \"related\"", "GET /products/17/related"),
            ("kind = \"products\"", "GET /products"),
            ("kind = \"products\", page = 4", "GET /products?page=4"),
            (
                "kind = \"products\", old = true, page = 4",
                "GET /products/list?page=4",
            ),
            ("kind = \"helpful\"", "PUT /reviews/23/helpful"),
            ("kind = \"helpful\", old = true", "PUT /reviews/helpful/23"),
            ("kind = \"report\"", "PUT /reviews/23/report"),
            ("kind = \"report\", old = true", "PUT /reviews/report/23"),
            ("kind = \"post\"", "POST /reviews"),
            ("kind = \"post\", old = true", "POST /reviews/17"),
        ] {
            let mix = mix(&format!("{{ {request} }}"), "http://127.0.0.1:8080");
            let (text, asked) = written(&mix, 5);
            let head = format!("{line} HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n");
            assert!(text.starts_with(&head), "{text}");
            assert_eq!(asked.number, 5);
            if line.starts_with("GET") {
                assert_eq!(text, format!("{head}\r\n"));
            }
        }
    }

    #[test]
    fn a_target_s_path_stands_before_every_path() {
        let mix = mix(
            "{ kind = \"meta\", old = true }",
            "http://127.0.0.1:8080/api/fec2/hr/",
        );
        let (text, _) = written(&mix, 0);
        assert!(
            text.starts_with("GET /api/fec2/hr/reviews/17/meta HTTP/1.1\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_review_is_announced_with_its_length() {
        let mix = mix("{ kind = \"post\" }", "127.0.0.1:1");
        for number in 0..200 {
            let (text, _) = written(&mix, number);
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.ends_with(&format!("\r\ncontent-length: {}", body.len())),
                "{head}"
            );
        }
    }

    #[test]
    fn requests_come_as_often_as_their_weight_and_the_same_for_the_same_seed() {
        let requests = "{ kind = \"list\", weight = 7 }, { kind = \"meta\", weight = 3 }";
        let (one, other) = (mix(requests, "127.0.0.1:1"), mix(requests, "127.0.0.1:1"));
        let mut times = BTreeMap::new();
        for number in 0..10_000 {
            let (text, asked) = written(&one, number);
            assert_eq!(written(&other, number), (text, asked));
            *times.entry(asked.part).or_insert(0) += 1;
        }
        assert!((6_800..=7_200).contains(&times[&0]), "{times:?}");
        assert_eq!(times[&0] + times[&1], 10_000);
    }

    #[test]
    fn drawn_pages_and_counts_are_remembered_for_the_check() {
        let mix = mix(
            "{ kind = \"list\", page = { first = 2, last = 4 }, count = [10, 20] }",
            "127.0.0.1:1",
        );
        for number in 0..100 {
            let (text, asked) = written(&mix, number);
            let expected = format!("&page={}&count={} HTTP", asked.page, asked.count);
            assert!(text.contains(&expected), "{text}");
            assert!((2..=4).contains(&asked.page) && [10, 20].contains(&asked.count));
        }
    }

    #[test]
    fn the_right_status_is_that_of_success_or_one_the_workload_names() {
        let mix = mix("{ kind = \"helpful\", also_right = [404] }", "127.0.0.1:1");
        let asked = Asked::default();
        let right = [200, 204, 404, 500].map(|status| mix.is_right(&asked, status));
        assert_eq!(right, [false, true, true, false]);
    }
}
