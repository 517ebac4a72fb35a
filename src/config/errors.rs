//! All that is wrong with a configuration, collected.

use super::{Error, Origin};

/// The faults that were found so far.
#[derive(Debug, Default)]
pub(super) struct ConfigErrors(Vec<Error>);

impl ConfigErrors {
    /// Adds one; the parts of several are added one by one.
    pub(super) fn add(&mut self, fault: Error) {
        match fault {
            Error::Several(faults) => self.0.extend(faults),
            fault => self.0.push(fault),
        }
    }

    /// Adds that a key must be as `expected`, unless it is valid.
    pub(super) fn check(&mut self, key: &'static str, valid: bool, expected: impl Into<String>) {
        if !valid {
            self.0.push(Error::OutOfRange {
                key,
                expected: expected.into(),
                origin: Origin::Default,
            });
        }
    }

    /// Returns the value of a result, or adds its fault and returns nothing.
    pub(super) fn take<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Puts those of a file in its order.
    pub(super) fn sort_by_line(&mut self) {
        self.0.sort_by_key(|fault| match fault {
            Error::Parse { line, .. } => *line,
            _ => None,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error if there is any.
    pub(super) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(self.into_error())
    }

    /// The only fault, or all of them.
    pub(super) fn into_error(mut self) -> Error {
        match self.0.pop() {
            Some(only) if self.0.is_empty() => only,
            last => {
                self.0.extend(last);
                Error::Several(self.0)
            }
        }
    }
}
