//! What the edge does with the requests of a route besides leading them to a brick.
//!
//! A route that asks for none of it carries nothing and costs one branch; what it does ask for is compiled when the
//! routes come, and travels with the route.

pub(crate) mod compress;
pub(crate) mod cors;
pub(crate) mod mirror;
pub(crate) mod rate;
pub(crate) mod rewrite;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use brick_bus::routes;
use mortar_proxy::{Attached, Compiler, Route};

use crate::cache;
use crate::figures::Figures;
use crate::view::View;
use cors::Cors;
use mirror::Mirror;
use rate::Limiter;
use rewrite::Rewrite;

/// Time that a view's route allows beyond the view's own limit: the view answers first, in its own words.
const VIEW_SLACK: Duration = Duration::from_millis(500);

/// The functions of one route.
#[derive(Debug)]
pub(crate) struct Functions {
    pub(crate) name: Box<str>,
    pub(crate) scopes: Vec<String>,
    pub(crate) audience: Option<String>,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) cors: Option<Cors>,
    pub(crate) rate: Option<Arc<Limiter>>,
    pub(crate) cache: Option<cache::Policy>,
    pub(crate) compress: bool,
    pub(crate) mirror: Option<Mirror>,
    pub(crate) view: Option<Arc<View>>,
}

/// Compiles routes with their functions. What a limiter has counted survives a change of routes.
#[derive(Debug)]
pub(crate) struct Functioning {
    compiler: Compiler,
    figures: Figures,
    limiters: HashMap<String, Arc<Limiter>>,
}

impl Functioning {
    pub(crate) fn new(compiler: Compiler, figures: Figures) -> Self {
        Self {
            compiler,
            figures,
            limiters: HashMap::new(),
        }
    }

    /// Compiles `routes/edge`; `timeout` gives the limit of a brick's routes that say none of their own.
    pub(crate) fn compile(
        &mut self,
        table: &routes::RouteTable,
        timeout: impl Fn(&str) -> Duration,
    ) -> Result<Vec<Route>, String> {
        let mut routes = Vec::with_capacity(table.routes.len() + table.views.len());
        let mut limiters = HashMap::new();
        let externals = self.compiler.externals(&table.externals);
        externals.map_err(|error| error.to_string())?;
        for told in &table.routes {
            let compiled = self.compiler.route(told, timeout(told.to.as_str()));
            let mut route = compiled.map_err(|error| error.to_string())?;
            let functions = self.functions(told, &mut limiters);
            if functions.is_some_at_all() {
                route.attached = Attached::new(functions);
            }
            routes.push(route);
        }
        for told in &table.views {
            let compiled = self.compiler.view(told);
            let mut route = compiled.map_err(|error| error.to_string())?;
            route.timeout += VIEW_SLACK;
            let view = View::new(told, &mut self.compiler)?;
            let named = self.named(&told.name, &told.functions, &mut limiters);
            route.attached = Attached::new(Functions {
                scopes: told.scopes.clone(),
                view: Some(Arc::new(view)),
                ..named
            });
            routes.push(route);
        }
        self.limiters = limiters;
        self.compiler.commit();
        Ok(routes)
    }

    fn functions(&mut self, told: &routes::Route, limiters: &mut HashMap<String, Arc<Limiter>>) -> Functions {
        let mirror = told.mirror.as_ref().map(|mirror| {
            let version = mirror.version.iter().map(|version| (version.clone(), 1));
            let weights: BTreeMap<_, _> = version.collect();
            let target = self.compiler.target(mirror.to.as_str(), &weights);
            Mirror::new(target, mirror.per_million, &told.name, self.figures.clone())
        });
        Functions {
            scopes: told.scopes.clone(),
            audience: told.audience.clone(),
            rewrite: told
                .rewrite
                .as_ref()
                .map(|rewrite| Rewrite::new(rewrite, &told.path)),
            mirror,
            ..self.named(&told.name, &told.functions, limiters)
        }
    }

    /// What routes and views have alike.
    fn named(
        &self,
        name: &str,
        told: &routes::Functions,
        limiters: &mut HashMap<String, Arc<Limiter>>,
    ) -> Functions {
        let rate = told.rate.as_ref().map(|rate| {
            let held = self.limiters.get(name).filter(|held| held.told() == rate);
            let limiter = held.cloned().unwrap_or_else(|| Arc::new(Limiter::new(rate)));
            limiters.insert(name.to_owned(), Arc::clone(&limiter));
            limiter
        });
        Functions {
            name: name.into(),
            scopes: Vec::new(),
            audience: None,
            rewrite: None,
            cors: told.cors.as_ref().map(Cors::new),
            rate,
            cache: told.cache.as_ref().map(cache::Policy::new),
            compress: told.compress,
            mirror: None,
            view: None,
        }
    }
}

impl Functions {
    fn is_some_at_all(&self) -> bool {
        !self.scopes.is_empty()
            || self.audience.is_some()
            || self.rewrite.is_some()
            || self.cors.is_some()
            || self.rate.is_some()
            || self.cache.is_some()
            || self.compress
            || self.mirror.is_some()
            || self.view.is_some()
    }
}
