//! The body of a request on its way to an instance: streamed and counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::{Error, Filter};
use crate::headers;
use crate::link::{Fault, Link};

/// Bytes of a body that are kept for another try; what is larger is sent once.
const KEPT_BYTES_MAX: usize = 64 * 1024;

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
    /// The same, kept so that it can be sent again.
    Kept(Kept),
}

/// A client's body, read once and sent as often as tries need it.
#[derive(Debug)]
pub(crate) struct Kept {
    shared: Arc<Mutex<Recording>>,
    /// Pieces that this reader had.
    read: usize,
}

/// What came so far, and what is still to come.
#[derive(Debug)]
struct Recording {
    upload: Upload,
    pieces: Vec<Bytes>,
    bytes: usize,
    ended: bool,
    /// It grew beyond [`KEPT_BYTES_MAX`], or has trailers: the reader at its end goes on alone.
    lost: bool,
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

    /// The same again, where all of it is still at hand.
    pub(crate) fn replay(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
            Self::Kept(kept) => kept.again().map(Self::Kept),
        }
    }

    /// Whether nothing of it is still to come from the client.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Stream(_) => false,
            Self::Kept(kept) => kept.shared.lock().ended,
        }
    }

    /// Keeps what comes, so that [`Self::replay`] has it; what is known to be larger than the bound is left as it is.
    pub(crate) fn keep(self) -> Self {
        match self {
            Self::Stream(upload) if upload.incoming.size_hint().lower() <= KEPT_BYTES_MAX as u64 => {
                Self::Kept(Kept::new(upload))
            }
            other => other,
        }
    }
}

impl Kept {
    fn new(upload: Upload) -> Self {
        let recording = Recording {
            upload,
            pieces: Vec::new(),
            bytes: 0,
            ended: false,
            lost: false,
        };
        Self {
            shared: Arc::new(Mutex::new(recording)),
            read: 0,
        }
    }

    fn again(&self) -> Option<Self> {
        let shared = (!self.shared.lock().lost).then(|| Arc::clone(&self.shared))?;
        Some(Self { shared, read: 0 })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut recording = self.shared.lock();
        if let Some(piece) = recording.pieces.get(self.read) {
            self.read += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if recording.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(recording.upload.poll(cx));
        match &polled {
            Some(Ok(frame)) => {
                recording.record(frame.data_ref());
                self.read = recording.pieces.len();
            }
            Some(Err(_)) => recording.lost = true,
            None => recording.ended = true,
        }
        Poll::Ready(polled)
    }

    fn is_end(&self) -> bool {
        let recording = self.shared.lock();
        self.read >= recording.pieces.len() && (recording.ended || recording.upload.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let recording = self.shared.lock();
        let kept = recording.pieces.iter().skip(self.read).map(Bytes::len);
        let kept = kept.sum::<usize>() as u64;
        let hint = recording.upload.incoming.size_hint();
        hint.exact()
            .map_or_else(SizeHint::default, |rest| SizeHint::with_exact(kept + rest))
    }
}

impl Recording {
    /// Keeps a piece of data; trailers are none.
    fn record(&mut self, data: Option<&Bytes>) {
        self.bytes += data.map_or(0, Bytes::len);
        self.lost |= data.is_none() || self.bytes > KEPT_BYTES_MAX;
        match data {
            Some(data) if !self.lost => self.pieces.push(data.clone()),
            _ => self.pieces.clear(),
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
            Self::Kept(kept) => kept.poll(cx),
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
            Self::Kept(kept) => kept.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(upload) => upload.incoming.size_hint(),
            Self::Kept(kept) => kept.size_hint(),
        }
    }
}
