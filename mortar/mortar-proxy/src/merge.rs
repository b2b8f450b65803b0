//! Small pieces in one write: a head and a short body cost less copied together than as a list, which the kernel has to
//! take apart (`writev`).

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Pieces that are larger together stay a list.
const SMALL: usize = 4096;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL));
}

/// Writes the pieces as one where that is cheaper.
pub(crate) fn write<S: AsyncWrite>(
    socket: Pin<&mut S>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = pieces {
        return socket.poll_write(cx, only);
    }
    if pieces.iter().map(|piece| piece.len()).sum::<usize>() > SMALL {
        return socket.poll_write_vectored(cx, pieces);
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        pieces.iter().for_each(|piece| scratch.extend_from_slice(piece));
        socket.poll_write(cx, scratch)
    })
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_order_however_large_they_are() {
        for sizes in [
            &[3, 5][..],
            &[7],
            &[100, 0, 2_000, 50],
            &[4_000, 97],
            &[10, 20_000, 30],
        ] {
            let pieces: Vec<Vec<u8>> = (1..).zip(sizes).map(|(n, size)| vec![n; *size]).collect();
            let expect = pieces.concat();
            let (mut near, mut far) = tokio::io::duplex(1_000);
            let send = async {
                let mut rest: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                let mut rest = rest.as_mut_slice();
                while rest.iter().any(|piece| !piece.is_empty()) {
                    let sent = poll_fn(|cx| write(Pin::new(&mut near), cx, rest)).await.unwrap();
                    IoSlice::advance_slices(&mut rest, sent);
                }
                drop(near);
            };
            let read = async {
                let mut all = Vec::new();
                far.read_to_end(&mut all).await.unwrap();
                all
            };
            let ((), all) = tokio::join!(send, read);
            assert_eq!(all, expect, "{sizes:?}");
        }
    }
}
