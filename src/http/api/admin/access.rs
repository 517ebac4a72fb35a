//! The clients of the admin port, and what each role may use.
//!
//! Must not know the endpoints. Invariant: an operator may use every endpoint.

use crate::error::ApiError;
use crate::model::moderation::{Actor, Role};

/// The clients that may use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Every client that reaches the port.
    Open,
    /// Clients with one of these roles.
    Roles(&'static [Role]),
}

impl Access {
    /// Admits a client with `role`.
    pub(super) fn admit(self, role: Role) -> Result<(), ApiError> {
        match self {
            Self::Open => Ok(()),
            Self::Roles(roles) if roles.contains(&role) => Ok(()),
            Self::Roles(needed) => Err(ApiError::OtherRole { needed }),
        }
    }
}

/// True if clients with this role are shown the e-mail addresses of reviewers.
pub(super) fn sees_addresses(role: Role) -> bool {
    match role {
        Role::Moderator | Role::Operator => true,
        Role::Reader | Role::Catalogue | Role::Replica => false,
    }
}

/// Returns a client on the same machine, which is the operator's.
pub(super) fn local() -> Actor {
    Actor {
        name: "loopback".to_owned(),
        role: Role::Operator,
    }
}
