//! Joining two connections whose bytes nobody here looks at: both ways, until both have ended, one broke, or nothing has
//! moved for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::Instant;

/// Bytes that wait at most in each direction.
const BUFFER_BYTES: usize = 8 * 1024;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the one who called.
    Sent,
    /// To the one who called.
    Received,
}

/// How a relay ended.
#[derive(Debug)]
pub enum End {
    /// Both sides said that they are done.
    Over,
    /// One of them broke.
    Broken(io::Error),
    /// Nothing moved for as long as nothing may.
    Still,
}

/// Passes bytes on both ways; the end of one direction is passed on as such. `moved` is told of every portion.
pub async fn join<C, U>(
    caller: &mut C,
    callee: U,
    idle: Option<Duration>,
    moved: impl Fn(Way, usize) + Unpin,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let activity = Arc::new(Activity::new());
    let callee = Watched {
        inner: callee,
        activity: Arc::clone(&activity),
        moved,
    };
    let (from_caller, to_caller) = tokio::io::split(caller);
    let (from_callee, to_callee) = tokio::io::split(callee);
    tokio::select! {
        ended = both(pass(from_caller, to_callee), pass(from_callee, to_caller)) => ended,
        () = activity.still(idle) => End::Still,
    }
}

/// When something moved last.
#[derive(Debug)]
struct Activity {
    begun: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
        }
    }

    fn touch(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    /// Resolves once nothing has moved for that long; never without a limit.
    async fn still(&self, limit: Option<Duration>) {
        let Some(limit) = limit else {
            return std::future::pending().await;
        };
        loop {
            let last = self.begun + Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            if last.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(last + limit).await;
        }
    }
}

/// Why one direction ended before its source did.
enum Cut {
    /// The source broke, and with it the other direction.
    Source(io::Error),
    /// The sink takes nothing more; what it said before is still to be read.
    Sink,
}

/// Passes everything on from one side to the other, and the end of it.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<(), Cut> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.map_err(Cut::Source)?;
        if read == 0 {
            return to.shutdown().await.map_err(|_| Cut::Sink);
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        let written = async {
            to.write_all(bytes).await?;
            to.flush().await
        };
        written.await.map_err(|_| Cut::Sink)?;
    }
}

/// Until both directions have ended. A server that refuses a message says why and closes, and has not read all that was
/// sent to it: that it takes nothing more must not keep what it said from arriving.
async fn both(
    sent: impl Future<Output = Result<(), Cut>>,
    received: impl Future<Output = Result<(), Cut>>,
) -> End {
    let (mut sent, mut received) = (std::pin::pin!(sent), std::pin::pin!(received));
    let (mut all_sent, mut all_received) = (false, false);
    while !(all_sent && all_received) {
        let (ended, done) = tokio::select! {
            ended = sent.as_mut(), if !all_sent => (ended, &mut all_sent),
            ended = received.as_mut(), if !all_received => (ended, &mut all_received),
        };
        if let Err(Cut::Source(error)) = ended {
            return End::Broken(error);
        }
        *done = true;
    }
    End::Over
}

/// The side of the callee, which sees every byte of both ways.
struct Watched<U, F> {
    inner: U,
    activity: Arc<Activity>,
    moved: F,
}

impl<U, F: Fn(Way, usize)> Watched<U, F> {
    fn seen(&self, way: Way, bytes: usize) {
        self.activity.touch();
        (self.moved)(way, bytes);
    }
}

impl<U: AsyncRead + Unpin, F: Fn(Way, usize) + Unpin> AsyncRead for Watched<U, F> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, out);
        if polled.is_ready() {
            this.seen(Way::Received, out.filled().len() - before);
        }
        polled
    }
}

impl<U: AsyncWrite + Unpin, F: Fn(Way, usize) + Unpin> AsyncWrite for Watched<U, F> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            this.seen(Way::Sent, *written);
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_each_way_and_an_end_is_passed_on() {
        let (mut left, mut caller) = tokio::io::duplex(64);
        let (callee, mut right) = tokio::io::duplex(64);
        let (sent, received) = (Cell::new(0), Cell::new(0));
        let count = |way, bytes| match way {
            Way::Sent => sent.set(sent.get() + bytes),
            Way::Received => received.set(received.get() + bytes),
        };
        let talk = async {
            left.write_all(b"ask").await.unwrap();
            left.shutdown().await.unwrap();
            let mut asked = String::new();
            right.read_to_string(&mut asked).await.unwrap();
            right.write_all(b"answer").await.unwrap();
            drop(right);
            let mut answered = String::new();
            left.read_to_string(&mut answered).await.unwrap();
            (asked, answered)
        };
        let (end, told) = tokio::join!(join(&mut caller, callee, None, count), talk);
        assert!(matches!(end, End::Over));
        assert_eq!(told, ("ask".to_owned(), "answer".to_owned()));
        assert_eq!((sent.get(), received.get()), (3, 6));
    }

    #[tokio::test]
    async fn what_a_side_said_before_it_closed_arrives_though_it_takes_nothing_more() {
        let (mut left, mut caller) = tokio::io::duplex(64);
        let (callee, mut right) = tokio::io::duplex(64);
        right.write_all(b"refused").await.unwrap();
        drop(right);
        left.write_all(b"more").await.unwrap();
        let told = async {
            let mut told = [0; 7];
            left.read_exact(&mut told).await.unwrap();
            left.shutdown().await.unwrap();
            told
        };
        let (end, told) = tokio::join!(join(&mut caller, callee, None, |_, _| {}), told);
        assert_eq!(&told, b"refused");
        assert!(matches!(end, End::Over), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_stays_and_what_is_still_ends() {
        let (mut left, mut caller) = tokio::io::duplex(64);
        let (callee, _right) = tokio::io::duplex(64);
        let begun = Instant::now();
        let writing = async {
            tokio::time::advance(Duration::from_secs(8)).await;
            left.write_all(b"x").await.unwrap();
        };
        let idle = Some(Duration::from_secs(10));
        let (end, ()) = tokio::join!(join(&mut caller, callee, idle, |_, _| {}), writing);
        assert!(matches!(end, End::Still));
        assert_eq!(begun.elapsed().as_secs(), 18);
    }
}
