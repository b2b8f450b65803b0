//! Copies of requests for another brick or version: it sees what real traffic is like, and nobody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brick_discovery::MIRRORED;
use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Uri};
use mortar_proxy::{Caller, Filter, Target};
use rand::RngExt as _;

use crate::figures::Figures;

/// Copies under way at a time; a further one is left out.
const IN_FLIGHT_MAX: usize = 64;
/// Largest body that is copied; a request with a larger one is left out.
const BODY_BYTES_MAX: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers are not read to their end.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where copies go.
#[derive(Debug)]
pub(crate) struct Mirror {
    target: Target,
    per_million: u32,
    in_flight: Arc<AtomicUsize>,
    figures: Figures,
    route: Box<str>,
}

/// A copy that is not sent yet.
#[derive(Debug)]
pub(crate) struct Copy {
    caller: Caller,
    target: Target,
    head: Request<()>,
    _slot: Slot,
    figures: Figures,
    route: Box<str>,
}

/// Collects the body that passes, then sends the copy.
#[derive(Debug)]
struct Collect {
    copy: Option<Copy>,
    body: BytesMut,
}

#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Mirror {
    pub(crate) fn new(target: Target, per_million: u32, route: &str, figures: Figures) -> Self {
        Self {
            target,
            per_million,
            in_flight: Arc::default(),
            figures,
            route: route.into(),
        }
    }

    /// A copy of the request, where its turn is and there is room.
    pub(crate) fn copy(&self, head: &Parts, caller: impl FnOnce() -> Caller) -> Option<Copy> {
        if rand::rng().random_range(0..1_000_000) >= self.per_million {
            return None;
        }
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        let slot = Slot(Arc::clone(&self.in_flight));
        if before >= IN_FLIGHT_MAX || head.method == Method::CONNECT {
            self.figures.mirrored.with(&[&self.route, "dropped"]).inc();
            return None;
        }
        let mut copy = Request::new(());
        *copy.method_mut() = head.method.clone();
        *copy.uri_mut() = head
            .uri
            .path_and_query()
            .cloned()
            .map(Uri::from)
            .unwrap_or_default();
        *copy.headers_mut() = head.headers.clone();
        copy.headers_mut().insert(MIRRORED, HeaderValue::from_static("1"));
        Some(Copy {
            caller: caller(),
            target: self.target.clone(),
            head: copy,
            _slot: slot,
            figures: self.figures.clone(),
            route: self.route.clone(),
        })
    }
}

impl Copy {
    /// Sends the copy; nobody waits for it.
    pub(crate) fn send(self, body: Bytes) {
        tokio::spawn(async move {
            let request = self.head.map(|()| body);
            let sent = self
                .caller
                .call(&self.target, request, TIMEOUT, ANSWER_BYTES_MAX)
                .await;
            let outcome = if sent.is_ok() { "sent" } else { "failed" };
            self.figures.mirrored.with(&[&self.route, outcome]).inc();
        });
    }

    /// Sends the copy once the body that passes is complete.
    pub(crate) fn with_body(self) -> Box<dyn Filter> {
        Box::new(Collect {
            copy: Some(self),
            body: BytesMut::new(),
        })
    }
}

impl Filter for Collect {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        if self.body.len() + piece.len() <= BODY_BYTES_MAX {
            self.body.extend_from_slice(&piece);
        } else if let Some(copy) = self.copy.take() {
            copy.figures.mirrored.with(&[&copy.route, "dropped"]).inc();
        }
        piece
    }

    fn end(&mut self) -> Bytes {
        if let Some(copy) = self.copy.take() {
            copy.send(std::mem::take(&mut self.body).freeze());
        }
        Bytes::new()
    }
}
