//! Connections that somebody else opens for a client.
//!
//! What a brick calls on this machine is plain HTTP. Whoever speaks TLS brings it along with a [`Dial`], so that this
//! crate, and with it every brick, carries none.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service;

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection being opened.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens connections for a client; it says itself how long that may take.
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// A connection to the host and port of `uri`, ready for HTTP/1.1. The kind of an error is what
    /// [`Error::io_kind`](super::Error::io_kind) tells.
    fn dial(&self, uri: Uri) -> Dialling;
}

/// A [`Dial`] as the connection pool wants it.
#[derive(Debug, Clone)]
pub(super) struct Dialler(pub(super) Arc<dyn Dial>);

impl Service<Uri> for Dialler {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialling = self.0.dial(uri);
        Box::pin(async move { dialling.await.map(TokioIo::new) })
    }
}

impl Connection for Box<dyn Stream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
