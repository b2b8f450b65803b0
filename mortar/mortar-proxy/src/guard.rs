//! The framing guard: stands between socket and HTTP parser and lets through what [`Framing`] accepted.
//!
//! A refused head is answered here, after the answers that are still owed, and the connection closed; the parser
//! behind sees a clean end of input. The guard also keeps the clock of heads (slow ones get 408) and of idle
//! connections, with one timer that is armed again only when it fires.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::answer;
use crate::framing::{Framing, Phase, Refusal};
use crate::link::{Fault, Link};
use crate::merge;
use crate::settings::Settings;
use crate::timer::Timer;

const BUFFER_BYTES: usize = 4 * 1024;
/// Input that is read and thrown away after a refusal, so that the answer is not lost in a connection reset.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// A socket whose input was judged.
#[derive(Debug)]
pub(crate) struct Guard<S> {
    socket: S,
    link: Arc<Link>,
    framing: Framing,
    settings: Arc<Settings>,
    buffer: Vec<u8>,
    /// `buffer[start..clear]` may be passed on, `buffer[clear..end]` was not judged yet.
    start: usize,
    clear: usize,
    end: usize,
    clock: Clock,
    input: Input,
    output: Output,
    stall: Stall,
}

/// How long the client has been taking nothing of what waits for it.
#[derive(Debug, Default)]
struct Stall {
    deadline: Option<Instant>,
    timer: Timer,
}

#[derive(Debug)]
struct Clock {
    /// When the present wait ends; none while somebody else keeps the time.
    deadline: Option<Instant>,
    waiting_for: Wait,
    timer: Timer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Head,
    Idle,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    /// A head was refused: the input ends once what is owed was answered.
    Refused,
    Ended,
}

#[derive(Debug)]
enum Output {
    Open,
    /// A refusal to be written before the socket is shut down.
    Last(Vec<u8>, usize),
    Shut,
    Linger(Pin<Box<Sleep>>, usize),
    Done,
}

impl Stall {
    fn look(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        limit: Duration,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        self.timer
            .poll(cx, deadline)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// `bytes` were read already.
    pub(crate) fn new(socket: S, bytes: Vec<u8>, link: Arc<Link>, settings: Arc<Settings>) -> Self {
        let deadline = Instant::now() + settings.head_timeout;
        Self {
            socket,
            link,
            framing: Framing::new(settings.head),
            settings,
            start: 0,
            clear: 0,
            end: bytes.len(),
            buffer: bytes,
            stall: Stall::default(),
            clock: Clock {
                deadline: Some(deadline),
                waiting_for: Wait::Head,
                timer: Timer::default(),
            },
            input: Input::Open,
            output: Output::Open,
        }
    }

    /// Judges what was read. True where there is something to pass on, or an end to tell.
    fn judge(&mut self) -> io::Result<bool> {
        match self.framing.accept(&self.buffer[self.clear..self.end]) {
            Ok(count) => {
                self.clear += count;
                Ok(count > 0)
            }
            Err(refusal) => self.refuse(refusal).map(|()| true),
        }
    }

    /// In a head the guard answers; in a body the request is under way and the service does.
    fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        self.link.set_linger();
        if self.framing.phase() == Phase::Body {
            self.input = Input::Ended;
            self.link.set_fault(Fault::Framing);
            return Err(io::Error::new(io::ErrorKind::InvalidData, refusal.code));
        }
        let (trace_id, bytes) = answer::refusal(&refusal);
        tracing::info!(target: "gateway.access", peer = %self.link.peer, status = refusal.status.as_u16(),
            code = refusal.code, trace_id, "request refused");
        self.output = Output::Last(bytes, 0);
        self.input = Input::Refused;
        Ok(())
    }

    /// Reads more into the buffer; 0 is the end of input.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.start == self.end {
            (self.start, self.clear, self.end) = (0, 0, 0);
            if self.buffer.len() > BUFFER_BYTES {
                self.buffer = Vec::new();
            }
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.clear, self.end) = (self.clear - self.start, self.end - self.start);
            self.start = 0;
        }
        if self.buffer.len() < BUFFER_BYTES {
            self.buffer.resize(BUFFER_BYTES, 0);
        }
        if self.end == self.buffer.len() {
            // Only a head that is still within its limit, or what came too early behind an upgrade, fills the buffer.
            let larger = (self.buffer.len() * 2).min(self.settings.head.head_bytes_max + BUFFER_BYTES);
            if larger <= self.buffer.len() {
                return Poll::Pending;
            }
            self.buffer.resize(larger, 0);
        }
        let mut space = ReadBuf::new(&mut self.buffer[self.end..]);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// What the connection waits for decides when it waited too long.
    fn tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = match self.framing.phase() {
            Phase::Head if self.link.completed() < self.framing.heads() => Wait::Nothing,
            Phase::Head if self.end > self.clear || self.framing.heads() == 0 => Wait::Head,
            Phase::Head => Wait::Idle,
            _ => Wait::Nothing,
        };
        if wait != self.clock.waiting_for {
            self.clock.waiting_for = wait;
            self.clock.deadline = match wait {
                Wait::Head => Some(Instant::now() + self.settings.head_timeout),
                Wait::Idle => Some(Instant::now() + self.settings.idle_timeout),
                Wait::Nothing => None,
            };
        }
        let Some(deadline) = self.clock.deadline else {
            return Poll::Pending;
        };
        self.clock.timer.poll(cx, deadline)
    }

    fn time_is_up(&mut self) -> io::Result<()> {
        if self.clock.waiting_for == Wait::Head && self.end > self.clear {
            return self.refuse(Refusal::HEAD_TIMEOUT);
        }
        self.input = Input::Ended;
        Ok(())
    }

    fn poll_input(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.start < self.clear {
                let count = out.remaining().min(self.clear - self.start);
                out.put_slice(&self.buffer[self.start..self.start + count]);
                self.start += count;
                return Poll::Ready(Ok(()));
            }
            match self.input {
                Input::Open => {}
                Input::Ended => return Poll::Ready(Ok(())),
                Input::Refused => {
                    self.link.wake_reader(cx.waker());
                    if self.link.completed() < self.framing.heads() {
                        return Poll::Pending;
                    }
                    self.input = Input::Ended;
                    continue;
                }
            }
            if self.framing.phase() == Phase::Undecided {
                self.link.wake_reader(cx.waker());
                if let Some(granted) = self.link.decision() {
                    self.framing.decide(granted);
                    continue;
                }
            }
            if self.clear < self.end && self.judge()? {
                continue;
            }
            if self.clear == self.end && self.framing.free() >= out.remaining() as u64 {
                let before = out.filled().len();
                ready!(Pin::new(&mut self.socket).poll_read(cx, out))?;
                self.framing.passed((out.filled().len() - before) as u64);
                return Poll::Ready(Ok(()));
            }
            match self.fill(cx) {
                Poll::Ready(Ok(0)) => self.input = Input::Ended,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // Completion of an answer starts the idle clock.
                    if self.framing.phase() == Phase::Head {
                        self.link.wake_reader(cx.waker());
                    }
                    ready!(self.tick(cx));
                    self.time_is_up()?;
                }
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.output {
                Output::Open => self.output = Output::Shut,
                Output::Last(bytes, at) => {
                    let count = ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[*at..]))?;
                    *at += count;
                    if *at == bytes.len() || count == 0 {
                        self.output = Output::Shut;
                    }
                }
                Output::Shut => {
                    ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
                    let unread = self.link.linger() || self.framing.phase() == Phase::Body;
                    self.output = if unread {
                        Output::Linger(Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES_MAX)
                    } else {
                        Output::Done
                    };
                }
                Output::Linger(timer, left) => {
                    self.buffer.resize(BUFFER_BYTES, 0);
                    let mut scratch = ReadBuf::new(&mut self.buffer);
                    match Pin::new(&mut self.socket).poll_read(cx, &mut scratch) {
                        Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                            *left = left.saturating_sub(scratch.filled().len());
                            if *left == 0 {
                                self.output = Output::Done;
                            }
                        }
                        Poll::Ready(_) => self.output = Output::Done,
                        Poll::Pending => {
                            ready!(timer.as_mut().poll(cx));
                            self.output = Output::Done;
                        }
                    }
                }
                Output::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_input(cx, out)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.stall.look(cx, written, this.settings.send_timeout)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = merge::write(Pin::new(&mut this.socket), cx, pieces);
        this.stall.look(cx, written, this.settings.send_timeout)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(cx)
    }
}
