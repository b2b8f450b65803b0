//! What the parts of a proxy share, and what each worker has of its own.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use brick_auth::OwnToken;
use brick_core::Drain;
use brick_resilience::Edges;
use brick_telemetry::SpanSink;
use http::header::HeaderValue;
use parking_lot::Mutex;

use super::{Options, Side};
use crate::fallback::Fallbacks;
use crate::listener::Slots;
use crate::pool::Pool;
use crate::route::Routes;
use crate::sampler::Sampler;
use crate::settings::Settings;
use crate::stats::Stats;

/// What all workers of a proxy share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) trace: bool,
    pub(crate) side: Side,
    pub(crate) routes: ArcSwap<Routes>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) spans: SpanSink,
    /// What `http.route` says of requests without one.
    pub(crate) no_route: Arc<str>,
    identity: Identity,
    edges: OnceLock<Edges>,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) drain: Drain,
    parts: Mutex<Vec<Arc<Part>>>,
}

/// What a worker has of its own, as the scrape sees it.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) pool: Arc<Pool>,
    pub(crate) stats: Stats,
    /// Of traces that begin here.
    pub(crate) traces: Sampler,
    /// Of traces that turned out to be worth it.
    pub(crate) notable: Sampler,
}

/// A worker's view of its proxy.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    part: Arc<Part>,
}

/// The process's own token as a header value that is made once per token.
#[derive(Debug)]
struct Identity {
    token: ArcSwap<OwnToken>,
    cached: ArcSwapOption<(Arc<str>, HeaderValue)>,
}

impl std::ops::Deref for Local {
    type Target = Part;

    fn deref(&self) -> &Part {
        &self.part
    }
}

impl Shared {
    pub(crate) fn new(options: Options, spans: SpanSink, token: OwnToken, drain: Drain) -> Arc<Self> {
        Arc::new(Self {
            name: options.name,
            settings: ArcSwap::from_pointee(options.settings),
            trace: options.trace,
            side: options.side,
            routes: ArcSwap::default(),
            slots: Arc::default(),
            spans,
            no_route: "".into(),
            identity: Identity {
                token: ArcSwap::from_pointee(token),
                cached: ArcSwapOption::empty(),
            },
            edges: OnceLock::new(),
            fallbacks: Fallbacks::default(),
            drain,
            parts: Mutex::default(),
        })
    }

    /// A further worker's part.
    pub(crate) fn local(self: &Arc<Self>) -> Arc<Local> {
        let part = Arc::<Part>::default();
        self.parts.lock().push(Arc::clone(&part));
        Arc::new(Local {
            shared: Arc::clone(self),
            part,
        })
    }

    /// The edges that requests to bricks pass, where there are some.
    pub(crate) fn edges(&self) -> Option<&Edges> {
        self.edges.get()
    }

    /// Once: the first ones stay.
    pub(crate) fn follow(&self, edges: Edges) {
        drop(self.edges.set(edges));
    }

    /// The parts of all workers.
    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        self.parts.lock().clone()
    }

    /// Requests carry this token from now on.
    pub(crate) fn identify(&self, token: OwnToken) {
        self.identity.token.store(Arc::new(token));
    }

    /// The process's own token as a header value.
    pub(crate) fn identity(&self) -> Option<HeaderValue> {
        let token = self.identity.token.load().get()?;
        if let Some(cached) = &*self.identity.cached.load()
            && Arc::ptr_eq(&cached.0, &token)
        {
            return Some(cached.1.clone());
        }
        let mut value = HeaderValue::from_str(&token).ok()?;
        value.set_sensitive(true);
        let made = Arc::new((token, value.clone()));
        self.identity.cached.store(Some(made));
        Some(value)
    }
}
