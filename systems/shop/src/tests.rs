//! What the tests of several bricks need, and the tests of what no Rust module owns.

mod openapi;
mod recommendation;

use std::sync::{Arc, Mutex};

use brickwork::axum::Router;
use brickwork::axum::extract::Request;
use brickwork::axum::http::{StatusCode, header::CONTENT_TYPE};
use brickwork::serde_json::Value;

/// The calls that mocked bricks got, as `brick METHOD path key=…`, ids of this run written `{id}`.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no test panics with the lock").clone()
    }

    pub(crate) fn has(&self, call: &str) -> bool {
        self.all().iter().any(|made| made == call)
    }

    /// A brick that writes its calls down and answers by method and path (with its query).
    pub(crate) fn mock(
        &self,
        name: &'static str,
        answer: impl Fn(&str, &str) -> (u16, Value) + Clone + Send + Sync + 'static,
    ) -> Router {
        let calls = self.clone();
        Router::new().fallback(move |request: Request| {
            let path = request.uri().path_and_query().map_or("", |path| path.as_str());
            let key = request
                .headers()
                .get("idempotency-key")
                .and_then(|key| key.to_str().ok());
            let key = key.map_or_else(String::new, |key| format!(" key={}", without_ids(key)));
            let call = format!("{name} {} {}{key}", request.method(), without_ids(path));
            calls.0.lock().expect("no test panics with the lock").push(call);
            let (status, body) = answer(request.method().as_str(), path);
            let status = StatusCode::from_u16(status).expect("a status");
            std::future::ready((status, [(CONTENT_TYPE, "application/json")], body.to_string()))
        })
    }
}

fn without_ids(text: &str) -> String {
    let known = |part: &str| uuid::Uuid::parse_str(part).is_ok();
    let parts = text
        .split('/')
        .map(|part| if known(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}
