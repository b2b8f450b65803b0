//! What the edge serves: routes and views with everything resolved that the manifest may leave to a default elsewhere.

use std::cmp::Reverse;
use std::time::Duration;

use brick_core::BrickName;

use crate::link::EDGE;
use crate::load::template;
use crate::model::{Auth, Bff, Cache, Cors, Model, Route, Setting, View};
use crate::pattern::Pattern;

/// A route with everything resolved that the manifest may leave to a default elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRoute {
    /// Name in the manifest.
    pub name: String,
    /// Path pattern.
    pub path: Pattern,
    /// Brick that serves it.
    pub to: BrickName,
    /// Who may pass.
    pub auth: Auth,
    /// Time limit of the whole exchange.
    pub timeout: Duration,
    /// Largest request body in bytes.
    pub body_bytes_max: u64,
    /// Whether `Upgrade: websocket` passes.
    pub websocket: bool,
    /// Pages of which other origins may call it.
    pub cors: Option<Cors>,
    /// How answers are kept.
    pub cache: Option<Cache>,
    /// The route as written, for what has no default elsewhere.
    pub route: Route,
}

/// A view of a backend for frontend with everything resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedView {
    /// Name of the frontend and of the view, `mobile.home`.
    pub name: String,
    /// Its path with parameters, `/mobile/orders/{id}`.
    pub path: String,
    /// Who may pass.
    pub auth: Auth,
    /// Time limit of the answer.
    pub timeout: Duration,
    /// Pages of which other origins may call it.
    pub cors: Option<Cors>,
    /// The frontend, for what holds for all of its views.
    pub bff: Bff,
    /// The view as written.
    pub view: View,
}

impl Model {
    /// The routes resolved, most specific first: by host, then path, then the number of further conditions.
    pub fn routes(&self) -> Vec<ResolvedRoute> {
        let mut routes: Vec<ResolvedRoute> = self
            .routes
            .iter()
            .map(|(name, route)| ResolvedRoute {
                name: name.clone(),
                path: route.path.clone(),
                to: route.to.clone(),
                auth: route.auth.unwrap_or(self.edge.auth),
                timeout: route
                    .timeout
                    .map_or_else(|| self.timeout(EDGE, route.to.as_str()), |span| span.0),
                body_bytes_max: route.body_max.0,
                websocket: route.websocket,
                cors: self.cors(route.cors.as_ref()),
                cache: match &route.cache {
                    None | Some(Setting::Switch(false)) => None,
                    Some(Setting::Switch(true)) => Some(Cache::default()),
                    Some(Setting::Own(cache)) => Some(cache.clone()),
                },
                route: route.clone(),
            })
            .collect();
        routes.sort_by(|a, b| {
            let host = |r: &ResolvedRoute| Reverse(host_rank(r.route.host.as_deref()));
            let conditions = |r: &ResolvedRoute| Reverse(r.route.conditions_count());
            let by_path = a.path.by_specificity(&b.path);
            host(a)
                .cmp(&host(b))
                .then(by_path)
                .then_with(|| conditions(a).cmp(&conditions(b)))
                .then_with(|| a.name.cmp(&b.name))
        });
        routes
    }

    /// The views of all backends for frontends, by name.
    pub fn views(&self) -> Vec<ResolvedView> {
        let bffs = self.edge.bff.iter();
        bffs.flat_map(|(frontend, bff)| {
            bff.views.iter().map(move |(name, view)| ResolvedView {
                name: format!("{frontend}.{name}"),
                path: format!("{}{}", bff.path(frontend), view.get),
                auth: view.auth.or(bff.auth).unwrap_or(self.edge.auth),
                timeout: view.timeout.unwrap_or(bff.timeout).0,
                cors: self.edge.cors.clone(),
                bff: bff.clone(),
                view: view.clone(),
            })
        })
        .collect()
    }

    /// Whether a route or a view covers the path, on whatever conditions.
    pub fn covers(&self, path: &str) -> bool {
        self.routes.values().any(|route| route.path.matches(path))
            || self.views().iter().any(|view| view.matches(path))
    }

    fn cors(&self, own: Option<&Setting<Cors>>) -> Option<Cors> {
        match own {
            Some(Setting::Own(cors)) => Some(cors.clone()),
            Some(Setting::Switch(false)) => None,
            None | Some(Setting::Switch(true)) => self.edge.cors.clone(),
        }
    }
}

impl ResolvedView {
    /// What it asks of a request besides its path, as [`Route::conditions`] has it.
    pub fn conditions(&self) -> String {
        self.bff.host.clone().unwrap_or_default()
    }

    /// Names of the parameters of its path.
    pub fn parameters(&self) -> Vec<&str> {
        template::placeholders(&self.path)
    }

    /// Whether a request path (without query) is the view's: a parameter stands for one segment.
    pub fn matches(&self, path: &str) -> bool {
        let mut wanted = self.path.split('/');
        let mut found = path.split('/');
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == found => {}
                (Some(wanted), Some(found)) if wanted.starts_with('{') && !found.is_empty() => {}
                _ => return false,
            }
        }
    }
}

/// A named host goes before a pattern, a longer pattern before a shorter one, any host last.
fn host_rank(host: Option<&str>) -> (u8, usize) {
    match host {
        None => (0, 0),
        Some(host) if host.starts_with("*.") => (1, host.len()),
        Some(_) => (2, 0),
    }
}
