//! Who may pass: the seam between the data plane and the rules of a listener.

use http::request::Parts;

use crate::answer::Answer;
use crate::route::Route;

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
