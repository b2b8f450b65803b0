//! One client connection from its first byte: who opened it, TLS, and which HTTP it speaks.

mod http2;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use http::uri::Scheme;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::crowd::{Crowd, Member, Stage};
use crate::gate::{Client, Gate};
use crate::guard::Guard;
use crate::link::Link;
use crate::listener::Slot;
use crate::opening::{Prefixed, Speaks};
use crate::proxy::Proxy;
use crate::settings::Settings;

pub(crate) use http2::Active;

/// hyper's bound lies behind the guard's.
const HEAD_SPARE: usize = 1024;

/// Of an answer, what waits for a client that reads slowly; beyond that its instance waits, too.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// A connection that was accepted.
pub(crate) struct Taken {
    pub(crate) peer: SocketAddr,
    /// Where it was headed, where the kernel led it here.
    pub(crate) bound_for: Option<SocketAddr>,
    pub(crate) slot: Slot,
    pub(crate) settings: Arc<Settings>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) crowd: Arc<Crowd>,
}

/// A connection that is served.
trait Serving: Future<Output = hyper::Result<()>> {
    /// Finishes what is under way, and nothing more.
    fn finish(self: Pin<&mut Self>);
}

/// Serves the connection until it ends.
pub(crate) async fn run<G: Gate>(stream: TcpStream, taken: Taken, proxy: Proxy<G>) {
    let mut stream = Prefixed::new(stream);
    let mut client = Client {
        ip: taken.peer.ip(),
        scheme: Scheme::HTTP,
        bound_for: taken.bound_for,
    };
    let head_timeout = taken.settings.head_timeout;
    if taken.settings.proxy_protocol && taken.settings.trusts(client.ip) {
        match tokio::time::timeout(head_timeout, stream.source()).await {
            Ok(Ok(Some(source))) => client.ip = source.0.ip(),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return failed(&taken, &proxy, &error.to_string()),
            Err(_) => return failed(&taken, &proxy, "no PROXY header came in time"),
        }
    }
    let Some(tls) = &taken.tls else {
        return speak(stream, None, client, taken, proxy).await;
    };
    client.scheme = Scheme::HTTPS;
    let accepting = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    match tokio::time::timeout(head_timeout, accepting).await {
        Ok(Ok(stream)) => {
            let chosen = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Speaks::Http2,
                _ => Speaks::Http1,
            };
            // Apart, so that a plain connection needs no room for what TLS does.
            Box::pin(speak(Prefixed::new(stream), Some(chosen), client, taken, proxy)).await;
        }
        Ok(Err(error)) => failed(&taken, &proxy, &error.to_string()),
        Err(_) => failed(&taken, &proxy, "the TLS handshake did not end in time"),
    }
}

/// A connection that came to no request.
fn failed<G: Gate>(taken: &Taken, proxy: &Proxy<G>, why: &str) {
    let failures = &proxy.local.stats.handshakes_failed;
    failures.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(peer = %taken.peer, why, "a connection was given up before its first request");
}

async fn speak<S, G>(
    mut stream: Prefixed<S>,
    chosen: Option<Speaks>,
    client: Client,
    taken: Taken,
    proxy: Proxy<G>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Gate,
{
    let Taken {
        peer,
        slot,
        settings,
        crowd,
        ..
    } = taken;
    let speaks = match chosen {
        Some(chosen) => chosen,
        None if settings.http2 => {
            match tokio::time::timeout(settings.head_timeout, stream.speaks()).await {
                Ok(Ok(speaks)) => speaks,
                // What came so far is the guard's to judge, and to answer.
                Err(_) => Speaks::Http1,
                Ok(Err(_)) => return,
            }
        }
        None => Speaks::Http1,
    };
    let ended = match speaks {
        Speaks::Http1 => {
            let link = Link::new(peer, client, Some(slot));
            let serving = http1(stream, Arc::clone(&link), &settings, proxy);
            attend(serving, &crowd).await
        }
        Speaks::Http2 => {
            let serving = http2::serve(stream, peer, client, &settings, proxy);
            let ended = attend(serving, &crowd).await;
            drop(slot);
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

fn http1<S, G>(
    stream: Prefixed<S>,
    link: Arc<Link>,
    settings: &Arc<Settings>,
    proxy: Proxy<G>,
) -> impl Serving
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Gate,
{
    let (stream, bytes) = stream.into_parts();
    let head_bytes_max = settings.head.head_bytes_max;
    let guard = Guard::new(stream, bytes, Arc::clone(&link), Arc::clone(settings));
    let service = service_fn(move |request| proxy.clone().serve(Arc::clone(&link), request));
    let mut builder = http1::Builder::new();
    // Heads are bounded and timed by the guard.
    builder.header_read_timeout(None);
    builder.max_header_size(head_bytes_max + HEAD_SPARE);
    builder.max_buf_size(UNSENT_BYTES_MAX.max(head_bytes_max + HEAD_SPARE));
    builder
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades()
}

impl<I, B, S> Serving for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Polls the connection, and tells it what the crowd is told.
async fn attend(serving: impl Serving, crowd: &Arc<Crowd>) -> hyper::Result<()> {
    let mut serving = std::pin::pin!(serving);
    let mut member: Option<Member> = None;
    let mut finishing = false;
    std::future::poll_fn(move |cx| {
        // The waker of a task stays the same, so one registration lasts.
        member.get_or_insert_with(|| crowd.join(cx.waker()));
        match crowd.stage() {
            Stage::Open => {}
            Stage::Finish => {
                if !std::mem::replace(&mut finishing, true) {
                    serving.as_mut().finish();
                }
            }
            Stage::Over => return Poll::Ready(Ok(())),
        }
        serving.as_mut().poll(cx)
    })
    .await
}
