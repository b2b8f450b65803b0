//! What the brick answered.

use brickwork::Problem;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct TestAnswer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl TestAnswer {
    /// The body as a `T`. Panics with the body where it is none.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!(
                "{} with an unexpected body ({error}): {}",
                self.status,
                self.text()
            ),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a problem document. Panics where the answer is no error.
    #[track_caller]
    pub fn problem(&self) -> Problem {
        assert!(
            self.status.is_client_error() || self.status.is_server_error(),
            "expected an error, found {}: {}",
            self.status,
            self.text()
        );
        Problem::from_answer(self.status, &self.body)
    }

    /// The header's text; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Gives the answer on where its status is the expected one; panics with the body where not.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}
