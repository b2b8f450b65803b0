//! Handing listeners from one process to another over a Unix socket (`SCM_RIGHTS`, unix(7)).
//!
//! A gateway that outlives its agent gives the listeners back to the next agent this way: whoever connects to the
//! handover socket gets one message. Its payload is the names, joined by commas; its descriptors are the listeners in
//! the same order. The sender keeps its own descriptors: both processes then share the listening sockets, so that no
//! connection is refused while one of them is replaced.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use brick_core::Drain;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// Most listeners in one message.
pub const LISTENERS_MAX: usize = 64;
const NAMES_BYTES_MAX: usize = 1024;

/// A listening socket with its name, `edge`, `edge-tls` or `admin`; several may share one.
#[derive(Debug)]
pub struct Named {
    /// Which one it is.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
}

/// Sends the listeners in one message. The socket may be blocking or not: a fresh connection has room for it.
pub fn send_listeners(socket: impl AsFd, listeners: &[(&str, BorrowedFd<'_>)]) -> io::Result<()> {
    let names: Vec<&str> = listeners.iter().map(|(name, _)| *name).collect();
    let payload = names.join(",");
    let invalid = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned()));
    if listeners.is_empty() || listeners.len() > LISTENERS_MAX || payload.len() > NAMES_BYTES_MAX {
        return invalid("expected 1 to 64 listeners with names of at most 1024 bytes together");
    }
    if names.iter().any(|name| name.is_empty() || name.contains(',')) {
        return invalid("expected names of listeners without commas");
    }
    let fds: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, fd)| *fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return invalid("the descriptors do not fit into one message");
    }
    sendmsg(
        socket,
        &[IoSlice::new(payload.as_bytes())],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives the one message that [`send_listeners`] sends. The descriptors are close-on-exec.
pub fn receive_listeners(socket: impl AsFd) -> io::Result<Vec<Named>> {
    let mut payload = [0_u8; NAMES_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(LISTENERS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut payload)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let names = std::str::from_utf8(&payload[..received.bytes])
        .map_err(|_| invalid("the names of the listeners are no text".to_owned()))?;
    let names: Vec<&str> = names.split(',').collect();
    if names.len() != fds.len() {
        return Err(invalid(format!(
            "expected as many listeners as names, found {} names and {} listeners",
            names.len(),
            fds.len()
        )));
    }
    let named = names.into_iter().zip(fds).map(|(name, fd)| Named {
        name: name.to_owned(),
        fd,
    });
    Ok(named.collect())
}

/// Gives the listeners to everyone who connects to `listener`, until the drain is requested. A caller that goes away
/// early costs nothing. The folder of the socket decides who may connect (0700).
pub async fn serve(listener: UnixListener, listeners: Vec<Named>, drain: Drain) -> io::Result<()> {
    loop {
        let accepted = tokio::select! {
            () = drain.requested() => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _)) => {
                let borrowed: Vec<(&str, BorrowedFd<'_>)> = listeners
                    .iter()
                    .map(|l| (l.name.as_str(), l.fd.as_fd()))
                    .collect();
                // Whoever asked may be gone again; the next one gets its own message.
                let _ = send_listeners(&socket, &borrowed);
            }
            // Out of descriptors, or the peer reset: neither may end the service, nor make it spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Asks the process behind the socket at `path` for its listeners.
pub async fn fetch(path: &Path, limit: Duration) -> io::Result<Vec<Named>> {
    let ask = async {
        let socket = UnixStream::connect(path).await?;
        socket
            .async_io(Interest::READABLE, || receive_listeners(&socket))
            .await
    };
    tokio::time::timeout(limit, ask)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream as StdUnixStream;

    use super::*;

    #[tokio::test]
    async fn listeners_arrive_with_their_names_and_still_listen() {
        let folder = std::env::temp_dir().join(format!("brick-handover-{}", std::process::id()));
        let _ = std::fs::remove_file(&folder);
        let edge = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let expect = [edge.local_addr().unwrap(), admin.local_addr().unwrap()];
        let named = |name: &str, listener: TcpListener| Named {
            name: name.to_owned(),
            fd: listener.into(),
        };
        let (trigger, drain) = brick_core::drain::channel();
        let socket = UnixListener::bind(&folder).unwrap();
        let offered = vec![named("edge", edge), named("admin", admin)];
        let server = tokio::spawn(serve(socket, offered, drain));
        for _ in 0..2 {
            let got = fetch(&folder, Duration::from_secs(5)).await.unwrap();
            let names: Vec<&str> = got.iter().map(|l| l.name.as_str()).collect();
            assert_eq!(names, ["edge", "admin"]);
            for (listener, addr) in got.into_iter().zip(expect) {
                let listener = TcpListener::from(listener.fd);
                assert_eq!(listener.local_addr().unwrap(), addr);
                TcpStream::connect(addr).unwrap();
            }
        }
        trigger.drain();
        server.await.unwrap().unwrap();
        std::fs::remove_file(&folder).unwrap();
    }

    #[test]
    fn foreign_messages_are_refused() {
        let (left, right) = StdUnixStream::pair().unwrap();
        std::io::Write::write_all(&mut &left, b"edge,admin").unwrap();
        let error = receive_listeners(&right).unwrap_err();
        assert!(error.to_string().contains("2 names and 0 listeners"), "{error}");
        drop(left);
        let error = receive_listeners(&right).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_refused() {
        let (left, _right) = StdUnixStream::pair().unwrap();
        let fd = left.as_fd();
        for listeners in [vec![], vec![("", fd)], vec![("a,b", fd)], vec![("a", fd); 65]] {
            assert!(send_listeners(&left, &listeners).is_err());
        }
    }
}
