//! Bodies on their way through, both concrete types: nothing is boxed, nothing is copied, and a slow reader slows
//! the writer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brick_discovery::balancer::Guard;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::exchange::Exchange;
use crate::link::{Fault, Link};
use crate::pool::Lease;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is larger than its route takes.
    #[error("the request body is larger than the route takes")]
    TooLarge,
    /// The time limit of the exchange ran out.
    #[error("the exchange took longer than its route allows")]
    Timeout,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// The connection failed.
    #[error("the connection failed")]
    Broken(#[source] hyper::Error),
}

/// The body of a request on its way to an instance.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    /// None.
    #[default]
    Empty,
    /// Streamed, counted.
    Stream {
        incoming: Incoming,
        /// Bytes that the route still takes.
        left: u64,
        link: Arc<Link>,
    },
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    /// Recorded when the body is gone, however it went.
    exchange: Option<Box<Exchange>>,
}

#[derive(Debug)]
enum Kind {
    Empty,
    Whole(Bytes),
    Stream(Stream),
}

/// What comes from an instance.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) incoming: Incoming,
    pub(crate) lease: Option<Lease>,
    /// Counts at the balancer as in flight.
    pub(crate) load: Option<Guard>,
    pub(crate) limit: Limit,
}

/// When a streamed answer is cut.
#[derive(Debug)]
pub(crate) enum Limit {
    /// At this moment; the timer is made when the body has to be waited for.
    Deadline(Instant, Option<Pin<Box<Sleep>>>),
    /// When the proxy drains: for event streams, which have no end of their own.
    Drain(Stopping),
}

/// Resolves when the proxy drains.
pub(crate) struct Stopping(pub(crate) Pin<Box<dyn Future<Output = ()> + Send>>);

impl std::fmt::Debug for Stopping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stopping")
    }
}

impl RequestBody {
    /// Takes over the body of a request.
    pub(crate) fn new(incoming: Incoming, bytes_max: u64, link: &Arc<Link>) -> Self {
        if incoming.is_end_stream() {
            link.set_uploading(false);
            return Self::Empty;
        }
        link.set_uploading(true);
        Self::Stream {
            incoming,
            left: bytes_max,
            link: Arc::clone(link),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Self::Stream { incoming, left, link } = self.get_mut() else {
            return Poll::Ready(None);
        };
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                None => {
                    link.set_uploading(false);
                    None
                }
                Some(Ok(frame)) => {
                    // Trailers may be discarded (RFC 9110 §6.5.1), and are.
                    let Ok(data) = frame.into_data() else { continue };
                    match left.checked_sub(data.len() as u64) {
                        Some(rest) => {
                            *left = rest;
                            if incoming.is_end_stream() {
                                link.set_uploading(false);
                            }
                            Some(Ok(Frame::data(data)))
                        }
                        None => {
                            link.set_fault(Fault::TooLarge);
                            Some(Err(Error::TooLarge))
                        }
                    }
                }
                Some(Err(error)) => {
                    link.set_fault(Fault::Gone);
                    Some(Err(Error::Broken(error)))
                }
            });
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl Body {
    /// None.
    pub(crate) fn empty(exchange: Box<Exchange>) -> Self {
        Self {
            kind: Kind::Empty,
            exchange: Some(exchange),
        }
    }

    /// One piece.
    pub(crate) fn whole(bytes: Bytes, exchange: Box<Exchange>) -> Self {
        Self {
            kind: Kind::Whole(bytes),
            exchange: Some(exchange),
        }
    }

    /// What comes from an instance.
    pub(crate) fn stream(stream: Stream, exchange: Box<Exchange>) -> Self {
        Self {
            kind: Kind::Stream(stream),
            exchange: Some(exchange),
        }
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(exchange) = &mut self.exchange {
            exchange.cut(match error {
                Error::Timeout => "upstream_timeout",
                Error::Stopping => "stopping",
                _ => "upstream_reset",
            });
        }
        self.kind = Kind::Empty;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(Error::Broken(error)))),
                Poll::Pending => {
                    let error = ready!(self.limit.poll(cx));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// The body is complete: connection and load are free.
    pub(crate) fn give_back(&mut self) {
        self.load = None;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Limit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self {
            Self::Deadline(at, timer) => {
                let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*at)));
                timer.as_mut().poll(cx).map(|()| Error::Timeout)
            }
            Self::Drain(stopping) => stopping.0.as_mut().poll(cx).map(|()| Error::Stopping),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let data = match &mut this.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                bytes
            }
            Kind::Stream(stream) => match ready!(stream.poll(cx)) {
                Some(Ok(data)) => data,
                Some(Err(Error::Stopping)) => {
                    // An event stream ends here, properly: the client connects again elsewhere.
                    this.kind = Kind::Empty;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return this.fail(error),
                None => {
                    stream.give_back();
                    this.kind = Kind::Empty;
                    return Poll::Ready(None);
                }
            },
        };
        if let Some(exchange) = &mut this.exchange {
            exchange.count(data.len());
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Stream(stream) => stream.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.incoming.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Stream(stream) if stream.incoming.is_end_stream() => stream.give_back(),
            Kind::Stream(_) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.cut("client_gone");
                }
            }
            _ => {}
        }
    }
}
