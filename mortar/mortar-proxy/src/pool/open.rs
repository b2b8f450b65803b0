//! Opening a connection to an instance.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::http1::{Http1, Socket};

use super::{Sender, Transport};

/// An instance that does not answer a ping for this long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(10);
/// What a stream's instance may send ahead.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What all streams of a connection may send ahead.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

pub(super) async fn open(addr: SocketAddr, transport: &Transport) -> io::Result<Sender> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    match transport {
        Transport::Http1 => Ok(http1(Socket::Plain(stream))),
        Transport::H2c => http2(stream, addr).await,
        Transport::Tls(upstream) => {
            let (stream, is_http2) = upstream.connect(stream).await?;
            if is_http2 {
                http2(stream, addr).await
            } else {
                Ok(http1(Socket::Tls(Box::new(stream))))
            }
        }
    }
}

async fn http2<S>(stream: S, addr: SocketAddr) -> io::Result<Sender>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    let (sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%addr, %error, "a connection to an instance ended");
        }
    });
    Ok(Sender::http2(sender, Arc::new(())))
}

fn http1(socket: Socket) -> Sender {
    Sender::Http1(Box::new(Http1::new(socket)))
}
