//! Where a caller's requests lead: a host for each brick that it needs, made anew when its limits change.

use std::collections::BTreeMap;
use std::time::Duration;

use brick_bus::Watch;
use brick_core::host::Caller;
use brick_resilience::Edges;
use mortar_proxy::{Attached, Compiler, Conditions, Proxy, Route, Routes, Target};

use crate::gate::{DOMAIN, Elsewhere, HostGate};

/// What every path fits.
const ANY_PATH: &str = "/**";

/// Follows the bus for one caller.
#[derive(Debug)]
pub(crate) struct Following {
    watch: Watch,
    edges: Edges,
    compiler: Compiler,
    /// What the limits of the caller's edges are called.
    prefix: String,
    body_bytes_max: u64,
    /// Bricks that speak no HTTP, with the time that nothing may move on a connection to them.
    tcp: BTreeMap<String, Duration>,
    seen: Option<Vec<(String, Duration)>>,
}

impl Following {
    pub(crate) fn new(
        told: &Caller,
        by: brick_discovery::Caller,
        watch: Watch,
        edges: Edges,
        body_bytes_max: u64,
    ) -> Self {
        let tcp = told.tcp.iter();
        Self {
            compiler: Compiler::new(watch.clone()).with_caller(by),
            prefix: format!("limits/{}->", told.brick),
            tcp: tcp
                .map(|way| (way.to.to_string(), Duration::from_millis(way.idle_ms)))
                .collect(),
            watch,
            edges,
            body_bytes_max,
            seen: None,
        }
    }

    /// Takes over what changed.
    pub(crate) fn refresh(&mut self, proxy: &Proxy<HostGate>) {
        let callees = self.callees();
        if self.seen.as_ref() == Some(&callees) {
            return;
        }
        let mut routes = vec![self.elsewhere()];
        for (callee, timeout) in &callees {
            let target = self.compiler.target(callee, &Default::default());
            // An instance by its own name: `order-2.order.brick`.
            routes.push(self.route("*.", callee, target.clone(), *timeout));
            routes.push(self.route("", callee, target, *timeout));
        }
        match Routes::new(routes) {
            Ok(routes) => {
                self.compiler.commit();
                proxy.replace(routes);
            }
            // Names of bricks are hosts; the bound on routes is far beyond the manifest's.
            Err(error) => tracing::error!(%error, "the present callees stay in force"),
        }
        self.seen = Some(callees);
    }

    /// The bricks that the caller needs, with the time limits of its calls.
    fn callees(&self) -> Vec<(String, Duration)> {
        let state = self.watch.state();
        let names = state.resources.range(self.prefix.clone()..);
        let names = names.map_while(|(name, _)| name.strip_prefix(&self.prefix));
        let timed = names.map(|callee| {
            let timeout = self.edges.edge(callee).get().policy().timeout;
            (callee.to_owned(), timeout)
        });
        timed.collect()
    }

    fn route(&self, before: &str, callee: &str, target: Target, timeout: Duration) -> Route {
        let host = format!("{before}{callee}{DOMAIN}");
        Route {
            conditions: Conditions {
                host: Some(host.into()),
                ..Conditions::default()
            },
            websocket: true,
            connect: self.tcp.contains_key(callee),
            tunnel_idle: self.tcp.get(callee).copied(),
            ..Route::new(ANY_PATH, target, timeout, self.body_bytes_max)
        }
    }

    /// Takes what no other route takes; the gate says why it leads nowhere.
    fn elsewhere(&self) -> Route {
        let target = Target::Here {
            name: "elsewhere".into(),
        };
        Route {
            attached: Attached::new(Elsewhere),
            ..Route::new(ANY_PATH, target, Duration::from_secs(1), 0)
        }
    }
}
