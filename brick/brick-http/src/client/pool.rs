//! Connections to callees: taken for one try, given back when the answer's body is there, last in first out.
//!
//! A try whose request was never sent (a kept connection had died) goes to the next connection; one that died with the
//! request on it is told apart, for then only the caller knows whether to repeat it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::time::Instant;

const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Shorter than servers keep theirs.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// Idle connections kept for each callee; a further one is closed.
const IDLE_MAX: usize = 32;
/// Places of which connections are kept; the others' are closed after use.
const PLACES_MAX: usize = 4_096;
/// Time for a connection to get over its last exchange.
const READY_LIMIT: Duration = Duration::from_millis(5);
/// Kept connections that may turn out to be dead.
const DEAD_MAX: usize = IDLE_MAX + 1;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Sender = SendRequest<Full<Bytes>>;

/// Where a callee is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An instance.
    Addr(SocketAddr),
    /// Host and port of a service outside.
    Host(Arc<str>),
}

/// The connections that are not in use; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool(Arc<Mutex<HashMap<Place, Vec<Idle>>>>);

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

/// A connection in use; dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    sender: Sender,
    place: Place,
    pool: Pool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// No connection: nothing was sent.
    Unconnected(BoxError),
    /// The connection died with the request on it.
    Died(BoxError),
}

impl Pool {
    /// Sends a request; the lease is for the answer's body.
    pub(super) async fn send(
        &self,
        place: &Place,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Lease), Failed> {
        for _ in 0..DEAD_MAX {
            let mut sender = match self.take(place).await {
                Some(sender) => sender,
                None => connect(place).await.map_err(Failed::Unconnected)?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let lease = Lease {
                        sender,
                        place: place.clone(),
                        pool: self.clone(),
                    };
                    return Ok((response, lease));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Failed::Died(brick_core::chain(&error.into_error()).into())),
                },
            }
        }
        Err(Failed::Unconnected("every kept connection was dead".into()))
    }

    /// A connection that was used before and can be used again.
    async fn take(&self, place: &Place) -> Option<Sender> {
        loop {
            let mut sender = self.pop(place)?;
            if sender.is_ready() {
                return Some(sender);
            }
            // Its task has not run since the last answer.
            if let Ok(Ok(())) = tokio::time::timeout(READY_LIMIT, sender.ready()).await {
                return Some(sender);
            }
        }
    }

    fn pop(&self, place: &Place) -> Option<Sender> {
        let mut idle = self.0.lock();
        let kept = idle.get_mut(place)?;
        let now = Instant::now();
        while let Some(last) = kept.pop() {
            if now.duration_since(last.since) >= IDLE_LIMIT {
                // All that lie deeper are older still.
                idle.remove(place);
                return None;
            }
            if !last.sender.is_closed() {
                return Some(last.sender);
            }
        }
        idle.remove(place);
        None
    }
}

impl Lease {
    /// The answer is there, whole; the connection may serve the next call.
    pub(super) fn give_back(self) {
        if self.sender.is_closed() {
            return;
        }
        let mut idle = self.pool.0.lock();
        let now = Instant::now();
        if idle.len() >= PLACES_MAX && !idle.contains_key(&self.place) {
            idle.retain(|_, kept| {
                kept.last()
                    .is_some_and(|last| now.duration_since(last.since) < IDLE_LIMIT)
            });
            if idle.len() >= PLACES_MAX {
                return;
            }
        }
        let kept = idle.entry(self.place).or_default();
        if kept.len() >= IDLE_MAX {
            kept.remove(0);
        }
        kept.push(Idle {
            sender: self.sender,
            since: now,
        });
    }
}

async fn connect(place: &Place) -> Result<Sender, BoxError> {
    let connected = tokio::time::timeout(CONNECT_LIMIT, async {
        match place {
            Place::Addr(addr) => TcpStream::connect(addr).await,
            Place::Host(host) => TcpStream::connect(&**host).await,
        }
    });
    let stream = connected
        .await
        .map_err(|_| format!("no connection within {} ms", CONNECT_LIMIT.as_millis()))??;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What breaks is told to the call that it breaks.
        let _ = connection.await;
    });
    Ok(sender)
}
