//! The first bytes of a connection: what a trusted hop says of it (PROXY protocol), and which HTTP it speaks.

mod proxied;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

pub(crate) use proxied::Source;

/// What every HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that are read at first.
const FIRST_BYTES: usize = 1024;

/// A socket, and what was read of it too early.
#[derive(Debug)]
pub(crate) struct Prefixed<S> {
    socket: S,
    bytes: Vec<u8>,
    /// How many of `bytes` were passed on.
    start: usize,
}

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Prefixed<S> {
    /// Nothing was read yet.
    pub(crate) fn new(socket: S) -> Self {
        Self::with(socket, Vec::new())
    }

    /// These bytes were read already.
    pub(crate) fn with(socket: S, bytes: Vec<u8>) -> Self {
        Self {
            socket,
            bytes,
            start: 0,
        }
    }

    /// The socket, and what was read of it and not passed on.
    pub(crate) fn into_parts(mut self) -> (S, Vec<u8>) {
        self.bytes.drain(..self.start);
        (self.socket, self.bytes)
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Reads more; false at the end of input.
    async fn more(&mut self) -> io::Result<bool> {
        self.bytes.reserve(FIRST_BYTES);
        Ok(self.socket.read_buf(&mut self.bytes).await? > 0)
    }

    /// Takes the header that a trusted hop sends first; none where it speaks for itself.
    pub(crate) async fn source(&mut self) -> io::Result<Option<Source>> {
        loop {
            match proxied::parse(self.unread()) {
                Ok(Some((bytes, source))) => {
                    self.start += bytes;
                    return Ok(source);
                }
                Ok(None) if self.more().await? => {}
                Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(invalid) => return Err(io::Error::new(io::ErrorKind::InvalidData, invalid)),
            }
        }
    }

    /// Finds out what the client speaks, by its first bytes. HTTP/1 where the input ends before.
    pub(crate) async fn speaks(&mut self) -> io::Result<Speaks> {
        loop {
            let found = self.unread();
            let common = found.len().min(PREFACE.len());
            if found[..common] != PREFACE[..common] {
                return Ok(Speaks::Http1);
            }
            if common == PREFACE.len() {
                return Ok(Speaks::Http2);
            }
            if !self.more().await? {
                return Ok(Speaks::Http1);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let unread = &this.bytes[this.start..];
        if unread.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, out);
        }
        let count = unread.len().min(out.remaining());
        out.put_slice(&unread[..count]);
        this.start += count;
        if this.start == this.bytes.len() {
            (this.bytes, this.start) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn check(pieces: &[&[u8]], expect: Speaks) {
        let (mut far, near) = tokio::io::duplex(256);
        let mut near = Prefixed::new(near);
        let send = async {
            for piece in pieces {
                far.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(far);
        };
        let read = async {
            assert_eq!(near.speaks().await.unwrap(), expect, "{pieces:?}");
            let mut all = Vec::new();
            near.read_to_end(&mut all).await.unwrap();
            all
        };
        let ((), all) = tokio::join!(send, read);
        assert_eq!(all, pieces.concat());
    }

    #[tokio::test]
    async fn what_a_client_speaks_is_told_by_its_first_bytes_and_none_is_lost() {
        check(&[b"GET / HTTP/1.1\r\n"], Speaks::Http1).await;
        check(&[b"P", b"OST / HTTP/1.1\r\n"], Speaks::Http1).await;
        check(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"rest"], Speaks::Http2).await;
        check(
            &[b"PRI * HT", b"TP/2.0\r\n\r\nS", b"M\r\n\r\nrest"],
            Speaks::Http2,
        )
        .await;
        check(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"], Speaks::Http1).await;
        check(&[], Speaks::Http1).await;
    }
}
