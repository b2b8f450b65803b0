//! Heads: a request as it is written, an answer as it is read, and how long the body behind it is.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame};
use memchr::memmem;

use super::decode::{self, Decoder};
use super::output::Output;
use crate::body::RequestBody;

const FIELDS_MAX: usize = 100;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::default();
}

/// How the end of a request's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

impl Framing {
    pub(super) fn of(body: &RequestBody) -> Self {
        match body.size_hint().exact() {
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }

    /// A piece of the body as it is sent.
    pub(super) fn encode(&mut self, frame: Frame<Bytes>, out: &mut Output) -> io::Result<()> {
        match (self, frame.into_data()) {
            (Self::Length(left), Ok(data)) => {
                let Some(rest) = left.checked_sub(data.len() as u64) else {
                    return Err(io::Error::other("the body is longer than its declared length"));
                };
                *left = rest;
                out.push(data);
            }
            (Self::Chunked, Ok(data)) if !data.is_empty() => {
                out.push(format!("{:x}\r\n", data.len()).into());
                out.push(data);
                out.push(Bytes::from_static(b"\r\n"));
            }
            // Trailers end here: the instance did not say that it knows what to do with them (RFC 9110 §6.5.1).
            (_, Err(_)) | (Self::Chunked, Ok(_)) => {}
        }
        Ok(())
    }

    /// The body is complete.
    pub(super) fn end(self, out: &mut Output) -> io::Result<()> {
        match self {
            Self::Length(0) => {}
            Self::Length(_) => return Err(io::Error::other("the body is shorter than its declared length")),
            Self::Chunked => out.push(Bytes::from_static(b"0\r\n\r\n")),
        }
        Ok(())
    }
}

/// Gives the head of a request as bytes.
pub(super) fn written<T>(request: &Request<()>, framing: Framing, take: impl FnOnce(&[u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|out| {
        out.clear();
        out.extend_from_slice(request.method().as_str().as_bytes());
        out.push(b' ');
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        fields(request.headers(), out);
        length(request, framing, out);
        out.extend_from_slice(b"\r\n");
        take(out)
    })
}

fn fields(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            field(name, value.as_bytes(), out);
        }
    }
}

fn field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The length of the body, always said by us: what a client declared may no longer be so.
fn length(request: &Request<()>, framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Chunked => field(&TRANSFER_ENCODING, b"chunked", out),
        Framing::Length(0) => {
            // Methods that usually have a body say that there is none (RFC 9110 §8.6).
            let usual = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
            if usual || request.headers().contains_key(CONTENT_LENGTH) {
                field(&CONTENT_LENGTH, b"0", out);
            }
        }
        Framing::Length(length) => field(&CONTENT_LENGTH, length.to_string().as_bytes(), out),
    }
}

/// A head of an answer.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) response: Response<()>,
    /// What follows.
    pub(super) body: Decoder,
    /// Whether the connection stays open behind it.
    pub(super) keeps: bool,
}

impl Found {
    /// Whether another head follows that counts.
    pub(super) fn is_interim(&self) -> bool {
        let status = self.response.status();
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// Takes a head off the front of `input`; none while it is incomplete.
pub(super) fn parse(input: &mut BytesMut, method: &Method) -> Result<Option<Found>, &'static str> {
    let Some(at) = memmem::find(input, b"\r\n\r\n") else {
        return Ok(None);
    };
    let block = decode::take(input, at + 4);
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut head, &block, &mut fields);
    if !matches!(parsed, Ok(httparse::Status::Complete(bytes)) if bytes == block.len()) {
        return Err("the head of the answer is malformed (RFC 9112 section 4)");
    }
    let mut response = Response::new(());
    *response.status_mut() = head
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .ok_or("the status of the answer is no number from 100 to 999")?;
    if head.version == Some(0) {
        *response.version_mut() = Version::HTTP_10;
    }
    let headers = response.headers_mut();
    headers.reserve(head.headers.len());
    for field in &*head.headers {
        headers.append(name(field.name)?, value(&block, field.value)?);
    }
    let keeps = keeps(&response);
    let body = body(&mut response, method)?;
    let keeps = keeps && body != Decoder::UntilClose;
    Ok(Some(Found {
        response,
        body,
        keeps,
    }))
}

pub(super) fn name(name: &str) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a field name of the answer is malformed")
}

/// A value that shares its bytes with the block that it was read in.
pub(super) fn value(block: &Bytes, value: &[u8]) -> Result<HeaderValue, &'static str> {
    HeaderValue::from_maybe_shared(block.slice_ref(value))
        .map_err(|_| "a field value of the answer is malformed")
}

fn keeps(response: &Response<()>) -> bool {
    let says = |token: &str| {
        let values = response.headers().get_all(CONNECTION).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|found| found.trim().eq_ignore_ascii_case(token))
    };
    match response.version() {
        Version::HTTP_10 => says("keep-alive"),
        _ => !says("close"),
    }
}

/// How long the body is (RFC 9112 §6.3). What is ambiguous is refused: two readers could disagree about it.
fn body(response: &mut Response<()>, method: &Method) -> Result<Decoder, &'static str> {
    let status = response.status();
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD;
    let old = response.version() == Version::HTTP_10;
    let headers = response.headers_mut();
    let length = declared(headers)?;
    if bodiless {
        return Ok(Decoder::Done);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next(), length) {
        (None, _, Some(0)) => Ok(Decoder::Done),
        (None, _, Some(length)) => Ok(Decoder::Length(length)),
        (None, _, None) => Ok(Decoder::UntilClose),
        (Some(_), _, Some(_)) => Err("the answer has both Content-Length and Transfer-Encoding"),
        (Some(coding), None, None) if !old && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Decoder::Size)
        }
        _ => Err("the transfer coding of the answer is another one than chunked"),
    }
}

/// The declared length, once however often it is said.
fn declared(headers: &mut HeaderMap) -> Result<Option<u64>, &'static str> {
    const MALFORMED: &str = "the Content-Length of the answer is no number, or several";
    let mut length = None;
    let mut fields = 0;
    for value in headers.get_all(CONTENT_LENGTH) {
        fields += 1;
        let text = value.to_str().map_err(|_| MALFORMED)?;
        for one in text.split(',').map(str::trim) {
            let digits = !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit());
            let one = one.parse().ok().filter(|_| digits).ok_or(MALFORMED)?;
            if length.is_some_and(|length| length != one) {
                return Err(MALFORMED);
            }
            length = Some(one);
        }
    }
    if let Some(length) = length.filter(|_| fields > 1) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}
