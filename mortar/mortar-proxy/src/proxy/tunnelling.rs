//! What becomes of a request for a tunnel, once it is known what it is.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::{Outcome, Proxy};
use crate::answer::Answer;
use crate::body::Body;
use crate::exchange::Exchange;
use crate::forward::{self, Errand, Load, Plain, Reply};
use crate::gate::Gate;
use crate::link::Link;
use crate::opening::Prefixed;
use crate::route::{Route, Sought};
use crate::tunnel::{self, Holds, Wish};

impl<G: Gate> Proxy<G> {
    /// A tunnel has no path: it is held against routes as `/` is.
    pub(super) fn tunnel_route(&self, parts: &Parts) -> Result<Arc<Route>, Answer> {
        let routes = self.local.shared.routes.load();
        let found = routes.find(&Sought::new(parts, "/"));
        found.filter(|route| route.connect).cloned().ok_or_else(|| {
            let detail = "CONNECT is not served here: no route for this host says `connect = true`";
            Answer::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).closing()
        })
    }

    /// Joins the client with an instance that switched protocols.
    pub(super) fn tunnel(
        &self,
        link: &Arc<Link>,
        parts: &mut Parts,
        wish: Wish,
        reply: Reply,
        exchange: &mut Exchange,
    ) -> Response<Body> {
        // On a connection of its own a WebSocket counts as a connection, on one of many streams as a request.
        let load = match wish {
            Wish::Stream => reply.load,
            _ => Load::default(),
        };
        let client = parts.extensions.remove::<OnUpgrade>();
        if let (Some(client), Some(upstream)) = (client, reply.lease.into_http1()) {
            let (holds, drain) = (Holds::new(link, parts, load), self.local.shared.drain.clone());
            let (socket, bytes) = upstream.into_parts();
            let upstream = Prefixed::with(socket, bytes.into());
            tokio::spawn(tunnel::run(client, upstream, drain, holds));
        }
        let (mut head, ()) = reply.response.into_parts();
        let response = tunnel::granted(wish, &mut head.headers);
        exchange.answered(response.status(), None);
        response
    }

    /// Joins the client with a plain connection.
    pub(super) fn joined(
        &self,
        link: &Arc<Link>,
        parts: &mut Parts,
        (plain, idle): (Plain, Option<Duration>),
        exchange: &mut Exchange,
    ) -> Response<Body> {
        let Plain { stream, load } = plain;
        if let Some(client) = parts.extensions.remove::<OnUpgrade>() {
            let (holds, drain) = (Holds::new(link, parts, load), self.local.shared.drain.clone());
            let idle = idle.unwrap_or_else(|| self.local.shared.settings.load().idle_timeout);
            tokio::spawn(tunnel::connected(client, stream, idle, drain, holds));
        }
        exchange.answered(StatusCode::OK, None);
        Response::new(Body::empty())
    }
}

/// Leads a tunnel to an instance.
pub(super) async fn connect(
    errand: &Errand<'_>,
    parts: &mut Parts,
    exchange: &mut Exchange,
) -> Result<Outcome, Answer> {
    let call = exchange.call(&mut parts.headers);
    let connected = forward::connect(errand, parts, call);
    let connected = tokio::time::timeout_at(errand.deadline.into(), connected);
    let plain = Box::pin(connected).await;
    let plain = plain.unwrap_or_else(|_| Err(forward::timed_out(errand)))?;
    Ok(Outcome::Connected(Box::new(plain)))
}
