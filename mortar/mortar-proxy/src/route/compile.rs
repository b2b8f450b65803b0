//! From what the bus says to routes that can be served.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use brick_bus::{External, RouteAuth, Watch, routes};
use brick_core::{BrickName, Version};
use brick_discovery::Caller;
use brick_discovery::balancer::Balancer;
use brick_resilience::Edges;
use http::Method;
use http::header::HeaderName;

use crate::remote::{self, Identities, Remote, SystemRoots};

use super::{Access, Conditions, Error, Route, Target};

/// Compiles route tables; keeps the balancers, so that what they learned survives a change of routes.
#[derive(Debug)]
pub struct Compiler {
    watch: Watch,
    caller: Option<Caller>,
    balancers: HashMap<String, Balancer>,
    /// Those that the table in the making uses.
    used: HashMap<String, Balancer>,
    edges: Option<Edges>,
    externals: HashMap<String, Remote>,
    identities: Identities,
}

impl Compiler {
    /// Follows endpoints on this watch.
    pub fn new(watch: Watch) -> Self {
        Self {
            watch,
            caller: None,
            balancers: HashMap::new(),
            used: HashMap::new(),
            edges: None,
            externals: HashMap::new(),
            identities: Identities::default(),
        }
    }

    /// Instances are picked for this caller, as the limits of its edges say.
    #[must_use]
    pub fn with_caller(self, caller: Caller) -> Self {
        Self {
            caller: Some(caller),
            ..self
        }
    }

    /// Services outside that name no authorities have to be known to these.
    #[must_use]
    pub fn with_roots(self, system: SystemRoots) -> Self {
        Self {
            identities: Identities::with_roots(system),
            ..self
        }
    }

    /// These are outside the system from now on; what is known of those that stay as they were is kept. Needs a
    /// runtime, on which they are looked after.
    ///
    /// # Errors
    /// An address that leads nowhere.
    pub fn externals(&mut self, told: &BTreeMap<BrickName, External>) -> Result<(), remote::Invalid> {
        let mut externals = HashMap::new();
        for (name, told) in told {
            let held = self.externals.get(name.as_str());
            let remote = match held.filter(|held| held.told() == told) {
                Some(held) => held.clone(),
                None => Remote::new(name.as_str(), told, &mut self.identities)?,
            };
            externals.insert(name.to_string(), remote);
        }
        self.externals = externals;
        Ok(())
    }

    /// Things go wrong on purpose with routes, as these edges are told.
    #[must_use]
    pub fn with_edges(self, edges: Edges) -> Self {
        Self {
            edges: Some(edges),
            ..self
        }
    }

    /// Compiles a route of `routes/edge`; `timeout` counts where it says no limit of its own. Nothing is attached.
    pub fn route(&mut self, told: &routes::Route, timeout: Duration) -> Result<Route, Error> {
        let target = self.target(told.to.as_str(), &told.weights);
        let timeout = told.timeout_ms.map_or(timeout, Duration::from_millis);
        Ok(Route {
            conditions: conditions(&told.path, &told.conditions)?,
            access: access(told.auth),
            websocket: told.websocket,
            connect: told.connect,
            faults: self.edges.as_ref().map(|edges| edges.route_faults(&told.name)),
            ..Route::new(&told.path, target, timeout, told.body_bytes_max)
        })
    }

    /// Compiles a view of `routes/edge`; it leads nowhere else.
    pub fn view(&self, told: &routes::View) -> Result<Route, Error> {
        let name = Arc::from(told.name.as_str());
        let timeout = Duration::from_millis(told.timeout_ms);
        Ok(Route {
            conditions: conditions(&told.path, &told.conditions)?,
            access: access(told.auth),
            ..Route::new(&told.path, Target::Here { name }, timeout, 0)
        })
    }

    /// A service outside, or the instances of a brick, of some versions by weight where there are weights.
    pub fn target(&mut self, brick: &str, weights: &BTreeMap<Version, u32>) -> Target {
        if let Some(remote) = self.externals.get(brick) {
            return Target::Remote(remote.clone());
        }
        let known = self.used.get(brick).or_else(|| self.balancers.get(brick));
        let balancer = known.cloned().unwrap_or_else(|| match &self.caller {
            Some(caller) => Balancer::of(self.watch.clone(), brick, caller),
            None => Balancer::new(self.watch.clone(), brick),
        });
        if !self.used.contains_key(brick) {
            self.used.insert(brick.to_owned(), balancer.clone());
        }
        if weights.is_empty() {
            return Target::Brick(balancer);
        }
        Target::Split {
            balancer,
            weights: weights
                .iter()
                .map(|(version, weight)| (version.clone(), *weight))
                .collect(),
        }
    }

    /// The table is complete and in force: what it does not use is forgotten.
    pub fn commit(&mut self) {
        self.balancers = std::mem::take(&mut self.used);
    }
}

fn access(auth: RouteAuth) -> Access {
    match auth {
        RouteAuth::Public => Access::Public,
        RouteAuth::Jwt => Access::User,
        RouteAuth::ApiKey => Access::Key,
    }
}

fn conditions(pattern: &str, told: &routes::Conditions) -> Result<Conditions, Error> {
    let wrong = |what, found: &str| Error::Condition {
        pattern: pattern.to_owned(),
        what,
        found: found.to_owned(),
    };
    let method = |text: &String| Method::from_bytes(text.as_bytes()).map_err(|_| wrong("a method", text));
    let wanted = |text: &String| (text != "*").then(|| text.as_str().into());
    let field = |(name, value): (&String, &String)| match name.parse::<HeaderName>() {
        Ok(name) => Ok((name, wanted(value))),
        Err(_) => Err(wrong("the name of a field", name)),
    };
    Ok(Conditions {
        host: told.host.as_deref().map(|host| host.to_ascii_lowercase().into()),
        methods: told.methods.iter().map(method).collect::<Result<_, _>>()?,
        headers: told.headers.iter().map(field).collect::<Result<_, _>>()?,
        query: told
            .query
            .iter()
            .map(|(name, value)| (name.as_str().into(), wanted(value)))
            .collect(),
    })
}
