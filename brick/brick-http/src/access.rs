//! Declared access: who may call each route. There is no way to serve a route without saying so.
//!
//! A token that comes along and is bad is refused, never passed over: a brick that calls for a user whose token has
//! expired must not be taken for a brick that calls for itself. On public routes alone it does not count.

use axum::Router;

use crate::openapi::Document;

mod guard;

pub(crate) use guard::{Guard, check};

/// Routers by who may call them.
#[derive(Debug, Clone, Default)]
#[must_use = "declared routes are served by `Server::serve`"]
pub struct Access {
    groups: Vec<(Rule, Router)>,
}

/// Areas of an API for operators: how paths begin that belong to an area, as routes are written, and its name. The
/// first that fits counts.
pub type Areas = &'static [(&'static str, &'static str)];

/// The area that a route belongs to.
pub fn area_of(areas: Areas, route: &str) -> Option<&'static str> {
    let fits = |begin: &str| {
        let rest = route.strip_prefix(begin);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let area = areas.iter().find(|(begin, _)| fits(begin));
    area.map(|(_, name)| *name)
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    Public,
    Users(Option<String>),
    Bricks,
    UsersOrBricks,
    Admin,
    Areas(Areas),
}

impl Access {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everybody.
    pub fn public(self, router: Router) -> Self {
        self.with(Rule::Public, router)
    }

    /// Users with a valid token of this system.
    pub fn users(self, router: Router) -> Self {
        self.with(Rule::Users(None), router)
    }

    /// Users whose token has the scope.
    pub fn users_with(self, scope: &str, router: Router) -> Self {
        self.with(Rule::Users(Some(scope.to_owned())), router)
    }

    /// Bricks that may call this one: `x-brick-identity` with scope `call:<this brick>` (or `call:*`).
    pub fn bricks(self, router: Router) -> Self {
        self.with(Rule::Bricks, router)
    }

    /// Users, or bricks that may call this one.
    pub fn users_or_bricks(self, router: Router) -> Self {
        self.with(Rule::UsersOrBricks, router)
    }

    /// Operators and whoever else has a platform token with scope `admin`.
    pub fn admin(self, router: Router) -> Self {
        self.with(Rule::Admin, router)
    }

    /// Operators within their areas: platform tokens with scope `admin`, or with `AREA:read` to look (GET, HEAD) and
    /// `AREA:write` to look and change; `read` looks into every area. A route in no area is for `admin` alone.
    pub fn areas(self, areas: Areas, router: Router) -> Self {
        self.with(Rule::Areas(areas), router)
    }

    /// Serves the document at `/openapi.json`, to everybody.
    pub fn openapi(self, document: Document) -> Self {
        let document = document.build();
        let answer = move || std::future::ready(axum::Json(document.clone()));
        self.public(Router::new().route("/openapi.json", axum::routing::get(answer)))
    }

    fn with(mut self, rule: Rule, router: Router) -> Self {
        self.groups.push((rule, router));
        self
    }

    /// One router; each group's routes and fallback behind its guard.
    pub(crate) fn into_router(self, guard: &Guard) -> Router {
        let guarded = self
            .groups
            .into_iter()
            .fold(Router::new(), |all, (rule, router)| {
                let state = guard.with_rule(rule);
                all.merge(router.layer(axum::middleware::from_fn_with_state(state, check)))
            });
        // The last of two default fallbacks stays: an unknown path is not found for everybody, while a fallback that a
        // group declares stays behind that group's guard.
        guarded.merge(Router::new())
    }
}

#[cfg(test)]
mod tests;
