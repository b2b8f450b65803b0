//! The admin listener's rules: its own names and origins only, operators only, a fixed table of routes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use brick_auth::Verifier;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{Method, StatusCode};
use mortar_proxy::route::Error;
use mortar_proxy::{Access, Answer, Gate, Passing, Route, Routes, Target, Transport, Verdict};

use mortar_proxy::token;

use crate::{Options, cookie};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Time for what the agent is asked through control: it may build, and replaces instances one after the other.
const AGENT_TIMEOUT: Duration = Duration::from_secs(16 * 60);
/// The scope that platform APIs ask for.
const SCOPE: &str = "admin";

/// Lets operators pass.
#[derive(Debug)]
pub struct AdminGate {
    verifier: Verifier,
    /// `127.0.0.1:7700`, `localhost:7700`, `[::1]:7700`.
    hosts: [String; 3],
}

impl AdminGate {
    /// For a listener on this port.
    pub fn new(verifier: Verifier, port: u16) -> Self {
        Self {
            verifier,
            hosts: ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}")),
        }
    }

    /// DNS rebinding makes a foreign name lead here; the name betrays it.
    fn check_host(&self, head: &Parts) -> Result<(), Answer> {
        let in_target = head.uri.authority().map(|a| a.as_str());
        let named = in_target.or_else(|| head.headers.get(HOST)?.to_str().ok());
        let known = |host: &str| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host));
        match named {
            Some(host) if known(host) => Ok(()),
            _ => Err(Answer::new(
                StatusCode::MISDIRECTED_REQUEST,
                "foreign_host",
                format!(
                    "this listener answers to http://{} only",
                    self.hosts.join(", http://")
                ),
            )),
        }
    }

    /// A page of another origin may not act for the operator whose cookie the browser adds.
    fn check_origin(&self, head: &Parts) -> Result<(), Answer> {
        let foreign = || {
            Answer::new(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "requests of pages from another origin are refused",
            )
        };
        let own = |origin: &HeaderValue| {
            let text = origin.to_str().unwrap_or_default();
            let host = text.strip_prefix("http://").unwrap_or_default();
            self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
        };
        if !head.headers.get_all(ORIGIN).iter().all(own) {
            return Err(foreign());
        }
        let is_safe = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let site = head.headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        // Another port of this host is the same site; only the same origin counts.
        if !is_safe && !matches!(site, None | Some(b"same-origin" | b"none")) {
            return Err(foreign());
        }
        Ok(())
    }

    fn check_operator(&self, text: &str) -> Result<(), Answer> {
        let claims = self.verifier.platform(text).map_err(|e| token::refused(&e))?;
        // Which areas it may act in, the APIs judge.
        if claims.is_operator() {
            Ok(())
        } else {
            Err(token::scope_missing(SCOPE))
        }
    }
}

impl Gate for AdminGate {
    type Note = ();

    fn admit(&self, passing: &mut Passing<'_>, (): &mut ()) -> Result<Verdict, Answer> {
        self.pass(passing.head, passing.route).map(|()| Verdict::Forward)
    }
}

impl AdminGate {
    fn pass(&self, head: &mut Parts, route: &Route) -> Result<(), Answer> {
        self.check_host(head)?;
        self.check_origin(head)?;
        let shown = cookie::take(&mut head.headers);
        let is_public = route.access == Access::Public;
        if head.headers.contains_key(AUTHORIZATION) {
            if is_public {
                return Ok(());
            }
            let text = token::bearer(&head.headers).map_err(|e| token::refused(&e))?;
            return self.check_operator(text);
        }
        let Some(shown) = shown else {
            return if is_public {
                Ok(())
            } else {
                Err(token::refused(&brick_auth::Error::Missing))
            };
        };
        match self.check_operator(&shown) {
            Ok(()) => {
                if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {shown}")) {
                    value.set_sensitive(true);
                    head.headers.insert(AUTHORIZATION, value);
                }
                Ok(())
            }
            // A stale cookie must not keep anybody from the page that says how to log in.
            Err(_) if is_public => Ok(()),
            Err(answer) => Err(answer),
        }
    }
}

/// The fixed table: telemetry's API, and control for everything else.
pub fn routes(options: &Options, control: SocketAddr, telemetry: SocketAddr) -> Result<Routes, Error> {
    let public = [
        "/",
        "/console/**",
        "/login",
        "/identity/**",
        // Their clients show name and secret, which control judges.
        "/config/**",
        "/eureka/**",
        "/ofrep/**",
        "/health",
        "/health/**",
    ];
    let route = |pattern: &str, name: &str, addr: SocketAddr, access: Access| {
        let target = Target::Fixed {
            name: Arc::from(name),
            addr,
            transport: Transport::Http1,
        };
        let timeout = Duration::from_millis(options.admin_timeout_ms);
        Route {
            access,
            websocket: access == Access::Operator,
            ..Route::new(pattern, target, timeout, options.admin_body_bytes_max)
        }
    };
    let mut routes = vec![
        route("/api/telemetry/**", "telemetry", telemetry, Access::Operator),
        Route {
            timeout: AGENT_TIMEOUT,
            ..route("/api/agent/**", "control", control, Access::Operator)
        },
        route("/**", "control", control, Access::Operator),
    ];
    routes.extend(public.map(|pattern| route(pattern, "control", control, Access::Public)));
    Routes::new(routes)
}
