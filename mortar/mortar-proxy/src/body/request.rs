//! The body of a request on its way to an instance: streamed and counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{Error, Filter};
use crate::headers;
use crate::link::{Fault, Link};

/// The body of a request on its way to an instance.
#[derive(Debug, Default)]
pub(crate) enum RequestBody {
    /// None.
    #[default]
    Empty,
    /// One piece.
    Whole(Bytes),
    /// What the client sends.
    Stream(Upload),
}

/// What a client sends.
#[derive(Debug)]
pub(crate) struct Upload {
    incoming: Incoming,
    /// Bytes that the route still takes.
    left: u64,
    link: Arc<Link>,
    filter: Option<Box<dyn Filter>>,
}

impl RequestBody {
    /// Takes over the body of a request.
    pub(crate) fn new(
        incoming: Incoming,
        bytes_max: u64,
        link: &Arc<Link>,
        mut filter: Option<Box<dyn Filter>>,
    ) -> Self {
        if incoming.is_end_stream() {
            link.set_uploading(false);
            if let Some(filter) = &mut filter {
                filter.end();
            }
            return Self::Empty;
        }
        link.set_uploading(true);
        Self::Stream(Upload {
            incoming,
            left: bytes_max,
            link: Arc::clone(link),
            filter,
        })
    }

    /// One piece.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        Self::Whole(bytes)
    }

    /// The same again, where it was not consumed.
    pub(crate) fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
        }
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            None => {
                self.ended();
                return Poll::Ready(None);
            }
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.link.set_fault(Fault::Gone);
                return Poll::Ready(Some(Err(Error::Broken(io::Error::other(error)))));
            }
        };
        let frame = match frame.into_data() {
            Ok(data) => self.count(data).map(Frame::data),
            Err(frame) => Ok(headers::trailers(frame)),
        };
        if self.incoming.is_end_stream() {
            self.ended();
        }
        Poll::Ready(Some(frame))
    }

    fn count(&mut self, data: Bytes) -> Result<Bytes, Error> {
        let Some(rest) = self.left.checked_sub(data.len() as u64) else {
            self.link.set_fault(Fault::TooLarge);
            return Err(Error::TooLarge);
        };
        self.left = rest;
        Ok(match &mut self.filter {
            Some(filter) => filter.piece(data),
            None => data,
        })
    }

    fn ended(&mut self) {
        self.link.set_uploading(false);
        if let Some(mut filter) = self.filter.take() {
            filter.end();
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Stream(upload) => upload.poll(cx),
            whole => match std::mem::take(whole) {
                Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                _ => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_) => false,
            Self::Stream(upload) => upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(upload) => upload.incoming.size_hint(),
        }
    }
}
