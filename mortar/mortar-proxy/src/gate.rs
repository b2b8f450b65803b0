//! Who may pass, and what else is done with a request and its answer: the seam between the data plane and the rules of
//! a listener.
//!
//! A request whose route is known goes through [`Gate::admit`]; its answer, wherever it comes from, through
//! [`Gate::respond`]. What the second has to know of the first travels in [`Gate::Note`], a plain value of the gate's
//! own type. Both run on the hot path and may not wait; what has to wait is a [`Verdict::Later`].

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use brick_telemetry::context::SpanContext;
use bytes::Bytes;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Response, uri::Scheme};

use crate::answer::Answer;
use crate::body::{Body, Filter};
use crate::caller::Caller;
use crate::proxy::Local;
use crate::route::{Route, Target};

/// Field in which an acceptance suite names itself. It never passes a proxy: what counts inside is baggage
/// `brick.synthetic`, which the proxy sets where a gate has left a [`Synthetic`] in the request's extensions.
pub const SYNTHETIC_HEADER: &str = "x-brick-synthetic";

/// The request belongs to the acceptance suite of this name, as a gate found out; the name is a baggage value as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthetic(pub Arc<str>);

/// A process of the system sends the request, as a gate found out: the brick, where it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalledBy(pub Option<Arc<str>>);

/// Who is at the other end of a request, as far as it is known and trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address: of the connection, or what a trusted hop said.
    pub ip: IpAddr,
    /// `http` or `https`, likewise.
    pub scheme: Scheme,
    /// Where the connection was headed when the kernel led it here instead; none of one that was opened to this listener.
    pub bound_for: Option<SocketAddr>,
}

/// A request on its way to its target, as a gate sees it.
#[derive(Debug)]
pub struct Passing<'r> {
    /// Method, target and fields as the client sent them; changes go on to the instance. Fields of one hop, and those
    /// that only the platform may say, are dealt with behind the gate.
    pub head: &'r mut Parts,
    /// Where it leads.
    pub route: &'r Arc<Route>,
    /// Who asks.
    pub client: &'r Client,
    /// Goes there instead of to the route's target.
    pub target: Option<Target>,
    /// Sees the request's body pass.
    pub filter: Option<Box<dyn Filter>>,
    pub(crate) local: &'r Arc<Local>,
    pub(crate) within: SpanContext,
}

impl Passing<'_> {
    /// Makes calls of its own on behalf of this request: in the same trace, with the gateway's identity. It may outlive
    /// the request.
    pub fn caller(&self) -> Caller {
        Caller {
            local: Arc::clone(self.local),
            client: self.client.clone(),
            within: self.within,
            synthetic: self.head.extensions.get().cloned(),
        }
    }
}

/// What becomes of a request.
pub enum Verdict {
    /// It goes to an instance.
    Forward,
    /// This is its answer.
    Answer(Box<Response<Body>>),
    /// Something has to be waited for; the time counts against the route's limit.
    Later(Later),
}

/// A verdict that has to be waited for.
pub type Later = Pin<Box<dyn Future<Output = Result<Verdict, Answer>> + Send>>;

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Forward => "Forward",
            Self::Answer(_) => "Answer",
            Self::Later(_) => "Later",
        })
    }
}

/// The rules of a listener.
pub trait Gate: Send + Sync + std::fmt::Debug + 'static {
    /// What [`Self::respond`] has to know of the request.
    type Note: Default + Send + 'static;

    /// Lets the request pass, changed where the listener's rules say so, answers it, or refuses it.
    fn admit(&self, passing: &mut Passing<'_>, note: &mut Self::Note) -> Result<Verdict, Answer>;

    /// Says in the fields, as the instance is to get them, which versions of bricks the request keeps to. Comes last.
    fn lead(&self, headers: &mut HeaderMap) {
        let _ = headers;
    }

    /// Sees every answer before the client does: an instance's, the gate's own, and refusals. Fields of one hop are
    /// gone. There is no route where none matched.
    fn respond(
        &self,
        route: Option<&Arc<Route>>,
        note: Self::Note,
        response: Response<Body>,
    ) -> Response<Body> {
        let _ = (route, note);
        response
    }

    /// A refusal as a page of another type than problem+json, where the client would rather have that: its type and
    /// its bytes.
    fn page(
        &self,
        accept: Option<&HeaderValue>,
        answer: &Answer,
        trace_id: &str,
    ) -> Option<(HeaderValue, Bytes)> {
        let _ = (accept, answer, trace_id);
        None
    }
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    type Note = ();

    fn admit(&self, _: &mut Passing<'_>, (): &mut ()) -> Result<Verdict, Answer> {
        Ok(Verdict::Forward)
    }
}
