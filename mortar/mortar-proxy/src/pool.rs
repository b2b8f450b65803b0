//! Connections to instances. One of HTTP/1 is taken for one exchange and given back when its body ended, last in first
//! out; one of HTTP/2 is shared. A pool belongs to one worker.
//!
//! A connection of HTTP/1 that is given back is kept only where it says that it is reusable, so neither a half-read
//! answer nor a half-sent request can leak into the next exchange.

mod open;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::uri::Scheme;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::forward::{self, Outgoing};
use crate::http1::{Failed, Http1};
use crate::tls;

/// Idle connections kept for each address; a further one is closed.
const IDLE_MAX: usize = 256;
/// An idle connection older than this is not used again: shorter than what common servers keep.
const IDLE_FOR: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The same where the other side is elsewhere and hands are shaken.
const TLS_TIMEOUT: Duration = Duration::from_secs(3);
/// Requests on one HTTP/2 connection at a time; common servers allow so many.
const STREAMS_MAX: usize = 100;
/// HTTP/2 connections to one address.
const SHARED_MAX: usize = 4;

/// How an instance is spoken to.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    /// HTTP/1.1 on a plain connection.
    #[default]
    Http1,
    /// HTTP/2 on a plain connection, by prior knowledge (RFC 9113 §3.3).
    H2c,
    /// TLS, and what is agreed on by ALPN.
    Tls(tls::Upstream),
}

/// The first kind of connection that is of TLS.
const TLS: u64 = 2;

/// Which connections are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addr: SocketAddr,
    /// 0 is HTTP/1, 1 HTTP/2; from [`TLS`] on it is an identity of TLS.
    kind: u64,
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
    shared: Mutex<HashMap<Key, Vec<Shared>>>,
    opened: AtomicU64,
    failed: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    connection: Box<Http1>,
    since: Instant,
}

/// A connection that many exchanges use; the count of its `Arc` says how many.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    users: Arc<()>,
    used: Instant,
}

/// A connection in use. Dropping one of HTTP/1 closes it.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: Sender,
    key: Key,
    pool: Arc<Pool>,
}

/// What requests are given to, and answers come from.
#[derive(Debug)]
enum Sender {
    Http1(Box<Http1>),
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        /// Counts who uses the connection.
        users: Arc<()>,
        /// The body of the answer.
        body: Option<Incoming>,
    },
}

impl Transport {
    fn kind(&self) -> u64 {
        match self {
            Self::Http1 => 0,
            Self::H2c => 1,
            Self::Tls(upstream) => TLS + upstream.id(),
        }
    }

    /// The same with HTTP/1.1 where it may be chosen.
    pub(crate) fn http1(self) -> Self {
        match self {
            Self::Tls(upstream) => Self::Tls(upstream.http1()),
            other => other,
        }
    }
}

impl Pool {
    /// A connection that was used before; none where none is ready.
    pub(crate) fn take(self: &Arc<Self>, addr: SocketAddr, transport: &Transport) -> Option<Lease> {
        let key = Key {
            addr,
            kind: transport.kind(),
        };
        let sender = match transport {
            Transport::Http1 => self.take_idle(key)?,
            Transport::H2c => self.share(key)?,
            Transport::Tls(_) => self.share(key).or_else(|| self.take_idle(key))?,
        };
        Some(self.lease(key, sender))
    }

    /// A new connection.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        addr: SocketAddr,
        transport: &Transport,
    ) -> io::Result<Lease> {
        let key = Key {
            addr,
            kind: transport.kind(),
        };
        let limit = match transport {
            Transport::Tls(_) => TLS_TIMEOUT,
            Transport::Http1 | Transport::H2c => CONNECT_TIMEOUT,
        };
        let opened = tokio::time::timeout(limit, open::open(addr, transport)).await;
        match opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(sender) => {
                self.opened.fetch_add(1, Ordering::Relaxed);
                if let Sender::Http2 { sender, users, .. } = &sender {
                    self.keep_shared(key, sender, users);
                }
                Ok(self.lease(key, sender))
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// Closes idle connections that are too old.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.idle.lock().retain(|_, connections| {
            connections.retain_mut(|c| now.duration_since(c.since) < IDLE_FOR && c.connection.is_open());
            !connections.is_empty()
        });
        self.shared.lock().retain(|_, connections| {
            connections.retain(|c| {
                !c.sender.is_closed() && (c.users() > 0 || now.duration_since(c.used) < IDLE_FOR)
            });
            !connections.is_empty()
        });
    }

    /// Connections opened, connections that could not be opened, idle now.
    pub(crate) fn figures(&self) -> (u64, u64, u64) {
        let idle = self.idle.lock().values().map(Vec::len).sum::<usize>();
        let shared = self.shared.lock();
        let unused = shared.values().flatten().filter(|c| c.users() == 0).count();
        (
            self.opened.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
            (idle + unused) as u64,
        )
    }

    fn take_idle(&self, key: Key) -> Option<Sender> {
        let mut idle = self.idle.lock();
        let connections = idle.get_mut(&key)?;
        let now = Instant::now();
        while let Some(mut last) = connections.pop() {
            if now.duration_since(last.since) < IDLE_FOR && last.connection.is_open() {
                return Some(Sender::Http1(last.connection));
            }
        }
        None
    }

    /// The connection with the fewest users, while there is room on it or no further one may be opened.
    fn share(&self, key: Key) -> Option<Sender> {
        let mut shared = self.shared.lock();
        let connections = shared.get_mut(&key)?;
        connections.retain(|c| !c.sender.is_closed());
        let full = connections.len() >= SHARED_MAX;
        let least = connections.iter_mut().min_by_key(|c| c.users())?;
        if least.users() >= STREAMS_MAX && !full {
            return None;
        }
        least.used = Instant::now();
        Some(Sender::http2(least.sender.clone(), Arc::clone(&least.users)))
    }

    /// One that is beyond the bound serves the exchange that opened it, and ends with it.
    fn keep_shared(&self, key: Key, sender: &http2::SendRequest<RequestBody>, users: &Arc<()>) {
        let mut shared = self.shared.lock();
        let connections = shared.entry(key).or_default();
        if connections.len() < SHARED_MAX {
            connections.push(Shared {
                sender: sender.clone(),
                users: Arc::clone(users),
                used: Instant::now(),
            });
        }
    }

    fn lease(self: &Arc<Self>, key: Key, sender: Sender) -> Lease {
        Lease {
            sender,
            key,
            pool: Arc::clone(self),
        }
    }
}

impl Shared {
    fn users(&self) -> usize {
        Arc::strong_count(&self.users) - 1
    }
}

impl Lease {
    /// Whether it is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.key.kind >= TLS
    }

    /// Sends a request and waits for the head of its answer. The body stays in its place while nothing was sent.
    pub(crate) async fn exchange(&mut self, request: &mut Outgoing) -> Result<Response<()>, Failed> {
        let scheme = if self.is_tls() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        match &mut self.sender {
            Sender::Http1(connection) => connection.exchange(&request.head, &mut request.body).await,
            Sender::Http2 { sender, body, .. } => {
                let whole = forward::http2(&request.head, std::mem::take(&mut request.body), scheme);
                // Apart, so that an exchange of HTTP/1 needs no room for it.
                match Box::pin(sender.try_send_request(whole)).await {
                    Ok(response) => {
                        let (head, incoming) = response.into_parts();
                        *body = Some(incoming);
                        Ok(Response::from_parts(head, ()))
                    }
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => {
                            request.body = unsent.into_body();
                            Err(Failed::Unsent)
                        }
                        None => Err(Failed::Died(io::Error::other(error.into_error()))),
                    },
                }
            }
        }
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.sender {
            Sender::Http1(connection) => connection.poll_frame(cx),
            Sender::Http2 { body: None, .. } => Poll::Ready(None),
            Sender::Http2 { body: Some(body), .. } => {
                let polled = Pin::new(body).poll_frame(cx);
                polled.map(|frame| frame.map(|frame| frame.map_err(io::Error::other)))
            }
        }
    }

    /// Whether the body of the answer is complete.
    pub(crate) fn is_end(&self) -> bool {
        match &self.sender {
            Sender::Http1(connection) => connection.is_end(),
            Sender::Http2 { body, .. } => body.as_ref().is_none_or(Incoming::is_end_stream),
        }
    }

    /// What is known of the size of the answer's body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match &self.sender {
            Sender::Http1(connection) => connection.size_hint(),
            Sender::Http2 { body, .. } => body.as_ref().map_or_else(SizeHint::default, Incoming::size_hint),
        }
    }

    /// The connection itself, where it was switched to another protocol.
    pub(crate) fn into_http1(self) -> Option<Http1> {
        match self.sender {
            Sender::Http1(connection) => Some(*connection),
            Sender::Http2 { .. } => None,
        }
    }

    /// The exchange is over; the connection may serve the next.
    pub(crate) fn give_back(self) {
        let Sender::Http1(connection) = self.sender else {
            return;
        };
        if !connection.is_reusable() {
            return;
        }
        let mut idle = self.pool.idle.lock();
        let connections = idle.entry(self.key).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }
}

impl Sender {
    fn http2(sender: http2::SendRequest<RequestBody>, users: Arc<()>) -> Self {
        Self::Http2 {
            sender,
            users,
            body: None,
        }
    }
}
