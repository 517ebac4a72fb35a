//! The paths of what an operator does with the store.
//!
//! Must not know what they do. Invariant: a path that is in the table has an `Allow`, so a wrong method
//! on it is never a 404.

use hyper::Method;

use crate::error::ApiError;

/// Something that an operator asks for. Ids and names are as the path writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminTarget<'p> {
    Stats,
    Rows { family: &'p str },
    Find,
    Erase,
    Reported,
    RestoreReported,
    Review { id: &'p str },
    Restore { id: &'p str },
    Response { id: &'p str },
}

/// A task of the admin port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task<'p> {
    Stats,
    Rows { family: &'p str },
    Find,
    Erase,
    Reported,
    RestoreReported,
    Show { id: &'p str },
    Remove { id: &'p str },
    Restore { id: &'p str },
    Respond { id: &'p str },
    TakeResponse { id: &'p str },
    Options { allow: &'static str },
}

impl Task<'_> {
    /// True if the path is for changing reviews, which only a primary does.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Stats
            | Self::Rows { .. }
            | Self::Find
            | Self::Reported
            | Self::Show { .. }
            | Self::Options { .. } => false,
            Self::Erase
            | Self::RestoreReported
            | Self::Remove { .. }
            | Self::Restore { .. }
            | Self::Respond { .. }
            | Self::TakeResponse { .. } => true,
        }
    }
}

/// The place that a path names.
pub(super) fn find(path: &str) -> Option<AdminTarget<'_>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = path.split('/');
    let named = (segments.next()?, segments.next(), segments.next());
    let place = match named {
        ("stats", None, None) => AdminTarget::Stats,
        ("rows", Some(family), None) => AdminTarget::Rows { family },
        ("find", None, None) => AdminTarget::Find,
        ("erase", None, None) => AdminTarget::Erase,
        ("reviews", Some("reported"), None) => AdminTarget::Reported,
        ("reviews", Some(id), None) => AdminTarget::Review { id },
        ("reviews", Some("reported"), Some("restore")) => AdminTarget::RestoreReported,
        ("reviews", Some(id), Some("restore")) => AdminTarget::Restore { id },
        ("reviews", Some(id), Some("response")) => AdminTarget::Response { id },
        _ => return None,
    };
    segments.next().is_none().then_some(place)
}

/// Returns the task of a method at a place.
pub(super) fn task<'p>(place: AdminTarget<'p>, method: &Method) -> Result<Task<'p>, ApiError> {
    let (allow, task) = match place {
        AdminTarget::Stats => (READ, reads(method).then_some(Task::Stats)),
        AdminTarget::Rows { family } => (READ, reads(method).then_some(Task::Rows { family })),
        AdminTarget::Reported => (READ, reads(method).then_some(Task::Reported)),
        AdminTarget::Find => (POST, (method == Method::POST).then_some(Task::Find)),
        AdminTarget::Erase => (POST, (method == Method::POST).then_some(Task::Erase)),
        AdminTarget::RestoreReported => {
            let restores = method == Method::POST;
            (POST, restores.then_some(Task::RestoreReported))
        }
        AdminTarget::Review { id } if method == Method::DELETE => {
            (REVIEW, Some(Task::Remove { id }))
        }
        AdminTarget::Review { id } => (REVIEW, reads(method).then_some(Task::Show { id })),
        AdminTarget::Restore { id } => {
            let restores = method == Method::PUT;
            (PUT, restores.then_some(Task::Restore { id }))
        }
        AdminTarget::Response { id } if method == Method::DELETE => {
            (RESPONSE, Some(Task::TakeResponse { id }))
        }
        AdminTarget::Response { id } => {
            let responds = method == Method::PUT;
            (RESPONSE, responds.then_some(Task::Respond { id }))
        }
    };
    match task {
        Some(task) => Ok(task),
        None if method == Method::OPTIONS => Ok(Task::Options { allow }),
        None => Err(ApiError::MethodNotAllowed { allow }),
    }
}

const READ: &str = "GET, HEAD, OPTIONS";
const POST: &str = "POST, OPTIONS";
const PUT: &str = "PUT, OPTIONS";
const REVIEW: &str = "GET, HEAD, DELETE, OPTIONS";
const RESPONSE: &str = "PUT, DELETE, OPTIONS";

fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_methods_and_no_others() {
        for (path, allow) in [
            ("/stats", READ),
            ("/rows/reviews", READ),
            ("/find", POST),
            ("/erase/", POST),
            ("/reviews/reported", READ),
            ("/reviews/reported/restore", POST),
            ("/reviews/5", REVIEW),
            ("/reviews/5/restore", PUT),
            ("/reviews/5/response", RESPONSE),
        ] {
            let place = find(path).unwrap();
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
                let allowed = allow.split(", ").any(|one| one == method);
                let method = method.parse().unwrap();
                match task(place, &method) {
                    Ok(_) => assert!(allowed, "{method} {path}"),
                    Err(ApiError::MethodNotAllowed { allow: told }) => {
                        assert!(!allowed && told == allow, "{method} {path}");
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
        for path in [
            "/",
            "/reviews",
            "/rows",
            "/stats/x",
            "/reviews/5/helpful",
            "/reviews/5/response/x",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
