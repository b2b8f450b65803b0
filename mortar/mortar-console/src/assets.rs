//! The embedded pages: one document for every address of the app, files by path, all with an `ETag` and the headers
//! that keep foreign code out.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use brick_wire::Problem;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "../../console"]
struct Assets;

/// Nothing from elsewhere, nothing inline; Trusted Types are not asked for because no page writes HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

const SECURITY: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// `/`, and every address of the app that is no file.
pub(crate) async fn index(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

/// `/console/**`: a file where there is one, the app where the path names a screen.
pub(crate) async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let is_screen = !path.rsplit('/').next().unwrap_or_default().contains('.');
    answer(if is_screen { "index.html" } else { &path }, &headers)
}

fn answer(path: &str, request: &HeaderMap) -> Response {
    let mut response = match Assets::get(path) {
        Some(file) => found(path, file, request),
        None => {
            Problem::not_found("no_such_page", format!("the console has no file \"{path}\"")).into_response()
        }
    };
    for (name, value) in SECURITY {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Browsers keep the file and ask whether it changed: a new binary shows its new pages at once.
fn found(path: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let tag = etag(&file.metadata.sha256_hash());
    let held = request.get_all(IF_NONE_MATCH).iter().any(|held| {
        let held = held.to_str().unwrap_or_default();
        held.split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag)
    });
    let kept = [
        (
            ETAG,
            HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\"")),
        ),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if held {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let body = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    (kept, [(CONTENT_TYPE, content_type(path))], body).into_response()
}

fn etag(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut tag = String::from("\"");
    for byte in &hash[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests;
