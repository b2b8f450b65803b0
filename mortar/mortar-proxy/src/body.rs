//! Bodies on their way through, both concrete types: nothing is boxed, nothing is copied, and a slow reader slows
//! the writer. Only a [`Filter`], which some routes ask for, is boxed.

mod request;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::connection::Active;
use crate::exchange::Exchange;
use crate::forward::Load;
use crate::headers;
use crate::pool::Lease;
use crate::timer::Timer;

pub(crate) use request::RequestBody;

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
    Broken(#[source] io::Error),
}

/// Sees a body pass, piece by piece, and may change it. One that is dropped without [`Filter::end`] saw a part only.
pub trait Filter: Send + std::fmt::Debug + 'static {
    /// What goes on in the place of this piece; it may be empty.
    fn piece(&mut self, piece: Bytes) -> Bytes;

    /// The body is complete: what is still to go on. Of a request's body nothing more can.
    fn end(&mut self) -> Bytes;
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    filter: Option<Box<dyn Filter>>,
    /// Recorded when the body is gone, however it went.
    exchange: Option<Box<Exchange>>,
    /// Tells the connection whether the client takes it; for connections of many streams.
    active: Option<Active>,
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
    /// Where it comes from; none once it is complete.
    pub(crate) lease: Option<Lease>,
    /// Counts as in flight.
    pub(crate) load: Load,
    pub(crate) limit: Limit,
    /// A fault on purpose: it comes no faster.
    pub(crate) pace: Option<Box<Pace>>,
}

/// So many bytes a second: each piece is held back for as long as it takes.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    held: Option<(Bytes, Pin<Box<tokio::time::Sleep>>)>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            held: None,
        }
    }

    /// The piece that is through by now; none where none is held.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some((_, wait)) = &mut self.held {
            ready!(wait.as_mut().poll(cx));
        }
        Poll::Ready(self.held.take().map(|(bytes, _)| bytes))
    }

    fn hold(&mut self, bytes: Bytes) {
        let takes = Duration::from_secs_f64(bytes.len() as f64 / self.bytes_per_second as f64);
        self.held = Some((bytes, Box::pin(tokio::time::sleep(takes))));
    }
}

/// When a streamed answer is cut.
#[derive(Debug)]
pub(crate) enum Limit {
    /// At this moment; the timer is made when the body has to be waited for.
    Deadline(Instant, Timer),
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

impl Body {
    /// None.
    pub fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    /// One piece.
    pub fn whole(bytes: Bytes) -> Self {
        Self::of(if bytes.is_empty() {
            Kind::Empty
        } else {
            Kind::Whole(bytes)
        })
    }

    /// Lets every piece pass a filter. Where it changes how many bytes there are, `Content-Length` is the caller's to
    /// remove.
    #[must_use]
    pub fn filtered(mut self, filter: Box<dyn Filter>) -> Self {
        let inner = self.filter.take();
        self.filter = Some(match inner {
            Some(inner) => Box::new(Both(inner, filter)),
            None => filter,
        });
        self
    }

    /// What comes from an instance.
    pub(crate) fn stream(stream: Stream) -> Self {
        Self::of(Kind::Stream(stream))
    }

    /// The exchange is recorded when the body is gone.
    pub(crate) fn recorded(mut self, exchange: Box<Exchange>) -> Self {
        self.exchange = Some(exchange);
        self
    }

    /// The connection watches whether the client takes it.
    pub(crate) fn watched(mut self, active: Active) -> Self {
        self.active = Some(active);
        self
    }

    /// The stream is over; its timer goes back to the connection.
    fn retire(&mut self) {
        if let Kind::Stream(stream) = std::mem::replace(&mut self.kind, Kind::Empty)
            && let Limit::Deadline(_, timer) = stream.limit
            && let Some(exchange) = &self.exchange
        {
            exchange.return_timer(timer);
        }
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            filter: None,
            exchange: None,
            active: None,
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
        self.retire();
        self.filter = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        loop {
            let data = match &mut self.kind {
                Kind::Empty => return self.end(),
                Kind::Whole(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.kind = Kind::Empty;
                    bytes
                }
                Kind::Stream(stream) => match ready!(stream.poll(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => data,
                        // Behind a filter they would come before its last bytes.
                        Err(_) if self.filter.is_some() => continue,
                        Err(frame) => return Poll::Ready(Some(Ok(headers::trailers(frame)))),
                    },
                    // An event stream ends here, properly: the client connects again elsewhere.
                    Some(Err(Error::Stopping)) => return self.end(),
                    Some(Err(error)) => return self.fail(error),
                    None => {
                        stream.give_back();
                        return self.end();
                    }
                },
            };
            let data = self.pass(data);
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn pass(&mut self, data: Bytes) -> Bytes {
        let data = match &mut self.filter {
            Some(filter) => filter.piece(data),
            None => data,
        };
        if let Some(exchange) = &mut self.exchange {
            exchange.count(data.len());
        }
        data
    }

    /// Nothing more comes: what the filter still has.
    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.retire();
        let Some(mut filter) = self.filter.take() else {
            return Poll::Ready(None);
        };
        let last = filter.end();
        if last.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.count(last.len());
        }
        Poll::Ready(Some(Ok(Frame::data(last))))
    }
}

impl Stream {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = match self.pace.as_mut().map(|pace| pace.poll(cx)) {
            Some(Poll::Ready(Some(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Poll::Pending) => Poll::Pending,
            _ => match &mut self.lease {
                Some(lease) => lease.poll_frame(cx),
                None => Poll::Ready(None),
            },
        };
        match polled {
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Ok(frame))) => match (&mut self.pace, frame.into_data()) {
                (pace, Ok(data)) => {
                    self.load.passed(data.len());
                    let Some(pace) = pace else {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    };
                    pace.hold(data);
                    self.poll(cx)
                }
                (_, Err(frame)) => Poll::Ready(Some(Ok(frame))),
            },
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Error::Broken(error)))),
            Poll::Pending => {
                let error = ready!(self.limit.poll(cx));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        let holds = self.pace.as_ref().is_some_and(|pace| pace.held.is_some());
        !holds && self.lease.as_ref().is_none_or(Lease::is_end)
    }

    /// The body is complete: connection and load are free.
    pub(crate) fn give_back(&mut self) {
        self.load = Load::default();
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Limit {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self {
            Self::Deadline(at, timer) => timer.poll(cx, *at).map(|()| Error::Timeout),
            Self::Drain(stopping) => stopping.0.as_mut().poll(cx).map(|()| Error::Stopping),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let polled = this.poll(cx);
        if let Some(active) = &this.active {
            match polled.is_ready() {
                true => active.gave(),
                false => active.waits(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.filter.is_none()
            && match &self.kind {
                Kind::Empty => true,
                Kind::Whole(_) => false,
                Kind::Stream(stream) => stream.is_end(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            _ if self.filter.is_some() => SizeHint::default(),
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => match &stream.lease {
                Some(lease) => lease.size_hint(),
                None => SizeHint::with_exact(0),
            },
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Stream(stream) if stream.is_end() => stream.give_back(),
            Kind::Stream(_) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.cut("client_gone");
                }
            }
            _ => {}
        }
        self.retire();
    }
}

/// One filter behind the other.
#[derive(Debug)]
struct Both(Box<dyn Filter>, Box<dyn Filter>);

impl Filter for Both {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        let piece = self.0.piece(piece);
        if piece.is_empty() {
            piece
        } else {
            self.1.piece(piece)
        }
    }

    fn end(&mut self) -> Bytes {
        let last = self.0.end();
        let mut out = Vec::new();
        if !last.is_empty() {
            out.extend_from_slice(&self.1.piece(last));
        }
        out.extend_from_slice(&self.1.end());
        out.into()
    }
}
