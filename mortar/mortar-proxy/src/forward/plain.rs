//! A plain connection to an instance, for CONNECT: picked, bounded and counted as a request is.

use std::io;
use std::time::Duration;

use brick_resilience::Outcome;
use http::StatusCode;
use http::request::Parts;
use tokio::net::TcpStream;

use super::{Errand, Load, Tried, faults, pick, refused};
use crate::answer::Answer;
use crate::call::Call;
use crate::crossing::Crossing;
use crate::route::Picked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to an instance, which counts as in flight while the load is held.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) stream: TcpStream,
    pub(crate) load: Load,
}

/// Connects, to another instance where one refuses.
pub(crate) async fn connect(errand: &Errand<'_>, parts: &Parts, call: &mut Call) -> Result<Plain, Answer> {
    if errand.target.remote().is_some() {
        let detail = format!(
            "{} is outside the system, and tunnels lead to its bricks alone",
            errand.target.name()
        );
        return Err(Answer::new(StatusCode::FORBIDDEN, "connect_refused", detail));
    }
    let mut crossing = Crossing::enter(errand, &parts.method, &parts.headers, call).await?;
    faults(errand, &parts.headers, &mut crossing, call).await?;
    let mut tried = Tried::default();
    loop {
        let Picked { addr, instance, .. } = pick(errand.target, &errand.lead, &mut tried)?;
        let (incarnation, guard) = instance.unzip();
        crossing.begin();
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                // What is small is sent at once, as the client sent it.
                let _ = stream.set_nodelay(true);
                call.done(Some(StatusCode::OK), addr);
                crossing.ended(&Outcome::of_status(StatusCode::OK.as_u16(), None), call);
                let load = Load {
                    _guard: guard,
                    permit: crossing.arrived(),
                    passed: 0,
                };
                return Ok(Plain { stream, load });
            }
            Err(error) => {
                call.done(None, addr);
                tracing::debug!(to = errand.target.name(), %addr, %error, "an instance refused the connection");
                if let Some(guard) = guard {
                    guard.connect_failed();
                }
                refused(errand, &mut tried, incarnation, &mut crossing, call)?;
            }
        }
    }
}
