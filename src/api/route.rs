//! What a method and a path name: a pure function, and the table of every path there is.
//!
//! Must not know what a route answers, nor whether an id in a path is one. Invariant: a path that
//! is in the table has an `Allow`, so a wrong method on it is never a 404.

use hyper::Method;

use super::error::ApiError;

/// Methods of a path that can be read.
const ALLOW_READ: &str = "GET, HEAD, OPTIONS";
/// Methods of a path that can be read, and that reviews can be added at.
const ALLOW_ADD: &str = "GET, HEAD, POST, OPTIONS";
/// Methods of a path that votes and reports go to.
const ALLOW_VOTE: &str = "PUT, OPTIONS";
/// Methods of a path that is written to and holds nothing.
const ALLOW_DISCARD: &str = "POST, OPTIONS";

/// The listener that a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// The public API.
    Public,
    /// The public API, and beside it what front ends ask other services for.
    WithNeighbours,
    /// The operator's port.
    Admin,
}

/// Something that can be read. Ids are as the path writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Reviews { product: Option<&'p str> },
    Meta { product: Option<&'p str> },
    Review { id: &'p str },
    Products,
    Product { id: &'p str },
    Styles { id: &'p str },
    Related { id: &'p str },
    Questions,
    Cart,
    Livez,
    Readyz,
    Version,
    Metrics,
}

/// Something that can be changed. Ids are as the path writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteRoute<'p> {
    /// Add a review, of the product that the path names or the body does.
    Add {
        product: Option<&'p str>,
    },
    Vote {
        review: &'p str,
    },
    Report {
        review: &'p str,
    },
}

impl WriteRoute<'_> {
    /// The methods of its path where nothing can be changed.
    pub(super) fn allow_without(self) -> &'static str {
        match self {
            Self::Add { .. } => ALLOW_READ,
            Self::Vote { .. } | Self::Report { .. } => "OPTIONS",
        }
    }
}

/// The meaning of a method and a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteTarget<'p> {
    /// Read it.
    Read(Route<'p>),
    /// Change something by it.
    Write(WriteRoute<'p>),
    /// Take what comes, and throw it away.
    Discard,
    /// Say what may be done with it; `None` is for a path that nothing is served at.
    Options { allow: Option<&'static str> },
}

/// Why nothing is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteRefusal {
    NotFound,
    MethodNotAllowed { allow: &'static str },
}

impl From<RouteRefusal> for ApiError {
    fn from(refusal: RouteRefusal) -> Self {
        match refusal {
            RouteRefusal::NotFound => Self::NoSuchPath,
            RouteRefusal::MethodNotAllowed { allow } => Self::MethodNotAllowed { allow },
        }
    }
}

/// One row of the table: what a path is.
#[derive(Debug, Clone, Copy)]
enum PathPattern<'p> {
    Readable(Route<'p>),
    /// A path that can be read, and that reviews, of this product, can be added at.
    Open(Route<'p>, Option<&'p str>),
    /// A vote for a review, or a report of it.
    Vote(WriteRoute<'p>),
    Discard,
}

/// Returns the meaning of `method` on `path` on `surface`.
pub(super) fn find<'p>(
    surface: Surface,
    method: &Method,
    path: &'p str,
) -> Result<RouteTarget<'p>, RouteRefusal> {
    let Some(place) = place(surface, path) else {
        // A browser asks before it lets a page see even the 404 of another request.
        return if surface != Surface::Admin && method == Method::OPTIONS {
            Ok(RouteTarget::Options { allow: None })
        } else {
            Err(RouteRefusal::NotFound)
        };
    };
    let reads = method == Method::GET || method == Method::HEAD;
    match place {
        PathPattern::Readable(route) | PathPattern::Open(route, _) if reads => {
            Ok(RouteTarget::Read(route))
        }
        PathPattern::Open(_, product) if method == Method::POST => {
            Ok(RouteTarget::Write(WriteRoute::Add { product }))
        }
        PathPattern::Vote(write_route) if method == Method::PUT => {
            Ok(RouteTarget::Write(write_route))
        }
        PathPattern::Discard if method == Method::POST => Ok(RouteTarget::Discard),
        PathPattern::Readable(_) => ask(method, ALLOW_READ),
        PathPattern::Open(..) => ask(method, ALLOW_ADD),
        PathPattern::Vote(_) => ask(method, ALLOW_VOTE),
        PathPattern::Discard => ask(method, ALLOW_DISCARD),
    }
}

fn place(surface: Surface, path: &str) -> Option<PathPattern<'_>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    match surface {
        Surface::Public => public(path),
        Surface::WithNeighbours => public(path).or_else(|| neighbours(path)),
        Surface::Admin => admin(path),
    }
}

fn ask(method: &Method, allow: &'static str) -> Result<RouteTarget<'static>, RouteRefusal> {
    if method == Method::OPTIONS {
        Ok(RouteTarget::Options { allow: Some(allow) })
    } else {
        Err(RouteRefusal::MethodNotAllowed { allow })
    }
}

fn admin(path: &str) -> Option<PathPattern<'_>> {
    match path {
        "livez" => Some(PathPattern::Readable(Route::Livez)),
        "readyz" => Some(PathPattern::Readable(Route::Readyz)),
        "version" => Some(PathPattern::Readable(Route::Version)),
        "metrics" => Some(PathPattern::Readable(Route::Metrics)),
        _ => None,
    }
}

fn public(path: &str) -> Option<PathPattern<'_>> {
    match path {
        "livez" => return Some(PathPattern::Readable(Route::Livez)),
        "readyz" => return Some(PathPattern::Readable(Route::Readyz)),
        _ => {}
    }
    let mut segments = without_base(path)?.split('/');
    let place = match (segments.next()?, segments.next(), segments.next()) {
        ("reviews", first, second) => reviews(first, second)?,
        ("products", first, second) => PathPattern::Readable(products(first, second)?),
        _ => return None,
    };
    segments.next().is_none().then_some(place)
}

fn neighbours(path: &str) -> Option<PathPattern<'_>> {
    match without_base(path)? {
        "qa/questions" => Some(PathPattern::Readable(Route::Questions)),
        "cart" => Some(PathPattern::Readable(Route::Cart)),
        "interactions" => Some(PathPattern::Discard),
        _ => None,
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

fn reviews<'p>(first: Option<&'p str>, second: Option<&'p str>) -> Option<PathPattern<'p>> {
    Some(match (first, second) {
        (None, _) => PathPattern::Open(Route::Reviews { product: None }, None),
        (Some("meta"), None) => PathPattern::Readable(Route::Meta { product: None }),
        // `helpful` and `report` are spelled before the id and behind it.
        (Some("helpful"), Some(id)) | (Some(id), Some("helpful")) => {
            PathPattern::Vote(WriteRoute::Vote { review: given(id)? })
        }
        (Some("report"), Some(id)) | (Some(id), Some("report")) => {
            PathPattern::Vote(WriteRoute::Report { review: given(id)? })
        }
        (Some(id), Some("list")) => PathPattern::Readable(Route::Reviews {
            product: Some(given(id)?),
        }),
        (Some(id), Some("meta")) => PathPattern::Readable(Route::Meta {
            product: Some(given(id)?),
        }),
        (Some(id), None) => PathPattern::Open(Route::Review { id: given(id)? }, Some(id)),
        _ => return None,
    })
}

fn products<'p>(first: Option<&'p str>, second: Option<&'p str>) -> Option<Route<'p>> {
    Some(match (first, second) {
        (None | Some("list"), None) => Route::Products,
        (Some(id), None) => Route::Product { id: given(id)? },
        (Some(id), Some("styles")) => Route::Styles { id: given(id)? },
        (Some(id), Some("related")) => Route::Related { id: given(id)? },
        _ => return None,
    })
}

fn given(id: &str) -> Option<&str> {
    (!id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<RouteTarget<'_>, RouteRefusal> {
        find(Surface::Public, &Method::GET, path)
    }

    fn read(path: &str) -> Route<'_> {
        match get(path) {
            Ok(RouteTarget::Read(route)) => route,
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn both_spellings_name_one_route() {
        assert_eq!(read("/reviews"), Route::Reviews { product: None });
        let list = Route::Reviews { product: Some("2") };
        assert_eq!(read("/reviews/2/list"), list);
        assert_eq!(read("/reviews/meta"), Route::Meta { product: None });
        let meta = Route::Meta { product: Some("2") };
        assert_eq!(read("/reviews/2/meta"), meta);
        assert_eq!(read("/reviews/2"), Route::Review { id: "2" });
        assert_eq!(read("/products"), Route::Products);
        assert_eq!(read("/products/list"), Route::Products);
        assert_eq!(read("/products/7"), Route::Product { id: "7" });
        assert_eq!(read("/products/7/styles"), Route::Styles { id: "7" });
        assert_eq!(read("/products/7/related"), Route::Related { id: "7" });
    }

    #[test]
    fn routes_match_under_every_base_and_with_a_trailing_slash() {
        let paths = [
            "/reviews",
            "/reviews/meta",
            "/reviews/2",
            "/reviews/2/list",
            "/reviews/2/meta",
            "/products",
            "/products/list",
            "/products/2",
            "/products/2/styles",
            "/products/2/related",
        ];
        for path in paths {
            for base in ["", "/api", "/api/fec2/hr-rfp", "/api/fec2/anything"] {
                for slash in ["", "/"] {
                    let spelled = format!("{base}{path}{slash}");
                    assert_eq!(get(&spelled), get(path), "{spelled}");
                }
            }
        }
    }

    #[test]
    fn unknown_paths_are_not_found_whatever_the_method() {
        for path in [
            "/",
            "",
            "*",
            "reviews",
            "//reviews",
            "/reviews//",
            "/reviews//list",
            "/reviews/2/list/3",
            "/reviews/2/photos",
            "/products/2/styles/1",
            "/products//styles",
            "/cart",
            "/api",
            "/api/",
            "/api/fec2",
            "/api/fec2/hr-rfp",
            "/api/fec2//reviews",
            "/api/api/reviews",
            "/api/livez",
            "/version",
            "/metrics",
        ] {
            for method in [Method::GET, Method::POST, Method::PUT] {
                let found = find(Surface::Public, &method, path);
                assert_eq!(found, Err(RouteRefusal::NotFound), "{method} {path}");
            }
            let options = find(Surface::Public, &Method::OPTIONS, path);
            assert_eq!(options, Ok(RouteTarget::Options { allow: None }), "{path}");
            let admin = find(Surface::Admin, &Method::OPTIONS, "/nowhere");
            assert_eq!(admin, Err(RouteRefusal::NotFound));
        }
    }

    #[test]
    fn what_is_to_be_changed_is_named_in_both_spellings() {
        let write = |method, path| match find(Surface::Public, &method, path) {
            Ok(RouteTarget::Write(write_route)) => write_route,
            other => panic!("{path} is {other:?}"),
        };
        let add = |product| WriteRoute::Add { product };
        assert_eq!(write(Method::POST, "/reviews"), add(None));
        assert_eq!(write(Method::POST, "/api/fec2/x/reviews/"), add(None));
        assert_eq!(write(Method::POST, "/reviews/2"), add(Some("2")));
        assert_eq!(write(Method::POST, "/api/reviews/2/"), add(Some("2")));
        let put = |path| write(Method::PUT, path);
        let vote = WriteRoute::Vote { review: "5" };
        assert_eq!(put("/reviews/5/helpful"), vote);
        assert_eq!(put("/api/reviews/helpful/5/"), vote);
        let report = WriteRoute::Report { review: "5" };
        assert_eq!(put("/reviews/5/report/"), report);
        assert_eq!(put("/api/fec2/x/reviews/report/5"), report);
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let delete = |path| find(Surface::Public, &Method::DELETE, path);
        let post = |path| find(Surface::Public, &Method::POST, path);
        let refused = |allow| Err(RouteRefusal::MethodNotAllowed { allow });
        for path in ["/reviews", "/reviews/1"] {
            assert_eq!(delete(path), refused("GET, HEAD, POST, OPTIONS"), "{path}");
        }
        for path in ["/reviews/meta", "/reviews/1/list", "/products/1", "/livez"] {
            assert_eq!(delete(path), refused("GET, HEAD, OPTIONS"), "{path}");
            assert_eq!(post(path), refused("GET, HEAD, OPTIONS"), "{path}");
        }
        for path in [
            "/reviews/1/helpful",
            "/reviews/1/report",
            "/reviews/helpful/1",
            "/reviews/report/1/",
        ] {
            assert_eq!(post(path), refused("PUT, OPTIONS"), "{path}");
            assert_eq!(get(path), refused("PUT, OPTIONS"), "{path}");
        }
    }

    #[test]
    fn options_of_a_known_path_name_its_methods() {
        for (path, allow) in [
            ("/reviews", "GET, HEAD, POST, OPTIONS"),
            ("/reviews/meta", "GET, HEAD, OPTIONS"),
            ("/reviews/1/helpful", "PUT, OPTIONS"),
        ] {
            let options = find(Surface::Public, &Method::OPTIONS, path);
            let allow = Some(allow);
            assert_eq!(options, Ok(RouteTarget::Options { allow }), "{path}");
        }
    }

    #[test]
    fn neighbours_are_found_where_they_are_asked_for_alone() {
        fn find<'p>(method: &Method, path: &'p str) -> Result<RouteTarget<'p>, RouteRefusal> {
            super::find(Surface::WithNeighbours, method, path)
        }
        for base in ["", "/api", "/api/fec2/hr-rfp"] {
            let path = |path| format!("{base}{path}");
            let questions = Ok(RouteTarget::Read(Route::Questions));
            assert_eq!(find(&Method::GET, &path("/qa/questions")), questions);
            let cart = Ok(RouteTarget::Read(Route::Cart));
            assert_eq!(find(&Method::GET, &path("/cart/")), cart);
            let interactions = path("/interactions");
            assert_eq!(find(&Method::POST, &interactions), Ok(RouteTarget::Discard));
            assert_eq!(get(&path("/cart")), Err(RouteRefusal::NotFound));
        }
        let refused = |allow| Err(RouteRefusal::MethodNotAllowed { allow });
        assert_eq!(find(&Method::POST, "/cart"), refused("GET, HEAD, OPTIONS"));
        assert_eq!(
            find(&Method::GET, "/interactions"),
            refused("POST, OPTIONS")
        );
        let products = Ok(RouteTarget::Read(Route::Products));
        assert_eq!(find(&Method::GET, "/products"), products);
        for path in ["/qa", "/qa/questions/5", "/cart/1", "/nowhere"] {
            assert_eq!(
                find(&Method::GET, path),
                Err(RouteRefusal::NotFound),
                "{path}"
            );
        }
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

    #[test]
    fn the_operators_port_knows_its_own_paths_only() {
        let get = |path| find(Surface::Admin, &Method::GET, path);
        assert_eq!(get("/livez"), Ok(RouteTarget::Read(Route::Livez)));
        assert_eq!(get("/readyz/"), Ok(RouteTarget::Read(Route::Readyz)));
        assert_eq!(get("/version"), Ok(RouteTarget::Read(Route::Version)));
        assert_eq!(get("/metrics"), Ok(RouteTarget::Read(Route::Metrics)));
        assert_eq!(get("/reviews"), Err(RouteRefusal::NotFound));
    }
}
