//! Validation errors of a request, each with its location.
//!
//! Must not know which rules there are. Invariant: a request has at most [`FAULTS_MAX`] faults,
//! however much is wrong with it, so an answer stays within a small multiple of the request.

use std::borrow::Cow;

use super::json::JsonWriter;

/// Faults that are named at most; a client with more has other faults to fix first.
const FAULTS_MAX: usize = 64;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ValidationError {
    detail: Cow<'static, str>,
    place: FaultLocation,
}

/// A location within a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultLocation {
    /// A parameter of the query, or an id in the path.
    Parameter(&'static str),
    /// A header.
    Header(&'static str),
    /// A location in the body, as a JSON pointer (RFC 6901).
    Pointer(String),
}

impl FaultLocation {
    /// A member of the body.
    pub(super) fn member(name: &str) -> Self {
        Self::Pointer(format!("/{name}"))
    }

    /// A member of a member of the body.
    pub(super) fn within(name: &str, inner: &str) -> Self {
        let inner = inner.replace('~', "~0").replace('/', "~1");
        Self::Pointer(format!("/{name}/{inner}"))
    }
}

impl ValidationError {
    /// A fault that a sentence describes.
    pub(super) fn new(place: FaultLocation, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { detail, place }
    }

    /// A parameter that is missing or makes no sense.
    pub(super) fn invalid(parameter: &'static str) -> Self {
        let detail = format!("invalid {parameter} provided");
        Self::new(FaultLocation::Parameter(parameter), detail)
    }

    /// Returns the fault, as a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The parameter that is at fault.
    #[cfg(test)]
    pub(super) fn parameter(&self) -> Option<&'static str> {
        match self.place {
            FaultLocation::Parameter(name) => Some(name),
            _ => None,
        }
    }

    /// Writes it as a member of the `errors` of a problem.
    pub(super) fn write(&self, json: &mut JsonWriter) {
        json.raw(r#"{"detail":"#).text(&self.detail);
        match &self.place {
            FaultLocation::Parameter(name) => json.raw(r#","parameter":"#).text(name),
            FaultLocation::Header(name) => json.raw(r#","header":"#).text(name),
            FaultLocation::Pointer(pointer) => json.raw(r#","pointer":"#).text(pointer),
        };
        json.raw("}");
    }
}

/// The validation errors of a request, in the order they were found.
#[derive(Debug, Default)]
pub(super) struct ValidationErrors(Vec<ValidationError>);

impl ValidationErrors {
    /// Notes one more.
    pub(super) fn add(&mut self, place: FaultLocation, detail: impl Into<Cow<'static, str>>) {
        self.push(ValidationError::new(place, detail));
    }

    /// Notes one more.
    pub(super) fn push(&mut self, fault: ValidationError) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    /// True if nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub(super) fn into_vec(self) -> Vec<ValidationError> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_would_make_it_another() {
        let place = FaultLocation::within("characteristics", "a/b~1");
        assert_eq!(
            place,
            FaultLocation::Pointer("/characteristics/a~1b~01".to_owned())
        );
    }

    #[test]
    fn the_number_of_faults_is_bounded() {
        let mut faults = ValidationErrors::default();
        for _ in 0..1000 {
            faults.add(FaultLocation::member("photos"), "no");
        }
        assert_eq!(faults.into_vec().len(), FAULTS_MAX);
    }
}
