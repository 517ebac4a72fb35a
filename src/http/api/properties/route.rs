//! Properties of any path.
//!
//! The second reading is the contract's own table. Invariant: every method is tried on every path.

use hyper::Method;

use super::super::endpoints::{Surface, find};
use super::super::route::{RouteRefusal, RouteTarget};

const READ: &str = "GET, HEAD, OPTIONS";
const ADD: &str = "GET, HEAD, POST, OPTIONS";
const VOTE: &str = "PUT, OPTIONS";
const DISCARD: &str = "POST, OPTIONS";

/// A path: its pattern, its methods, and the name of the endpoint that is not a review's addition.
type RouteRow = (&'static str, &'static str, &'static str);

/// The paths of the contract, which may stand behind a base. `{}` is anything, and where two rows
/// are like a path the first counts.
const PATHS: &[RouteRow] = &[
    ("reviews", ADD, "reviews"),
    ("reviews/meta", READ, "meta"),
    ("reviews/{}", ADD, "review"),
    ("reviews/helpful/{}", VOTE, "helpful"),
    ("reviews/report/{}", VOTE, "report"),
    ("reviews/{}/helpful", VOTE, "helpful"),
    ("reviews/{}/report", VOTE, "report"),
    ("reviews/{}/list", READ, "reviews"),
    ("reviews/{}/meta", READ, "meta"),
    ("products", READ, "products"),
    ("products/list", READ, "products"),
    ("products/{}", READ, "product"),
    ("products/{}/styles", READ, "styles"),
    ("products/{}/related", READ, "related"),
];
/// The paths of the services beside the reviews, where those are answered.
const NEIGHBOURS: &[RouteRow] = &[
    ("qa/questions", READ, "questions"),
    ("cart", READ, "cart"),
    ("interactions", DISCARD, "interactions"),
];
/// The paths that are never behind a base.
const PROBES: &[RouteRow] = &[("livez", READ, "livez"), ("readyz", READ, "readyz")];

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "OPTIONS", "PATCH", "DELETE", "CONNECT", "PURGE",
];

/// Holds if `input` is not text, or is a path that is found as the contract says.
pub(in super::super) fn hold(input: &[u8]) {
    let Ok(path) = str::from_utf8(input) else {
        return;
    };
    let inner = path.strip_prefix('/');
    let inner = inner.map(|path| path.strip_suffix('/').unwrap_or(path));
    let based = inner.map(without_base);
    let probe = inner.and_then(|inner| row(inner, PROBES));
    let public = based.and_then(|based| row(based, PATHS));
    let neighbour = based.and_then(|based| row(based, NEIGHBOURS));
    hold_methods(Surface::Public, path, probe.or(public));
    let any = probe.or(public).or(neighbour);
    hold_methods(Surface::WithNeighbours, path, any);
    if !path.ends_with('/') {
        hold_same(path, &format!("{path}/"));
    }
    if let (Some(based), Some(_)) = (based, public) {
        for base in ["", "/api", "/api/fec2/hr-rfp"] {
            hold_same(path, &format!("{base}/{based}"));
        }
        hold_same(path, &format!("/{}", in_other_spelling(based)));
    }
}

/// The segments behind `api` or `api/fec2/{anything}`.
fn without_base(path: &str) -> &str {
    let mut pieces = path.splitn(4, '/');
    match (pieces.next(), pieces.next(), pieces.next(), pieces.next()) {
        (Some("api"), Some("fec2"), Some(campus), Some(rest)) if !campus.is_empty() => rest,
        (Some("api"), Some("fec2"), ..) => "",
        (Some("api"), Some(_), ..) => path.split_once('/').map_or("", |(_, rest)| rest),
        _ => path,
    }
}

/// The row that a path matches, and the text in place of `{}`.
fn row<'p>(path: &'p str, rows: &'static [RouteRow]) -> Option<(RouteRow, Option<&'p str>)> {
    rows.iter().find_map(|row| {
        let Some((before, behind)) = row.0.split_once("{}") else {
            return (path == row.0).then_some((*row, None));
        };
        let id = path.strip_prefix(before)?.strip_suffix(behind)?;
        let is_segment = !id.is_empty() && !id.contains('/');
        is_segment.then_some((*row, Some(id)))
    })
}

/// The meaning of a method on a path: an endpoint with an argument, or a status with an `Allow`.
#[derive(Debug, PartialEq)]
enum Meaning<'p> {
    Endpoint(&'static str, Option<&'p str>),
    Status(u16, Option<String>),
}

fn meaning<'p>(surface: Surface, method: &str, path: &'p str) -> Meaning<'p> {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    match find(surface, &method, path) {
        Ok(RouteTarget::Endpoint(found)) => {
            Meaning::Endpoint(found.endpoint.name, found.arguments.first())
        }
        Ok(RouteTarget::Options { allow }) => {
            Meaning::Status(204, allow.map(|allow| allow.to_string()))
        }
        Err(RouteRefusal::NotFound) => Meaning::Status(404, None),
        Err(RouteRefusal::MethodNotAllowed { allow }) => {
            Meaning::Status(405, Some(allow.to_string()))
        }
    }
}

fn hold_methods(surface: Surface, path: &str, row: Option<(RouteRow, Option<&str>)>) {
    for method in METHODS {
        let expected = match row {
            None if method == "OPTIONS" => Meaning::Status(204, None),
            None => Meaning::Status(404, None),
            Some(((_, allow, name), id)) => {
                let is_allowed = allow.split(", ").any(|allowed| allowed == method);
                match method {
                    "OPTIONS" => Meaning::Status(204, Some(allow.to_owned())),
                    _ if !is_allowed => Meaning::Status(405, Some(allow.to_owned())),
                    "POST" if allow == ADD => Meaning::Endpoint("add", id),
                    _ => Meaning::Endpoint(name, id),
                }
            }
        };
        assert_eq!(meaning(surface, method, path), expected, "{method} {path}");
    }
}

/// The path of the same endpoint in the other spelling. A name of a change is no id in either.
fn in_other_spelling(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["products"] => "products/list".to_owned(),
        ["products", "list"] => "products".to_owned(),
        ["reviews", "helpful" | "report", "helpful" | "report"] => path.to_owned(),
        ["reviews", verb @ ("helpful" | "report"), id] => format!("reviews/{id}/{verb}"),
        ["reviews", id, verb @ ("helpful" | "report")] => format!("reviews/{verb}/{id}"),
        _ => path.to_owned(),
    }
}

fn hold_same(path: &str, other: &str) {
    for method in METHODS {
        let one = meaning(Surface::Public, method, path);
        let two = meaning(Surface::Public, method, other);
        assert_eq!(one, two, "{path} and {other}");
    }
}
