//! Compression of answers on their way out: gzip (RFC 1952), for clients that take it.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, HeaderValue,
};
use http::{HeaderMap, Response, StatusCode};
use mortar_proxy::{Body, Filter};

use super::cors::vary;

/// Smaller answers are not worth it.
const BYTES_MIN: u64 = 1_024;
/// The level that costs a fifth of the best one's time, for a few percent of size.
const LEVEL: u32 = 4;

/// Whether the client takes gzip (RFC 9110 §12.5.3).
pub(crate) fn is_taken(headers: &HeaderMap) -> bool {
    let mut named = None;
    let mut others = None;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for one in value.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = one.split_once(';').unwrap_or((one, ""));
            let quality = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(Some(1.0), |q| q.trim().parse().ok());
            match coding.trim() {
                "*" => others = quality,
                name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                    named = quality
                }
                _ => {}
            }
        }
    }
    named.or(others).is_some_and(|quality: f32| quality > 0.0)
}

/// Compresses the answer where that is worth it and the client takes it.
pub(crate) fn answer(response: Response<Body>, is_taken: bool) -> Response<Body> {
    if !is_worth_it(&response) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    vary(&mut head.headers, ACCEPT_ENCODING);
    if !is_taken {
        return Response::from_parts(head, body);
    }
    let is_whole = head.headers.remove(CONTENT_LENGTH).is_some();
    head.headers.remove(ACCEPT_RANGES);
    head.headers
        .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    weaken(&mut head.headers);
    let filter = Gzip {
        encoder: Some(GzEncoder::new(Vec::new(), Compression::new(LEVEL))),
        is_whole,
    };
    Response::from_parts(head, body.filtered(Box::new(filter)))
}

fn is_worth_it(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let has_body = !matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::PARTIAL_CONTENT
    ) && !response.status().is_informational();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    let stays = text(CACHE_CONTROL).is_some_and(|value| value.contains("no-transform"));
    has_body
        && !stays
        && length.is_none_or(|length| length >= BYTES_MIN)
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && text(CONTENT_TYPE).is_some_and(is_text)
}

/// Types that shrink. Event streams are left alone: each event is to go out at once.
fn is_text(kind: &str) -> bool {
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if kind == "text/event-stream" {
        return false;
    }
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            &*kind,
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/wasm"
                | "application/x-ndjson"
        )
}

/// The bytes are others now, what they mean is the same (RFC 9110 §8.8.3).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
        return;
    };
    if !tag.starts_with("W/")
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        headers.insert(ETAG, weak);
    }
}

/// Compresses piece by piece.
#[derive(Debug)]
struct Gzip {
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// The answer is there as a whole, so nothing has to go out before its end.
    is_whole: bool,
}

impl Filter for Gzip {
    fn piece(&mut self, piece: Bytes) -> Bytes {
        let Some(encoder) = &mut self.encoder else {
            return Bytes::new();
        };
        // Writing to memory does not fail.
        let _ = encoder.write_all(&piece);
        if !self.is_whole {
            let _ = encoder.flush();
        }
        std::mem::take(encoder.get_mut()).into()
    }

    fn end(&mut self) -> Bytes {
        let finished = self.encoder.take().map(GzEncoder::finish);
        finished.and_then(Result::ok).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_is_taken_where_the_client_says_so() {
        let check = |value: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(is_taken(&headers), expect, "{value}");
        };
        check("gzip, br", true);
        check("br;q=1.0, GZIP;q=0.5", true);
        check("gzip;q=0, *", false);
        check("*", true);
        check("*;q=0", false);
        check("identity", false);
        check("", false);
        assert!(!is_taken(&HeaderMap::new()));
    }

    fn response(fields: &[(&str, &str)]) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        for (name, value) in fields {
            let name: http::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }

    #[test]
    fn what_shrinks_and_may_be_changed_is_compressed() {
        let check = |fields: &[(&str, &str)], expect: bool| {
            let out = answer(response(fields), true);
            let coding = out.headers().get(CONTENT_ENCODING);
            assert_eq!(
                coding.is_some_and(|coding| coding == "gzip"),
                expect,
                "{fields:?}"
            );
        };
        let json = ("content-type", "application/json; charset=utf-8");
        check(&[json], true);
        check(&[json, ("content-length", "5000")], true);
        check(&[json, ("content-length", "100")], false);
        check(&[json, ("content-encoding", "br")], false);
        check(&[json, ("cache-control", "private, no-transform")], false);
        check(&[("content-type", "image/png")], false);
        check(&[("content-type", "text/event-stream")], false);
        check(&[("content-type", "image/svg+xml")], true);
        check(&[], false);
        let out = answer(
            response(&[json, ("etag", "\"1\""), ("content-length", "5000")]),
            true,
        );
        assert_eq!(out.headers()[ETAG], "W/\"1\"");
        assert!(!out.headers().contains_key(CONTENT_LENGTH));
        // Whoever does not take it is told that others get something else.
        let out = answer(response(&[json]), false);
        assert_eq!(out.headers()["vary"], "accept-encoding");
    }

    #[test]
    fn pieces_come_out_as_they_went_in() {
        for is_whole in [true, false] {
            let mut gzip = Gzip {
                encoder: Some(GzEncoder::new(Vec::new(), Compression::new(LEVEL))),
                is_whole,
            };
            let mut packed = Vec::new();
            for piece in ["hello ", "", "world"] {
                let out = gzip.piece(Bytes::from(piece));
                assert!(is_whole || piece.is_empty() || !out.is_empty());
                packed.extend_from_slice(&out);
            }
            packed.extend_from_slice(&gzip.end());
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*packed)
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "hello world");
        }
    }
}
