//! From a method and a path to the endpoint of a table that answers them.
//!
//! Must not know which endpoints there are. Invariants: a path that is in a table has an `Allow`, which is
//! made of the methods of its endpoints, so a wrong method on it is never a 404; which endpoint is found
//! depends on the paths alone and not on the order of the table, because a literal segment outranks a
//! parameter, from the left; a request is routed without an allocation.

use std::fmt;

use hyper::Method;
use hyper::header::HeaderValue;

use super::error::ApiError;

/// One endpoint: a method on a path, or on each spelling of it.
pub(super) struct Endpoint<A: 'static> {
    /// The name, as metrics report it and a description of the API calls the operation.
    pub(super) name: &'static str,
    pub(super) verb: Verb,
    /// The paths without the first `/`; a segment `{name}` is a parameter, and never empty.
    pub(super) paths: &'static [&'static str],
    pub(super) scope: Scope,
    pub(super) action: A,
}

impl<A: 'static> fmt::Debug for Endpoint<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The bases of an endpoint's paths, and whether every server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The paths stand alone, or behind a base that a client was configured with.
    Shop,
    /// The same, on the servers whose operator chose to answer for the services beside the reviews. No write of
    /// a customer to them is answered with success but clicks, which are discarded.
    Neighbour,
    /// The paths stand alone.
    Plain,
}

/// The method of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD as well.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// The methods, as `Allow` lists them.
    fn methods(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The methods of a path, in the spelling of `Allow`. OPTIONS is always one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Allow(u8);

impl Allow {
    fn with(self, verb: Verb) -> Self {
        Self(self.0 | (1 << verb as u8))
    }

    fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u8) != 0
    }

    /// The value of the header.
    pub(super) fn header(self) -> HeaderValue {
        // Names of methods can stand in a header.
        HeaderValue::try_from(self.to_string()).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }

    /// The methods that are left if nothing can be changed.
    pub(super) fn only_reads(self) -> Self {
        if self.contains(Verb::Get) {
            Self::default().with(Verb::Get)
        } else {
            Self::default()
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verb in Verb::ALL {
            if self.contains(verb) {
                write!(f, "{}, ", verb.methods())?;
            }
        }
        f.write_str("OPTIONS")
    }
}

/// The segments of a path that stand where its pattern has parameters, as the path writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct PathArguments<'p>([Option<&'p str>; PARAMETERS_MAX]);

/// Parameters in one path at most.
const PARAMETERS_MAX: usize = 2;

impl<'p> PathArguments<'p> {
    /// The first one.
    pub(super) fn first(self) -> Option<&'p str> {
        let [first, ..] = self.0;
        first
    }

    fn with(mut self, segment: &'p str) -> Self {
        if let Some(free) = self.0.iter_mut().find(|argument| argument.is_none()) {
            *free = Some(segment);
        }
        self
    }
}

/// The meaning of a method and a path.
pub(super) enum RouteTarget<'p, A: 'static> {
    /// Answer by it.
    Endpoint(FoundEndpoint<'p, A>),
    /// List the methods of the path; `None` is for a path without an endpoint.
    Options { allow: Option<Allow> },
}

/// The endpoint of a request.
pub(super) struct FoundEndpoint<'p, A: 'static> {
    pub(super) endpoint: &'static Endpoint<A>,
    /// The index of the endpoint in its table.
    pub(super) number: usize,
    pub(super) arguments: PathArguments<'p>,
    /// The methods of the path.
    pub(super) allow: Allow,
}

/// The reason a request has no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteRefusal {
    NotFound,
    MethodNotAllowed { allow: Allow },
}

impl From<RouteRefusal> for ApiError {
    fn from(refusal: RouteRefusal) -> Self {
        match refusal {
            RouteRefusal::NotFound => Self::NoSuchPath,
            RouteRefusal::MethodNotAllowed { allow } => Self::MethodNotAllowed { allow },
        }
    }
}

/// A table of endpoints, by the segments of their paths.
pub(super) struct Routes<A: 'static> {
    endpoints: &'static [Endpoint<A>],
    root: RouteNode,
}

/// The segments that may follow on the same first segments.
#[derive(Default)]
struct RouteNode {
    /// In the order of the table, so that the most requested ones are found first.
    literals: Vec<(&'static str, RouteNode)>,
    parameter: Option<Box<RouteNode>>,
    /// The endpoints of the path that ends here.
    served: Option<ServedPath>,
}

/// The endpoints of one path.
struct ServedPath {
    has_base: bool,
    allow: Allow,
    /// Methods with the indices of their endpoints in the table.
    endpoints: Vec<(Verb, usize)>,
}

impl<A: 'static> Routes<A> {
    /// The endpoints of a table that are served.
    pub(super) fn new(
        endpoints: &'static [Endpoint<A>],
        is_served: impl Fn(&Endpoint<A>) -> bool,
    ) -> Self {
        let mut root = RouteNode::default();
        for (number, endpoint) in endpoints.iter().enumerate() {
            for path in endpoint.paths.iter().filter(|_| is_served(endpoint)) {
                let node = path.split('/').fold(&mut root, RouteNode::behind);
                let served = node.served.get_or_insert(ServedPath {
                    has_base: endpoint.scope != Scope::Plain,
                    allow: Allow::default(),
                    endpoints: Vec::new(),
                });
                served.allow = served.allow.with(endpoint.verb);
                served.endpoints.push((endpoint.verb, number));
            }
        }
        Self { endpoints, root }
    }

    /// Returns the meaning of `method` on `path`.
    pub(super) fn find<'p>(
        &self,
        method: &Method,
        path: &'p str,
    ) -> Result<RouteTarget<'p, A>, RouteRefusal> {
        let (served, arguments) = self.served(path).ok_or(RouteRefusal::NotFound)?;
        let allow = served.allow;
        let verb = Verb::of(method);
        let mut endpoints = served.endpoints.iter();
        let found = endpoints.find(|(of_path, _)| Some(*of_path) == verb);
        let found = found.and_then(|(_, number)| Some((*number, self.endpoints.get(*number)?)));
        match found {
            Some((number, endpoint)) => Ok(RouteTarget::Endpoint(FoundEndpoint {
                endpoint,
                number,
                arguments,
                allow,
            })),
            None if method == Method::OPTIONS => Ok(RouteTarget::Options { allow: Some(allow) }),
            None => Err(RouteRefusal::MethodNotAllowed { allow }),
        }
    }

    /// Returns the endpoints of a path, with or without a slash at its end.
    fn served<'p>(&self, path: &'p str) -> Option<(&ServedPath, PathArguments<'p>)> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let behind_base = without_base(path)?;
        let (served, arguments) = self.root.find(behind_base)?;
        let fits = served.has_base || behind_base.len() == path.len();
        fits.then_some((served, arguments))
    }
}

impl RouteNode {
    /// The node behind one more segment of a pattern.
    fn behind(&mut self, segment: &'static str) -> &mut Self {
        if segment.starts_with('{') {
            return self.parameter.get_or_insert_default();
        }
        let known = self.literals.iter().position(|(name, _)| *name == segment);
        let place = known.unwrap_or_else(|| {
            self.literals.push((segment, Self::default()));
            self.literals.len() - 1
        });
        #[expect(
            clippy::indexing_slicing,
            reason = "it was found there, or put there just now"
        )]
        &mut self.literals[place].1
    }

    /// Returns the endpoints of a path, and its arguments.
    fn find<'p>(&self, path: &'p str) -> Option<(&ServedPath, PathArguments<'p>)> {
        let (mut node, mut rest) = (self, path);
        let mut arguments = PathArguments::default();
        loop {
            let (segment, behind) = first_segment(rest);
            node = if let Some(literal) = node.literal(segment) {
                literal
            } else if let Some(parameter) = node.parameter(segment) {
                arguments = arguments.with(segment);
                parameter
            } else {
                break;
            };
            match (behind, &node.served) {
                (Some(behind), _) => rest = behind,
                (None, Some(served)) => return Some((served, arguments)),
                (None, None) => break,
            }
        }
        // A literal led nowhere, and beside it there may have been a parameter.
        self.find_beside(Some(path), PathArguments::default())
    }

    /// The same, whichever segments are parameters.
    #[cold]
    fn find_beside<'p>(
        &self,
        rest: Option<&'p str>,
        arguments: PathArguments<'p>,
    ) -> Option<(&ServedPath, PathArguments<'p>)> {
        let Some(rest) = rest else {
            return Some((self.served.as_ref()?, arguments));
        };
        let (segment, behind) = first_segment(rest);
        let literal = self.literal(segment);
        literal
            .and_then(|node| node.find_beside(behind, arguments))
            .or_else(|| {
                let node = self.parameter(segment)?;
                node.find_beside(behind, arguments.with(segment))
            })
    }

    fn literal(&self, segment: &str) -> Option<&Self> {
        let mut literals = self.literals.iter();
        let found = literals.find(|(name, _)| *name == segment);
        found.map(|(_, node)| node)
    }

    fn parameter(&self, segment: &str) -> Option<&Self> {
        given(segment).and(self.parameter.as_deref())
    }
}

/// The first segment of a path, and the path behind it.
fn first_segment(path: &str) -> (&str, Option<&str>) {
    // Segments are too short to pay for the setup of a search of longer texts.
    let slash = path.bytes().position(|byte| byte == b'/');
    match slash.and_then(|slash| path.split_at_checked(slash)) {
        Some((segment, behind)) => (segment, behind.strip_prefix('/')),
        None => (path, None),
    }
}

/// The part that stands for anything in the base `api/fec2/{anything}` of a path.
pub(super) fn campus(path: &str) -> Option<&str> {
    let (campus, _) = path.strip_prefix("/api/fec2/")?.split_once('/')?;
    given(campus)
}

/// The path behind the base that a client was configured with: `api`, `api/fec2/{anything}`, none.
fn without_base(path: &str) -> Option<&str> {
    let Some(rest) = path.strip_prefix("api/") else {
        return Some(path);
    };
    match rest.strip_prefix("fec2/") {
        Some(campus) => {
            let (campus, rest) = campus.split_once('/')?;
            given(campus).and(Some(rest))
        }
        None => Some(rest),
    }
}

fn given(segment: &str) -> Option<&str> {
    (!segment.is_empty()).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn endpoint(
        name: &'static str,
        verb: Verb,
        path: &'static [&'static str],
    ) -> Endpoint<()> {
        Endpoint {
            name,
            verb,
            paths: path,
            scope: Scope::Plain,
            action: (),
        }
    }

    /// Parameters before literals, so that no order of the table is of help.
    const TABLE: &[Endpoint<()>] = &[
        endpoint("one", Verb::Get, &["{a}"]),
        endpoint("two", Verb::Get, &["{a}/{b}"]),
        endpoint("behind", Verb::Put, &["{a}/list"]),
        endpoint("remove", Verb::Delete, &["{b}"]),
        endpoint("within", Verb::Post, &["shop/{a}"]),
        endpoint("shop", Verb::Get, &["shop", "shop/all/{a}/x"]),
    ];

    fn find<'p>(
        method: &Method,
        path: &'p str,
    ) -> Result<(&'static str, [Option<&'p str>; 2]), String> {
        let routes = Routes::new(TABLE, |_| true);
        match routes.find(method, path) {
            Ok(RouteTarget::Endpoint(found)) => {
                assert_eq!(TABLE[found.number].name, found.endpoint.name);
                Ok((found.endpoint.name, found.arguments.0))
            }
            Ok(RouteTarget::Options { allow }) => Err(format!("204 {}", allow.unwrap())),
            Err(RouteRefusal::NotFound) => Err("404".to_owned()),
            Err(RouteRefusal::MethodNotAllowed { allow }) => Err(format!("405 {allow}")),
        }
    }

    #[test]
    fn a_literal_segment_outranks_a_parameter_from_the_left() {
        let get = |path| find(&Method::GET, path);
        assert_eq!(get("/x"), Ok(("one", [Some("x"), None])));
        assert_eq!(get("/shop"), Ok(("shop", [None, None])));
        assert_eq!(get("/x/y"), Ok(("two", [Some("x"), Some("y")])));
        assert_eq!(get("/shop/all/5/x"), Ok(("shop", [Some("5"), None])));
        let put = |path| find(&Method::PUT, path);
        assert_eq!(put("/x/list"), Ok(("behind", [Some("x"), None])));
        // `shop` outranks `{a}`, though `list` stands behind that.
        assert_eq!(put("/shop/list"), Err("405 POST, OPTIONS".to_owned()));
        // Where a literal leads nowhere, the parameter beside it is tried.
        let all = Ok(("within", [Some("all"), None]));
        assert_eq!(find(&Method::POST, "/shop/all"), all);
    }

    #[test]
    fn the_methods_of_a_path_are_those_of_its_endpoints() {
        let all = "GET, HEAD, DELETE, OPTIONS";
        assert_eq!(find(&Method::POST, "/x"), Err(format!("405 {all}")));
        assert_eq!(find(&Method::OPTIONS, "/x/"), Err(format!("204 {all}")));
        assert_eq!(find(&Method::HEAD, "/x"), find(&Method::GET, "/x"));
        let removed = Ok(("remove", [Some("x"), None]));
        assert_eq!(find(&Method::DELETE, "/x/"), removed);
        let only = |verbs: &[Verb]| {
            let all = verbs
                .iter()
                .fold(Allow::default(), |all, verb| all.with(*verb));
            all.only_reads().to_string()
        };
        assert_eq!(only(&[Verb::Post, Verb::Get]), "GET, HEAD, OPTIONS");
        assert_eq!(only(&[Verb::Put]), "OPTIONS");
    }

    #[test]
    fn a_parameter_is_never_empty_and_a_plain_path_has_no_base() {
        for path in ["/", "", "*", "x", "//", "//x", "/x//", "/api/x/y/z"] {
            assert_eq!(find(&Method::GET, path), Err("404".to_owned()), "{path}");
        }
        assert_eq!(find(&Method::GET, "/api/x"), Err("404".to_owned()));
    }

    #[test]
    fn a_campus_is_what_stands_in_the_base() {
        assert_eq!(campus("/api/fec2/hr-lax/products"), Some("hr-lax"));
        assert_eq!(campus("/api/fec2/hr%2Dlax/products/1/"), Some("hr%2Dlax"));
        for path in [
            "/products",
            "/api/products",
            "/api/fec2/hr-lax",
            "/api/fec2//products",
        ] {
            assert_eq!(campus(path), None, "{path}");
        }
    }
}
