//! HTTP/1.1 to an instance (RFC 9112), one exchange after the other on a connection that whoever waits for the answer
//! drives: there is no task of its own behind it and no queue in between. What is read lands in a buffer that the
//! connections of a worker share; a connection holds memory only while a head or a line is incomplete.

mod decode;
mod head;
mod output;
mod socket;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::io::poll_read_buf;

use crate::body::RequestBody;
use decode::Decoder;
use head::Framing;
use output::Output;

pub(crate) use socket::Socket;

/// What is read at a time of answers that are small.
const READ_BYTES: usize = 16 * 1024;
/// And of those that turn out to be large.
const READ_BYTES_MAX: usize = 64 * 1024;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    /// What answers are read into. A piece that is still on its way keeps its part alone.
    static SHARED: RefCell<BytesMut> = RefCell::default();
}

/// A connection to an instance.
#[derive(Debug)]
pub(crate) struct Http1 {
    socket: Socket,
    /// Read, and not understood yet.
    input: BytesMut,
    output: Output,
    /// What of the request is still to be sent.
    sending: Option<(RequestBody, Framing)>,
    answer: Decoder,
    /// Whether it may serve another exchange after this one.
    reusable: bool,
    /// The last read got all that there was room for.
    filled: bool,
}

/// Why an exchange gave no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nothing of the request was sent; it is still in its place.
    Unsent,
    /// The connection died with the request on it.
    Died(io::Error),
}

impl Http1 {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            input: BytesMut::new(),
            output: Output::default(),
            sending: None,
            answer: Decoder::default(),
            reusable: true,
            filled: false,
        }
    }

    /// Whether the other side left it open. An idle connection has nothing to say: one that says something is closed.
    pub(crate) fn is_open(&mut self) -> bool {
        // What waits between two exchanges holds no buffer.
        self.filled = false;
        let mut none = Context::from_waker(Waker::noop());
        self.poll_fill(&mut none).is_pending()
    }

    /// Whether it may serve the next exchange.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable
            && self.answer.is_end()
            && self.sending.is_none()
            && self.output.is_empty()
            && self.input.is_empty()
    }

    /// Sends a request and waits for the head of its answer. The body stays in its place while nothing was sent.
    pub(crate) async fn exchange(
        &mut self,
        head: &Request<()>,
        body: &mut RequestBody,
    ) -> Result<Response<()>, Failed> {
        poll_fn(|cx| Poll::Ready(self.begin(cx, head, body))).await?;
        poll_fn(|cx| self.poll_head(cx, head.method()))
            .await
            .map_err(Failed::Died)
    }

    /// The next piece of the answer's body.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.sending.is_some() || !self.output.is_empty() {
            self.go_on_sending(cx);
        }
        loop {
            match self.answer.next(&mut self.input) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.answer.is_end() => return Poll::Ready(None),
                Ok(None) => {}
                Err(malformed) => return Poll::Ready(Some(Err(self.fail(invalid(malformed))))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if self.answer.ends_with_input() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(self.fail(io::ErrorKind::UnexpectedEof.into())))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(self.fail(error)))),
            }
        }
    }

    /// Whether the body of the answer is complete.
    pub(crate) fn is_end(&self) -> bool {
        self.answer.is_end()
    }

    /// What is known of the size of the answer's body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }

    /// The socket of a connection that was switched to another protocol, and what was read of that already.
    pub(crate) fn into_parts(self) -> (Socket, BytesMut) {
        (self.socket, self.input)
    }

    /// Writes the head. Before a body it waits for the first of that, so that small ones leave in one piece.
    fn begin(
        &mut self,
        cx: &mut Context<'_>,
        head: &Request<()>,
        body: &mut RequestBody,
    ) -> Result<(), Failed> {
        let framing = Framing::of(body);
        self.filled = false;
        self.answer = Decoder::Head;
        if !body.is_end_stream() {
            head::written(head, framing, |bytes| {
                self.output.push(Bytes::copy_from_slice(bytes));
            });
            self.sending = Some((std::mem::take(body), framing));
            return Ok(());
        }
        let mut sent = false;
        let written = head::written(head, framing, |bytes| {
            self.output.begin(cx, &mut self.socket, bytes, &mut sent)
        });
        written.map_err(|error| match sent {
            true => Failed::Died(error),
            false => Failed::Unsent,
        })
    }

    /// Goes on with the request and waits for the answer: an instance may answer before it has read all.
    fn poll_head(&mut self, cx: &mut Context<'_>, method: &Method) -> Poll<io::Result<Response<()>>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            // What the instance says of it counts more than that it does not read on.
            if !matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
            ) {
                return Poll::Ready(Err(self.fail(error)));
            }
            self.give_up_sending();
        }
        loop {
            match head::parse(&mut self.input, method) {
                Ok(Some(found)) if found.is_interim() => continue,
                Ok(Some(found)) => {
                    self.reusable &=
                        found.keeps && found.response.status() != StatusCode::SWITCHING_PROTOCOLS;
                    self.answer = found.body;
                    return Poll::Ready(Ok(found.response));
                }
                Ok(None) if self.input.len() > HEAD_BYTES_MAX => {
                    return Poll::Ready(Err(self.fail(invalid("a head of more than 64 KiB"))));
                }
                Ok(None) => {}
                Err(malformed) => return Poll::Ready(Err(self.fail(invalid(malformed)))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(self.fail(io::ErrorKind::UnexpectedEof.into()))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.fail(error))),
            }
        }
    }
}

impl Http1 {
    /// Sends what is there to be sent; ready when all of the request is.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut waits = false;
            while !waits
                && self.output.has_room()
                && let Some((body, framing)) = &mut self.sending
            {
                match Pin::new(body).poll_frame(cx) {
                    Poll::Pending => waits = true,
                    Poll::Ready(Some(Ok(frame))) => framing.encode(frame, &mut self.output)?,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                    Poll::Ready(None) => {
                        framing.end(&mut self.output)?;
                        self.sending = None;
                    }
                }
            }
            ready!(self.output.poll(cx, &mut self.socket))?;
            if self.sending.is_none() {
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    /// While the answer is on its way, what becomes of the request no longer matters.
    fn go_on_sending(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(_)) = self.poll_send(cx) {
            self.give_up_sending();
        }
    }

    fn give_up_sending(&mut self) {
        self.reusable = false;
        self.sending = None;
        self.output = Output::default();
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        self.reusable = false;
        error
    }

    /// Reads more of the answer; 0 is the end of input.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self {
            socket,
            input,
            filled,
            ..
        } = self;
        let socket = Pin::new(socket);
        if !input.is_empty() || *filled {
            input.reserve(if *filled { READ_BYTES_MAX } else { READ_BYTES });
            let count = ready!(poll_read_buf(socket, cx, input))?;
            *filled = count >= READ_BYTES;
            return Poll::Ready(Ok(count));
        }
        SHARED.with_borrow_mut(|shared| {
            shared.reserve(READ_BYTES);
            let count = ready!(poll_read_buf(socket, cx, shared))?;
            *filled = count >= READ_BYTES;
            *input = shared.split();
            Poll::Ready(Ok(count))
        })
    }
}

/// Reads an answer to `method` out of bytes that come in pieces of `step`: its head, and what there is of its body; none
/// while the head is incomplete.
///
/// # Errors
/// What is malformed, or has more than one meaning.
pub fn read_answer(
    bytes: &[u8],
    step: usize,
    method: &Method,
) -> Result<Option<Response<Vec<u8>>>, &'static str> {
    let (mut input, mut found) = (BytesMut::new(), None);
    for piece in bytes.chunks(step.max(1)) {
        input.extend_from_slice(piece);
        while found.is_none() {
            match head::parse(&mut input, method)? {
                Some(head) if head.is_interim() => {}
                Some(head) => found = Some((head.response.map(|()| Vec::new()), head.body)),
                None => break,
            }
        }
        let Some((response, decoder)) = &mut found else {
            continue;
        };
        while let Some(frame) = decoder.next(&mut input)? {
            response
                .body_mut()
                .extend_from_slice(frame.data_ref().map_or(&[][..], Bytes::as_ref));
        }
    }
    Ok(found.map(|(response, _)| response))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
