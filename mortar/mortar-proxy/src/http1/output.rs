//! What waits to be written, in pieces that nobody copies unless they are small.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

use crate::merge;

/// Pieces written at once.
const PIECES: usize = 4;

/// Bytes on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Bytes>,
    /// Written since the last flush, which TLS needs.
    unflushed: bool,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && !self.unflushed
    }

    /// Whether more may be added before this is written.
    pub(super) fn has_room(&self) -> bool {
        self.pieces.len() < PIECES
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
    }

    /// Writes bytes that are borrowed, and keeps a copy of what was not taken. `sent` says whether anything was.
    pub(super) fn begin<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
        bytes: &[u8],
        sent: &mut bool,
    ) -> io::Result<()> {
        self.unflushed = true;
        let count = match Pin::new(&mut *socket).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => 0,
        };
        *sent = count > 0;
        if count < bytes.len() {
            self.pieces.push_back(Bytes::copy_from_slice(&bytes[count..]));
            return Ok(());
        }
        if let Poll::Ready(flushed) = Pin::new(socket).poll_flush(cx) {
            self.unflushed = false;
            flushed?;
        }
        Ok(())
    }

    /// Ready when all is out.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<io::Result<()>> {
        while !self.pieces.is_empty() {
            self.unflushed = true;
            let mut list = [IoSlice::new(&[]); PIECES];
            let count = self.pieces.len().min(PIECES);
            for (place, piece) in list.iter_mut().zip(&self.pieces) {
                *place = IoSlice::new(piece);
            }
            let written = ready!(merge::write(Pin::new(&mut *socket), cx, &list[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if first.len() > written {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
    }
}
