//! Who may pass: the seam between the data plane and the rules of a listener.

use std::sync::Arc;

use http::request::Parts;

use crate::answer::Answer;
use crate::route::Route;

/// Field in which an acceptance suite names itself. It never passes a proxy: what counts inside is baggage
/// `brick.synthetic`, which the proxy sets where a gate has left a [`Synthetic`] in the request's extensions.
pub const SYNTHETIC_HEADER: &str = "x-brick-synthetic";

/// The request belongs to the acceptance suite of this name, as a gate found out; the name is a baggage value as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synthetic(pub Arc<str>);

/// Decides on a request whose route is known. It runs on the hot path and may not wait.
pub trait Gate: Send + Sync + std::fmt::Debug + 'static {
    /// Lets the request pass, with fields changed where the listener's rules say so, or answers it.
    fn admit(&self, head: &mut Parts, route: &Route) -> Result<(), Answer>;
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open;

impl Gate for Open {
    fn admit(&self, _: &mut Parts, _: &Route) -> Result<(), Answer> {
        Ok(())
    }
}
