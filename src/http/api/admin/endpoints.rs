//! The table of the admin API: every endpoint with its path, its method, its name, the roles that may use it, and
//! the function that does it.
//!
//! Routes and `Allow` follow from a row. Must not know how anything is done, nor who a client is. Invariant: every
//! response of this port has a row here, but those of the replication protocol, which its own layer serves.

use std::pin::Pin;
use std::sync::LazyLock;

use hyper::http::request::Parts;

use crate::error::ApiError;
use crate::model::moderation::{Actor, Role};
use crate::reply::Reply;
use crate::route::{Endpoint, PathArguments, Routes, Scope, Verb};
use crate::writes::document::Members;

use super::access::Access;
use super::catalogue::CatalogueTask;
use super::guard;
use super::operator::Operator;

/// An endpoint of the admin API: its clients, and its action.
pub(super) struct AdminEndpoint {
    pub(super) access: Access,
    pub(super) action: AdminAction,
}

/// The action of an endpoint of the admin API.
pub(super) enum AdminAction {
    /// Answers whether the process lives.
    Livez,
    /// Answers whether it wants requests.
    Readyz,
    Version,
    Metrics,
    /// The replication status of a server with a store.
    Replication,
    /// Lets the operator of a store do it.
    Task(AdminTask),
    /// Lets the operator of a store do it to the catalogue.
    Catalogue(CatalogueTask),
    /// Lets the operator of a store make the changes of reviews that files ask for.
    MergeReviews,
}

/// A task of an operator.
pub(super) struct AdminTask {
    pub(super) needs: TaskNeeds,
    pub(super) run: TaskFunction,
}

/// The needs of a task.
pub(super) struct TaskNeeds {
    /// True if it changes reviews, which only a primary does.
    pub(super) primary: bool,
    /// A body describes it.
    pub(super) body: bool,
}

/// The function that does a task.
type TaskFunction = for<'r> fn(&'r Operator, TaskRequest<'r>) -> TaskReply<'r>;

/// The request for a task.
pub(super) struct TaskRequest<'r> {
    arguments: PathArguments<'r>,
    query: Option<&'r str>,
    /// True if the client names lines of JSON among what it takes.
    takes_lines: bool,
    /// The members of the body; none where a task has none.
    members: Members,
    /// The client that asks for it, as the audit log names it.
    actor: Actor,
}

/// The answer of a task.
pub(super) type TaskReply<'r> = Pin<Box<dyn Future<Output = Result<Reply, ApiError>> + Send + 'r>>;

impl<'r> TaskRequest<'r> {
    pub(super) fn new(
        arguments: PathArguments<'r>,
        head: &'r Parts,
        members: Members,
        actor: Actor,
    ) -> Self {
        Self {
            arguments,
            query: head.uri.query(),
            takes_lines: guard::takes_lines(&head.headers),
            members,
            actor,
        }
    }

    /// The name or the id in the path.
    fn named(&self) -> &'r str {
        self.arguments.first().unwrap_or_default()
    }
}

/// The endpoints.
const ENDPOINTS: &[Endpoint<AdminEndpoint>] = &[
    endpoint(
        "livez",
        Verb::Get,
        &["livez"],
        Access::Open,
        AdminAction::Livez,
    ),
    endpoint(
        "readyz",
        Verb::Get,
        &["readyz"],
        Access::Open,
        AdminAction::Readyz,
    ),
    endpoint(
        "version",
        Verb::Get,
        &["version"],
        ANY,
        AdminAction::Version,
    ),
    endpoint(
        "metrics",
        Verb::Get,
        &["metrics"],
        Access::Metrics,
        AdminAction::Metrics,
    ),
    endpoint(
        "replication",
        Verb::Get,
        &["replication"],
        Access::Position,
        AdminAction::Replication,
    ),
    endpoint(
        "stats",
        Verb::Get,
        &["stats"],
        READERS,
        task(LOOK, |operator, _| Box::pin(operator.stats())),
    ),
    endpoint(
        "rows",
        Verb::Get,
        &["rows/{family}"],
        OPERATORS,
        task(LOOK, |operator, asked| {
            Box::pin(operator.rows(asked.named(), asked.query))
        }),
    ),
    endpoint(
        "find",
        Verb::Post,
        &["find"],
        MODERATORS,
        task(LOOK_BY_BODY, |operator, asked| {
            Box::pin(operator.find(asked.members))
        }),
    ),
    endpoint(
        "erase",
        Verb::Post,
        &["erase"],
        OPERATORS,
        task(CHANGE_BY_BODY, |operator, asked| {
            Box::pin(operator.erase(asked.members, asked.actor))
        }),
    ),
    endpoint(
        "reported",
        Verb::Get,
        &["reviews/reported"],
        READERS,
        task(LOOK, |operator, asked| {
            Box::pin(operator.reported(asked.query, asked.actor.role))
        }),
    ),
    endpoint(
        "restore_reported",
        Verb::Post,
        &["reviews/reported/restore"],
        MODERATORS,
        task(CHANGE_BY_BODY, |operator, asked| {
            Box::pin(operator.restore_reported(asked.members, asked.actor))
        }),
    ),
    endpoint(
        "moderate",
        Verb::Post,
        &["reviews/moderate"],
        MODERATORS,
        task(CHANGE_BY_BODY, |operator, asked| {
            Box::pin(operator.moderate(asked.members, asked.actor))
        }),
    ),
    endpoint(
        "queue",
        Verb::Get,
        &["reviews"],
        READERS,
        task(LOOK, |operator, asked| {
            Box::pin(operator.queue(asked.query, asked.actor.role))
        }),
    ),
    endpoint(
        "count_reviews",
        Verb::Get,
        &["reviews/counts"],
        READERS,
        task(LOOK, |operator, _| Box::pin(operator.counts())),
    ),
    endpoint(
        "audit",
        Verb::Get,
        &["audit"],
        READERS,
        task(LOOK, |operator, asked| {
            Box::pin(operator.audit(asked.query, asked.takes_lines))
        }),
    ),
    endpoint(
        "undo",
        Verb::Post,
        &["audit/{entry}/undo"],
        MODERATORS,
        task(CHANGE, |operator, asked| {
            Box::pin(operator.undo(asked.named(), asked.actor))
        }),
    ),
    endpoint(
        "merge_reviews",
        Verb::Post,
        &["reviews/merge"],
        OPERATORS,
        AdminAction::MergeReviews,
    ),
    endpoint(
        "show",
        Verb::Get,
        &["reviews/{review_id}"],
        READERS,
        task(LOOK, |operator, asked| {
            Box::pin(operator.show(asked.named(), asked.actor.role))
        }),
    ),
    endpoint(
        "remove",
        Verb::Delete,
        &["reviews/{review_id}"],
        MODERATORS,
        task(CHANGE, |operator, asked| {
            Box::pin(operator.remove(asked.named(), asked.actor))
        }),
    ),
    endpoint(
        "restore",
        Verb::Put,
        &["reviews/{review_id}/restore"],
        MODERATORS,
        task(CHANGE, |operator, asked| {
            Box::pin(operator.restore(asked.named(), asked.actor))
        }),
    ),
    endpoint(
        "respond",
        Verb::Put,
        &["reviews/{review_id}/response"],
        MODERATORS,
        task(CHANGE_BY_BODY, |operator, asked| {
            Box::pin(operator.respond(asked.named(), asked.members, asked.actor))
        }),
    ),
    endpoint(
        "take_response",
        Verb::Delete,
        &["reviews/{review_id}/response"],
        MODERATORS,
        task(CHANGE, |operator, asked| {
            Box::pin(operator.take_response(asked.named(), asked.actor))
        }),
    ),
    endpoint(
        "show_product",
        Verb::Get,
        &["products/{product_id}"],
        READERS,
        AdminAction::Catalogue(CatalogueTask::Show),
    ),
    endpoint(
        "put_product",
        Verb::Put,
        &["products/{product_id}"],
        MERCHANTS,
        AdminAction::Catalogue(CatalogueTask::Put),
    ),
    endpoint(
        "patch_product",
        Verb::Patch,
        &["products/{product_id}"],
        MERCHANTS,
        AdminAction::Catalogue(CatalogueTask::Patch),
    ),
    endpoint(
        "remove_product",
        Verb::Delete,
        &["products/{product_id}"],
        MERCHANTS,
        AdminAction::Catalogue(CatalogueTask::Remove),
    ),
    endpoint(
        "patch_sku",
        Verb::Patch,
        &["skus/{sku_id}"],
        MERCHANTS,
        AdminAction::Catalogue(CatalogueTask::PatchSku),
    ),
    endpoint(
        "change_catalogue",
        Verb::Post,
        &["catalogue"],
        MERCHANTS,
        AdminAction::Catalogue(CatalogueTask::Bulk),
    ),
];

/// The table, by path.
pub(super) static ROUTES: LazyLock<Routes<AdminEndpoint>> =
    LazyLock::new(|| Routes::new(ENDPOINTS, |_| true));

const fn endpoint(
    name: &'static str,
    verb: Verb,
    paths: &'static [&'static str],
    access: Access,
    action: AdminAction,
) -> Endpoint<AdminEndpoint> {
    Endpoint {
        name,
        verb,
        paths,
        scope: Scope::Plain,
        action: AdminEndpoint { access, action },
    }
}

/// Clients with any role.
pub(super) const ANY: Access = Access::Roles(Role::ALL);
/// Clients that read what is no personal data. Nobody who may change something may not read.
const READERS: Access = Access::Roles(&[
    Role::Reader,
    Role::Moderator,
    Role::Catalogue,
    Role::Operator,
]);
const MODERATORS: Access = Access::Roles(&[Role::Moderator, Role::Operator]);
const MERCHANTS: Access = Access::Roles(&[Role::Catalogue, Role::Operator]);
const OPERATORS: Access = Access::Roles(&[Role::Operator]);

const fn task(needs: TaskNeeds, run: TaskFunction) -> AdminAction {
    AdminAction::Task(AdminTask { needs, run })
}

const LOOK: TaskNeeds = TaskNeeds {
    primary: false,
    body: false,
};
const LOOK_BY_BODY: TaskNeeds = TaskNeeds { body: true, ..LOOK };
const CHANGE: TaskNeeds = TaskNeeds {
    primary: true,
    body: false,
};
const CHANGE_BY_BODY: TaskNeeds = TaskNeeds {
    body: true,
    ..CHANGE
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::route::{RouteRefusal, RouteTarget};

    #[test]
    fn no_two_endpoints_have_one_name() {
        let names: BTreeSet<_> = ENDPOINTS.iter().map(|endpoint| endpoint.name).collect();
        assert_eq!(names.len(), ENDPOINTS.len());
    }

    #[test]
    fn every_endpoint_has_its_roles_and_no_others() {
        let all = "reader moderator catalogue operator replica";
        let readers = "reader moderator catalogue operator";
        for endpoint in ENDPOINTS {
            let expected = match endpoint.name {
                "livez" | "readyz" | "version" | "metrics" | "replication" => all,
                "stats" | "reported" | "queue" | "count_reviews" | "audit" | "show"
                | "show_product" => readers,
                "put_product" | "patch_product" | "remove_product" | "patch_sku"
                | "change_catalogue" => "catalogue operator",
                "find" | "restore_reported" | "remove" | "restore" | "respond"
                | "take_response" | "moderate" | "undo" => "moderator operator",
                "rows" | "erase" | "merge_reviews" => "operator",
                other => panic!("no roles are expected for {other}"),
            };
            let access = endpoint.action.access;
            let roles = Role::ALL.iter().filter(|role| access.admit(**role).is_ok());
            let words: Vec<_> = roles.map(|role| role.word()).collect();
            assert_eq!(words.join(" "), expected, "{}", endpoint.name);
        }
    }

    #[test]
    fn every_path_has_its_methods_and_no_others() {
        for (path, allow) in [
            ("/livez", "GET, HEAD, OPTIONS"),
            ("/readyz/", "GET, HEAD, OPTIONS"),
            ("/version", "GET, HEAD, OPTIONS"),
            ("/metrics", "GET, HEAD, OPTIONS"),
            ("/replication", "GET, HEAD, OPTIONS"),
            ("/stats", "GET, HEAD, OPTIONS"),
            ("/rows/reviews", "GET, HEAD, OPTIONS"),
            ("/find", "POST, OPTIONS"),
            ("/erase/", "POST, OPTIONS"),
            ("/reviews", "GET, HEAD, OPTIONS"),
            ("/reviews/reported", "GET, HEAD, OPTIONS"),
            ("/reviews/reported/restore", "POST, OPTIONS"),
            ("/reviews/merge", "POST, OPTIONS"),
            ("/reviews/moderate", "POST, OPTIONS"),
            ("/reviews/counts", "GET, HEAD, OPTIONS"),
            ("/audit", "GET, HEAD, OPTIONS"),
            ("/audit/5/undo", "POST, OPTIONS"),
            ("/reviews/5", "GET, HEAD, DELETE, OPTIONS"),
            ("/reviews/5/restore", "PUT, OPTIONS"),
            ("/reviews/5/response", "PUT, DELETE, OPTIONS"),
            ("/products/5", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"),
            ("/skus/5", "PATCH, OPTIONS"),
            ("/catalogue", "POST, OPTIONS"),
        ] {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
                let is_allowed = allow.split(", ").any(|one| one == method);
                match ROUTES.find(&method.parse().unwrap(), path) {
                    Ok(RouteTarget::Endpoint(_)) => {
                        assert!(is_allowed && method != "OPTIONS", "{method} {path}");
                    }
                    Ok(RouteTarget::Options { allow: told }) => {
                        assert_eq!(method, "OPTIONS");
                        assert_eq!(told.unwrap().to_string(), allow);
                    }
                    Err(RouteRefusal::MethodNotAllowed { allow: told }) => {
                        assert!(!is_allowed, "{method} {path}");
                        assert_eq!(told.to_string(), allow);
                    }
                    Err(RouteRefusal::NotFound) => panic!("{path} is not found"),
                }
            }
        }
        for path in [
            "/",
            "/rows",
            "/stats/x",
            "/api/stats",
            "/reviews/5/helpful",
            "/reviews/5/response/x",
            "/audit/5",
        ] {
            for method in ["GET", "OPTIONS"] {
                let found = ROUTES.find(&method.parse().unwrap(), path);
                assert!(matches!(found, Err(RouteRefusal::NotFound)), "{path}");
            }
        }
    }
}
