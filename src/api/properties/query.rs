//! What must hold of any path with any parameters.
//!
//! The second reading takes one parameter after the other out of the text. Invariant: whatever is
//! read is asked again in every other way that the contract has for it, and must be the same.

use std::fmt::Write;

use hyper::Method;

use super::super::error::ApiError;
use super::super::reads::query::understand;
use super::super::reads::read_query::{PageWindow, ReadQuery};
use super::super::route::{Route, RouteTarget, Surface, find};
use crate::model::{Order, ProductId, ReviewId};

use super::{digits, heard, id, unescaped};

/// A query, or the parameters that are wrong.
type ParsedQuery = Result<ReadQuery, Vec<String>>;

const NAMES: [&str; 4] = ["product_id", "page", "count", "sort"];
const ROWS_MAX: usize = 5000;

/// Holds if `input` is not text, or asks what the contract says.
pub(in super::super) fn hold(input: &[u8]) {
    let Ok(input) = str::from_utf8(input) else {
        return;
    };
    let (path, query) = input.split_once('?').unwrap_or((input, ""));
    let Ok(RouteTarget::Read(route)) = find(Surface::Public, &Method::GET, path) else {
        return;
    };
    if matches!(route, Route::Livez | Route::Readyz) {
        let answer = understand(&route, Some(query), ROWS_MAX);
        assert!(matches!(answer, Err(ApiError::NoSuchPath)));
        return;
    }
    for rows_max in [1, 100, ROWS_MAX] {
        let read = understood(&route, query, rows_max);
        assert_eq!(read, expected(&route, query, rows_max), "{input}");
    }
    let read = understood(&route, query, ROWS_MAX);
    if let Ok(read_query) = read {
        hold_bounds(read_query);
        assert_eq!(asked(&written(read_query)), read, "{input}");
    }
    hold_ignored(&route, query, &read);
    hold_spellings(&route, query, &read);
}

/// Returns the query, or the parameters that a client is told are wrong.
fn understood(route: &Route<'_>, query: &str, rows_max: usize) -> ParsedQuery {
    let ask = || understand(route, Some(query), rows_max);
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
    match find(Surface::Public, &Method::GET, path) {
        Ok(RouteTarget::Read(route)) => understood(&route, query, ROWS_MAX),
        other => panic!("{uri} is {other:?}"),
    }
}

fn expected(route: &Route<'_>, query: &str, rows_max: usize) -> ParsedQuery {
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
    let values = match *route {
        Route::Reviews { product: in_path } => vec![product(in_path), page, count],
        Route::Products => vec![page, count],
        Route::Meta { product: in_path } => vec![product(in_path)],
        Route::Product { id } | Route::Styles { id } | Route::Related { id } => {
            vec![product(Some(id))]
        }
        Route::Review { id: in_path } => vec![("review_id", id(&unescaped(in_path)))],
        Route::Questions
        | Route::Cart
        | Route::Livez
        | Route::Readyz
        | Route::Version
        | Route::Metrics => {
            panic!("{route:?} has no parameters")
        }
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
    Ok(match route {
        Route::Reviews { .. } => ReadQuery::Reviews {
            product,
            order: match parameter(query, "sort").as_deref() {
                Some("newest") => Order::Newest,
                _ => Order::Helpful,
            },
            window,
        },
        Route::Products => ReadQuery::Products(window, None),
        Route::Meta { .. } => ReadQuery::Meta(product),
        Route::Product { .. } => ReadQuery::Product(product, None),
        Route::Styles { .. } => ReadQuery::Styles(product),
        Route::Related { .. } => ReadQuery::Related(product),
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

/// Parameters that nobody knows change nothing, nor do known ones that stand there already.
fn hold_ignored(route: &Route<'_>, query: &str, read: &ParsedQuery) {
    let same = |query: &str| assert_eq!(&understood(route, query, ROWS_MAX), read, "{query}");
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
fn hold_spellings(route: &Route<'_>, query: &str, read: &ParsedQuery) {
    let (Route::Reviews {
        product: Some(segment),
    }
    | Route::Meta {
        product: Some(segment),
    }) = *route
    else {
        return;
    };
    let other = match route {
        Route::Reviews { .. } => Route::Reviews { product: None },
        _ => Route::Meta { product: None },
    };
    let named: String = form_urlencoded::byte_serialize(unescaped(segment).as_bytes()).collect();
    let query = format!("product_id={named}&{query}");
    assert_eq!(&understood(&other, &query, ROWS_MAX), read, "{query}");
}
