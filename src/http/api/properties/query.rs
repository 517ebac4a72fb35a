//! Properties of any path with any parameters.
//!
//! The second reading takes one parameter after the other out of the text. Invariant: whatever is
//! read is asked again in every other way that the contract has for it, and must be the same.

use std::fmt::Write;

use hyper::Method;

use super::super::endpoints::{Action, ReadOperation, ReadQuery, Surface, find};
use super::super::reads::parameters::{PageWindow, understand};
use super::super::route::{PathArguments, RouteTarget};
use crate::model::{Order, ProductId, ReviewId};

use super::{digits, heard, id, unescaped};

/// A query, or the parameters that are wrong.
type ParsedQuery = Result<ReadQuery, Vec<String>>;

const NAMES: [&str; 4] = ["product_id", "page", "count", "sort"];
const ROWS_MAX: usize = 5000;

/// A read that a path names.
struct NamedRead<'p> {
    name: &'static str,
    operation: &'static ReadOperation,
    path: PathArguments<'p>,
}

/// The read that a path names, if it names one.
fn read_at(path: &str) -> Option<NamedRead<'_>> {
    let Ok(RouteTarget::Endpoint(found)) = find(Surface::Public, &Method::GET, path) else {
        return None;
    };
    match &found.endpoint.action {
        Action::Read(operation) => Some(NamedRead {
            name: found.endpoint.name,
            operation,
            path: found.arguments,
        }),
        _ => None,
    }
}

/// Holds if `input` is not text, or is read as the contract says.
pub(in super::super) fn hold(input: &[u8]) {
    let Ok(input) = str::from_utf8(input) else {
        return;
    };
    let (path, query) = input.split_once('?').unwrap_or((input, ""));
    let Some(read) = read_at(path) else {
        return;
    };
    for rows_max in [1, 100, ROWS_MAX] {
        let parsed = understood(&read, query, rows_max);
        assert_eq!(parsed, expected(&read, query, rows_max), "{input}");
    }
    let parsed = understood(&read, query, ROWS_MAX);
    if let Ok(read_query) = parsed {
        hold_bounds(read_query);
        assert_eq!(asked(&written(read_query)), parsed, "{input}");
    }
    hold_ignored(&read, query, &parsed);
    hold_spellings(&read, query, &parsed);
}

/// Returns the query, or the parameters that are reported as wrong.
fn understood(read: &NamedRead<'_>, query: &str, rows_max: usize) -> ParsedQuery {
    let ask = || understand(read.operation, read.path, Some(query), rows_max);
    ask().map_err(|_| {
        let heard = heard(|| ask().expect_err("what was wrong is wrong again"));
        assert_eq!(heard.status, 422);
        let first = heard.places.first().expect("a fault is in a parameter");
        assert_eq!(heard.sentence, format!("invalid {first} provided"));
        heard.places
    })
}

fn asked(uri: &str) -> ParsedQuery {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    match read_at(path) {
        Some(read) => understood(&read, query, ROWS_MAX),
        None => panic!("{uri} is no read"),
    }
}

fn expected(read: &NamedRead<'_>, query: &str, rows_max: usize) -> ParsedQuery {
    let product = |in_path: Option<&str>| {
        let text = in_path
            .map(unescaped)
            .or_else(|| parameter(query, "product_id"));
        ("product_id", text.and_then(|text| id(&text)))
    };
    let whole = |name, unsaid| {
        let number = match parameter(query, name).as_deref() {
            None | Some("" | "undefined") => Some(unsaid),
            Some(text) => digits(text),
        };
        let fitting = number.map(|number| u64::try_from(number).unwrap_or(u64::MAX));
        (name, fitting)
    };
    let (page, count) = (whole("page", 1), whole("count", 5));
    let in_path = read.path.first();
    let values = match read.name {
        "reviews" => vec![product(in_path), page, count],
        "products" => vec![page, count],
        "meta" | "product" | "styles" | "related" => vec![product(in_path)],
        "review" => vec![("review_id", in_path.and_then(|text| id(&unescaped(text))))],
        other => panic!("{other} has no parameters"),
    };
    let wrong = values.iter().filter(|(_, value)| value.is_none());
    let wrong: Vec<String> = wrong.map(|(name, _)| (*name).to_owned()).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let value = |name| {
        let mut of_name = values.iter().filter(|(one, _)| *one == name);
        of_name
            .next()
            .and_then(|(_, value)| *value)
            .unwrap_or_default()
    };
    let product = ProductId(value("product_id"));
    let count = value("count").min(rows_max as u64);
    let window = PageWindow {
        page: value("page").max(1),
        count: usize::try_from(count).expect("it is at most rows_max"),
    };
    Ok(match read.name {
        "reviews" => ReadQuery::Reviews {
            product,
            order: match parameter(query, "sort").as_deref() {
                Some("newest") => Order::Newest,
                _ => Order::Helpful,
            },
            window,
        },
        "products" => ReadQuery::Products(window, None),
        "meta" => ReadQuery::Meta(product),
        "product" => ReadQuery::Product(product, None),
        "styles" => ReadQuery::Styles(product),
        "related" => ReadQuery::Related(product),
        _ => ReadQuery::Review(ReviewId(value("review_id"))),
    })
}

/// The first parameter of that name.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let pair = pair.replace('+', " ");
        let (key, value) = pair.split_once('=').unwrap_or((&pair, ""));
        (unescaped(key) == name).then(|| unescaped(value))
    })
}

fn hold_bounds(read_query: ReadQuery) {
    assert!(read_query.rows_max() <= ROWS_MAX);
    match read_query {
        ReadQuery::Reviews { window, .. } | ReadQuery::Products(window, _) => {
            assert!(window.page >= 1 && window.count <= ROWS_MAX);
            let rows = window.rows();
            assert_eq!(rows.rows, window.count);
            let skip = u128::from(window.page - 1) * window.count as u128;
            assert_eq!(u128::from(rows.skip), skip.min(u64::MAX.into()));
        }
        _ => {}
    }
    match read_query {
        ReadQuery::Reviews { product: id, .. }
        | ReadQuery::Meta(id)
        | ReadQuery::Product(id, _)
        | ReadQuery::Styles(id)
        | ReadQuery::Related(id) => assert_ne!(id.0, 0),
        ReadQuery::Review(id) => assert_ne!(id.0, 0),
        ReadQuery::Products(..) => {}
    }
}

/// A question as a client writes it that leaves nothing to be guessed.
fn written(read_query: ReadQuery) -> String {
    match read_query {
        ReadQuery::Reviews {
            product,
            order,
            window: PageWindow { page, count },
        } => {
            let sort = match order {
                Order::Newest => "newest",
                Order::Helpful => "relevant",
            };
            format!("/reviews?product_id={product}&page={page}&count={count}&sort={sort}")
        }
        ReadQuery::Meta(product) => format!("/reviews/meta?product_id={product}"),
        ReadQuery::Review(id) => format!("/reviews/{id}"),
        ReadQuery::Products(PageWindow { page, count }, _) => {
            format!("/products?page={page}&count={count}")
        }
        ReadQuery::Product(id, _) => format!("/products/{id}"),
        ReadQuery::Styles(id) => format!("/products/{id}/styles"),
        ReadQuery::Related(id) => format!("/products/{id}/related"),
    }
}

/// Unknown parameters change nothing, nor do known ones that stand there already.
fn hold_ignored(read: &NamedRead<'_>, query: &str, parsed: &ParsedQuery) {
    let same = |query: &str| assert_eq!(&understood(read, query, ROWS_MAX), parsed, "{query}");
    same(&format!("{query}&utm_source=mail&Page=x&count%20=x"));
    same(&format!("utm_source=mail&&=&page%00=x&{query}"));
    let mut again = query.to_owned();
    for name in NAMES {
        if parameter(query, name).is_some() {
            let _ = write!(again, "&{name}=newest&{name}=7");
        }
    }
    same(&again);
}

/// A product may be named by the path, or by the query where the path names none.
fn hold_spellings(read: &NamedRead<'_>, query: &str, parsed: &ParsedQuery) {
    let ("reviews" | "meta", Some(segment)) = (read.name, read.path.first()) else {
        return;
    };
    let other = NamedRead {
        path: PathArguments::default(),
        ..*read
    };
    let named: String = form_urlencoded::byte_serialize(unescaped(segment).as_bytes()).collect();
    let query = format!("product_id={named}&{query}");
    assert_eq!(&understood(&other, &query, ROWS_MAX), parsed, "{query}");
}
