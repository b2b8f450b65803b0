//! The console: its pages and one WebSocket per tab, as routers for whoever holds a listener (control, by default).
//!
//! The pages under `console/` are embedded as they are: no bundler, a strict content security policy, nothing from
//! another origin. A tab opens one WebSocket and says what it watches; what many tabs watch is asked of control and
//! telemetry once, and only while somebody watches. A slow tab skips to the newest state instead of queueing.
//! Searches and single traces go over plain requests to `/api/telemetry/v1/…` and never pass through here.
//!
//! What always holds: tabs, topics, messages and frames are bounded, and what a bound dropped is counted; the
//! operator's own token is what control and telemetry see, the console has no rights of its own.

mod assets;
mod credential;
mod hub;
pub mod openapi;
mod socket;
mod topic;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::routing::get;

/// Checks an operator's token: `Ok` where it is valid and has scope `admin`, else why not, in one line.
pub type Verify = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Operators are whom the platform's keys say so: a valid platform token with scope `admin`.
pub fn operators(verifier: brick_auth::Verifier) -> Verify {
    Arc::new(move |token| match verifier.platform(token) {
        Ok(claims) if claims.has_scope("admin") => Ok(()),
        Ok(_) => Err("the token lacks scope \"admin\"".to_owned()),
        Err(error) => Err(brick_core::chain(&error)),
    })
}

/// What the console needs to know.
#[derive(Clone)]
pub struct Options {
    /// Base URL of telemetry, `http://127.0.0.1:PORT`.
    pub telemetry_url: String,
    /// Base URL of control's own listener.
    pub control_url: String,
    /// Says whose token may watch.
    pub verify: Verify,
    /// Most tabs at once; one more is refused with 503.
    pub tabs_max: usize,
    /// Time between two questions to the same API, for the fastest topics.
    pub interval: Duration,
}

/// The console, ready to be mounted. Clones share tabs and polls.
#[derive(Clone)]
pub struct Console {
    hub: hub::Hub,
}

/// What happened so far, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tabs that are connected now.
    pub tabs: u64,
    /// Tabs refused because `tabs_max` were there.
    pub tabs_refused: u64,
    /// Topics that are polled now.
    pub topics: u64,
    /// Frames that slow tabs skipped.
    pub frames_skipped: u64,
}

impl Options {
    /// With the usual bounds: 64 tabs, one second.
    pub fn new(telemetry_url: impl Into<String>, control_url: impl Into<String>, verify: Verify) -> Self {
        Self {
            telemetry_url: telemetry_url.into(),
            control_url: control_url.into(),
            verify,
            tabs_max: 64,
            interval: Duration::from_secs(1),
        }
    }
}

impl Console {
    /// Starts nothing; polls begin with the first tab.
    pub fn new(options: Options) -> Self {
        Self {
            hub: hub::Hub::new(options),
        }
    }

    /// The pages: `/` and `/console/**`. Public, for they hold no data.
    pub fn pages<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/", get(assets::index))
            .route("/console", get(assets::index))
            .route("/console/", get(assets::index))
            .route("/console/{*path}", get(assets::file))
    }

    /// The console's own API under `/api/console/v1`. It checks the operator's token itself.
    pub fn api<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        Router::new()
            .route("/api/console/v1/session", get(socket::session))
            .route("/api/console/v1/ws", get(socket::upgrade))
            .with_state(self.hub.clone())
    }

    /// Pages and API.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        self.pages().merge(self.api())
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let tallies = self.hub.tallies();
        Counts {
            tabs: self.hub.tabs(),
            tabs_refused: tallies.tabs_refused.load(Ordering::Relaxed),
            topics: self.hub.topics(),
            frames_skipped: tallies.frames_skipped.load(Ordering::Relaxed),
        }
    }
}

/// Pages and API of a console with these options.
pub fn router(options: Options) -> Router {
    Console::new(options).router()
}
