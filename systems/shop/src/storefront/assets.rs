//! Style, script, icon and the security headers of every page.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use brickwork::axum;

const CSS: &str = include_str!("assets/shop.css");
const JS: &str = include_str!("assets/shop.js");
const ICON: &str = include_str!("assets/shop.svg");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The files. Browsers that read no page ask for `/favicon.ico`.
pub(super) fn routes() -> Router {
    let file = |kind: &'static str, content: &'static str| {
        let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=60")];
        get(move || async move { (headers, content) })
    };
    Router::new()
        .route("/assets/shop.css", file("text/css; charset=utf-8", CSS))
        .route("/assets/shop.js", file("text/javascript; charset=utf-8", JS))
        .route("/assets/shop.svg", file("image/svg+xml", ICON))
        .route("/favicon.ico", file("image/svg+xml", ICON))
}

/// Adds the security headers; pages are personal, so nobody may keep them.
pub(super) async fn secure(mut response: Response) -> Response {
    let fixed = [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}
