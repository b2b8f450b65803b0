//! The bounded HTTP client, over TCP, over a Unix socket, or over what somebody else opens.

mod dial;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

pub use self::dial::{Dial, Dialling, Stream};
use crate::Problem;

/// Largest answer that is read whole, in bytes, unless the caller says otherwise.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Time limit of a call unless the caller says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// A cloneable client; clones share one connection pool.
#[derive(Debug, Clone)]
pub struct Client {
    link: Link,
}

#[derive(Debug, Clone)]
enum Link {
    Tcp(Pool<HttpConnector, Full<Bytes>>),
    Dialled(Pool<dial::Dialler, Full<Bytes>>),
    Unix(PathBuf),
}

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL or a header value cannot be sent.
    #[error("cannot build a request to {url}: {reason}")]
    Request {
        /// Where the call was to go.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach {url}")]
    Unreachable {
        /// Where the call was to go.
        url: String,
        /// What the operating system or the protocol said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer from {url} within {} ms", .limit.as_millis())]
    Timeout {
        /// Where the call went.
        url: String,
        /// The limit that ran out.
        limit: Duration,
    },
    /// The answer is larger than the caller takes.
    #[error("the answer of {url} is larger than {bytes_max} bytes")]
    TooLarge {
        /// Where the call went.
        url: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The answer is no success; `problem` is what it said.
    #[error("{url} answered {status}: {}", .problem.summary())]
    Status {
        /// Where the call went.
        url: String,
        /// The status.
        status: StatusCode,
        /// The problem document, made from the status where the answer held none.
        problem: Box<Problem>,
    },
    /// The answer is not the JSON that was expected.
    #[error("the answer of {url} is not what was expected")]
    Decode {
        /// Where the call went.
        url: String,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, within the limit.
    pub body: Bytes,
    url: String,
}

/// An answer whose body arrives piece by piece.
#[derive(Debug)]
pub struct Streaming {
    /// Status, a success.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    url: String,
}

/// A call being put together.
#[derive(Debug)]
#[must_use = "a call is sent by `send`, `json` or `stream`"]
pub struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
    bytes_max: usize,
    invalid: Option<String>,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// Over TCP; at most eight idle connections are kept for each address.
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Self {
            link: Link::Tcp(pool().build(connector)),
        }
    }

    /// Over connections that `dial` opens, TLS say; pooled like those over TCP.
    pub fn dialled(dial: Arc<dyn Dial>) -> Self {
        Self {
            link: Link::Dialled(pool().build(dial::Dialler(dial))),
        }
    }

    /// Over a Unix socket; the host of the URL is free, one connection per call.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self {
            link: Link::Unix(path.into()),
        }
    }

    /// A GET of `url`.
    pub fn get(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::GET, url)
    }

    /// A POST to `url`.
    pub fn post(&self, url: impl Into<String>) -> Call<'_> {
        self.call(Method::POST, url)
    }

    /// Any method.
    pub fn call(&self, method: Method, url: impl Into<String>) -> Call<'_> {
        Call {
            client: self,
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: TIMEOUT,
            bytes_max: BODY_BYTES_MAX,
            invalid: None,
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        url: &str,
    ) -> Result<http::Response<Incoming>, Error> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| Error::Unreachable {
            url: url.to_owned(),
            source,
        };
        match &self.link {
            Link::Tcp(pool) => pool
                .request(request)
                .await
                .map_err(|e| unreachable(cause(&e).into())),
            Link::Dialled(pool) => pool
                .request(request)
                .await
                .map_err(|e| unreachable(cause(&e).into())),
            Link::Unix(path) => {
                let stream = UnixStream::connect(path)
                    .await
                    .map_err(|e| unreachable(e.into()))?;
                let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|e| unreachable(e.into()))?;
                tokio::spawn(connection);
                sender
                    .send_request(request)
                    .await
                    .map_err(|e| unreachable(e.into()))
            }
        }
    }
}

fn pool() -> hyper_util::client::legacy::Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(8);
    builder
}

/// What went wrong, in one line, and of which kind the operating system or the dialler says it is. The pool's own words
/// around it ("client error (Connect)") say nothing to a reader.
fn cause(error: &hyper_util::client::legacy::Error) -> io::Error {
    let wrapped = std::error::Error::source(error);
    let text = wrapped.map_or_else(|| error.to_string(), brick_core::chain);
    let mut kind = io::ErrorKind::Other;
    let mut next = wrapped;
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            kind = io.kind();
        }
        next = cause.source();
    }
    io::Error::new(kind, text)
}

impl Call<'_> {
    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.append(name, value);
            }
            Err(_) => self.invalid = Some(format!("the value of header {name} holds a control character")),
        }
        self
    }

    /// Adds `Authorization: Bearer …`, marked sensitive.
    pub fn bearer(mut self, token: &str) -> Self {
        match HeaderValue::from_str(&format!("Bearer {token}")) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(_) => self.invalid = Some("the token holds a control character".to_owned()),
        }
        self
    }

    /// Sets the body as it is.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// Sets all headers at once, in place of those set so far.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the body and leaves the headers as they are.
    pub fn payload(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets a JSON body.
    pub fn json_body(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => {
                self.invalid = Some(error.to_string());
                self
            }
        }
    }

    /// Sets the time limit of the whole call; for [`Call::stream`] of the time until the headers are there.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets the largest answer taken, in bytes.
    pub fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Sends it and reads the whole answer, whatever its status.
    pub async fn send(self) -> Result<Response, Error> {
        let (limit, bytes_max, url) = (self.timeout, self.bytes_max, self.url.clone());
        let whole = async {
            let streaming = self.open().await?;
            let (status, headers) = (streaming.status, streaming.headers.clone());
            Ok(Response {
                status,
                headers,
                body: streaming.collect(bytes_max).await?,
                url: url.clone(),
            })
        };
        match tokio::time::timeout(limit, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout {
                url: url.clone(),
                limit,
            }),
        }
    }

    /// Sends it and reads a successful JSON answer; any other status is [`Error::Status`].
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        self.send().await?.success()?.json()
    }

    /// Sends it and hands out the body as it arrives; a status that is no success is [`Error::Status`].
    pub async fn stream(self) -> Result<Streaming, Error> {
        let (limit, bytes_max, url) = (self.timeout, self.bytes_max, self.url.clone());
        let opened = tokio::time::timeout(limit, self.open()).await;
        let streaming = opened.map_err(|_| Error::Timeout {
            url: url.clone(),
            limit,
        })??;
        if streaming.status.is_success() {
            return Ok(streaming);
        }
        let (status, headers) = (streaming.status, streaming.headers.clone());
        let body = tokio::time::timeout(limit, streaming.collect(bytes_max)).await;
        let body = body.map_err(|_| Error::Timeout {
            url: url.clone(),
            limit,
        })??;
        Err(Response {
            status,
            headers,
            body,
            url,
        }
        .problem())
    }

    async fn open(self) -> Result<Streaming, Error> {
        let url = self.url;
        let refuse = |reason: String| Error::Request {
            url: url.clone(),
            reason,
        };
        if let Some(reason) = self.invalid {
            return Err(refuse(reason));
        }
        let uri: Uri = url
            .parse()
            .map_err(|e: http::uri::InvalidUri| refuse(e.to_string()))?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        request
            .headers_mut()
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        if matches!(self.client.link, Link::Unix(_)) {
            request
                .headers_mut()
                .insert(HOST, HeaderValue::from_static("localhost"));
        }
        *request.uri_mut() = uri;
        let (parts, body) = self.client.exchange(request, &url).await?.into_parts();
        Ok(Streaming {
            status: parts.status,
            headers: parts.headers,
            body,
            url,
        })
    }
}

impl Response {
    /// The answer if its status is a success, [`Error::Status`] otherwise.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.problem())
        }
    }

    /// Reads the body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| Error::Decode {
            url: self.url.clone(),
            source,
        })
    }

    fn problem(self) -> Error {
        let problem = Problem::from_answer(self.status, &self.body);
        Error::Status {
            url: self.url,
            status: self.status,
            problem: Box::new(problem),
        }
    }
}

impl Streaming {
    /// The next piece of the body; none at its end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(Error::Unreachable {
                        url: self.url.clone(),
                        source: error.into(),
                    });
                }
            }
        }
    }

    async fn collect(mut self, bytes_max: usize) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            if whole.len() + piece.len() > bytes_max {
                return Err(Error::TooLarge {
                    url: self.url,
                    bytes_max,
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

impl Error {
    /// The status of the answer, where there was one that is no success.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether nobody answered (as against an answer that says no).
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }

    /// What kind of failure kept the call from being answered, as far as the operating system or the dialler said.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Unreachable { source, .. } => source.downcast_ref::<io::Error>().map(io::Error::kind),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
