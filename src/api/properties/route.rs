//! What must hold of any path.
//!
//! The second reading is the contract's own table. Invariant: every method is tried on every path.

use hyper::Method;

use super::super::route::{Route, RouteRefusal, RouteTarget, Surface, WriteRoute, find};

const READ: &str = "GET, HEAD, OPTIONS";
const ADD: &str = "GET, HEAD, POST, OPTIONS";
const VOTE: &str = "PUT, OPTIONS";
const DISCARD: &str = "POST, OPTIONS";

/// A path: its pattern, its methods, and its target.
type RouteRow = (&'static str, &'static str, fn(&str) -> RouteTarget<'_>);

/// The paths of the contract, which may stand behind a base. `{}` is anything, and where two rows
/// are like a path the first counts.
const PATHS: &[RouteRow] = &[
    ("reviews", ADD, |_| {
        RouteTarget::Read(Route::Reviews { product: None })
    }),
    ("reviews/meta", READ, |_| {
        RouteTarget::Read(Route::Meta { product: None })
    }),
    ("reviews/{}", ADD, |id| {
        RouteTarget::Read(Route::Review { id })
    }),
    ("reviews/helpful/{}", VOTE, |review| {
        RouteTarget::Write(WriteRoute::Vote { review })
    }),
    ("reviews/{}/helpful", VOTE, |review| {
        RouteTarget::Write(WriteRoute::Vote { review })
    }),
    ("reviews/report/{}", VOTE, |review| {
        RouteTarget::Write(WriteRoute::Report { review })
    }),
    ("reviews/{}/report", VOTE, |review| {
        RouteTarget::Write(WriteRoute::Report { review })
    }),
    ("reviews/{}/list", READ, |id| {
        RouteTarget::Read(Route::Reviews { product: Some(id) })
    }),
    ("reviews/{}/meta", READ, |id| {
        RouteTarget::Read(Route::Meta { product: Some(id) })
    }),
    ("products", READ, |_| RouteTarget::Read(Route::Products)),
    ("products/list", READ, |_| {
        RouteTarget::Read(Route::Products)
    }),
    ("products/{}", READ, |id| {
        RouteTarget::Read(Route::Product { id })
    }),
    ("products/{}/styles", READ, |id| {
        RouteTarget::Read(Route::Styles { id })
    }),
    ("products/{}/related", READ, |id| {
        RouteTarget::Read(Route::Related { id })
    }),
];
/// The paths of the services beside the reviews, where those are answered.
const NEIGHBOURS: &[RouteRow] = &[
    ("qa/questions", READ, |_| {
        RouteTarget::Read(Route::Questions)
    }),
    ("cart", READ, |_| RouteTarget::Read(Route::Cart)),
    ("interactions", DISCARD, |_| RouteTarget::Discard),
];
/// The paths of both ports, never behind a base.
const PROBES: &[RouteRow] = &[
    ("livez", READ, |_| RouteTarget::Read(Route::Livez)),
    ("readyz", READ, |_| RouteTarget::Read(Route::Readyz)),
];
/// The paths of the operator's port alone.
const ADMIN: &[RouteRow] = &[("version", READ, |_| RouteTarget::Read(Route::Version))];

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
    let admin = inner.and_then(|inner| row(inner, ADMIN));
    let neighbour = based.and_then(|based| row(based, NEIGHBOURS));
    hold_methods(Surface::Public, path, probe.or(public));
    hold_methods(
        Surface::WithNeighbours,
        path,
        probe.or(public).or(neighbour),
    );
    hold_methods(Surface::Admin, path, probe.or(admin));
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

/// The row that a path is like, and what stands where that has `{}`.
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

fn hold_methods(surface: Surface, path: &str, row: Option<(RouteRow, Option<&str>)>) {
    for name in METHODS {
        let method = Method::from_bytes(name.as_bytes()).expect("a method");
        let expected = match row {
            None if surface != Surface::Admin && name == "OPTIONS" => {
                Ok(RouteTarget::Options { allow: None })
            }
            None => Err(RouteRefusal::NotFound),
            Some(((_, allow, target), id)) => {
                let is_allowed = allow.split(", ").any(|allowed| allowed == name);
                match name {
                    "OPTIONS" => Ok(RouteTarget::Options { allow: Some(allow) }),
                    _ if !is_allowed => Err(RouteRefusal::MethodNotAllowed { allow }),
                    "POST" if allow == ADD => {
                        Ok(RouteTarget::Write(WriteRoute::Add { product: id }))
                    }
                    _ => Ok(target(id.unwrap_or_default())),
                }
            }
        };
        assert_eq!(find(surface, &method, path), expected, "{name} {path}");
    }
}

/// The path that the other spelling has for the same.
fn in_other_spelling(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["products"] => "products/list".to_owned(),
        ["products", "list"] => "products".to_owned(),
        ["reviews", verb @ ("helpful" | "report"), id] => format!("reviews/{id}/{verb}"),
        ["reviews", id, verb @ ("helpful" | "report")] => format!("reviews/{verb}/{id}"),
        _ => path.to_owned(),
    }
}

fn hold_same(path: &str, other: &str) {
    for name in METHODS {
        let method = Method::from_bytes(name.as_bytes()).expect("a method");
        let one = find(Surface::Public, &method, path);
        let two = find(Surface::Public, &method, other);
        assert_eq!(one, two, "{path} and {other}");
    }
}
