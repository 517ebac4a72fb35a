//! A problem, and its remedy.

use std::fmt;

use serde::Serialize;

/// One thing that is wrong, or will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The check that found it: one word.
    pub(crate) check: &'static str,
    /// Returns the fault, as a sentence.
    pub(crate) what: String,
    /// The remedy that an operator applies.
    pub(crate) remedy: String,
}

impl Finding {
    pub(super) fn new(
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// The findings, and the things that could not be looked at.
#[derive(Debug, Default, Serialize)]
pub(super) struct DoctorReport {
    pub(super) findings: Vec<Finding>,
    /// A sentence for each thing that this user, or this machine, cannot see.
    pub(super) unchecked: Vec<String>,
}

impl DoctorReport {
    pub(super) fn add(
        &mut self,
        check: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding::new(check, what, remedy));
    }

    pub(super) fn unchecked(&mut self, what: impl Into<String>) {
        self.unchecked.push(what.into());
    }
}
