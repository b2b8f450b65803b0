//! What a call gives that fails: the last good answer, a fixed one, or another brick's.

use brick_bus::limits::Fallback;
use bytes::Bytes;
use http::header::{ACCEPT, AGE, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::{Answer, Call, FallbackKind};

impl Call {
    /// Keeps a good answer, where a later failure would want it.
    pub(super) fn keep(&self, fallback: &Fallback, answer: &Answer, headers: &HeaderMap) {
        if matches!(fallback, Fallback::Kept(_))
            && self.method == Method::GET
            && answer.status == StatusCode::OK
        {
            let fields = answer.headers.iter();
            let fields: usize = fields
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum();
            let bytes = fields + answer.body.len();
            self.client
                .target
                .stale
                .keep(self.key(headers), answer.clone(), bytes);
        }
    }

    /// What is answered instead of a failure; none where there is nothing either.
    pub(super) async fn instead(&self, fallback: &Fallback, headers: &HeaderMap) -> Option<Answer> {
        match fallback {
            Fallback::Kept(_) if self.method == Method::GET => {
                let (mut answer, age_s) = self.client.target.stale.get(&self.key(headers))?;
                answer.headers.insert(AGE, HeaderValue::from(age_s));
                answer.fallback = Some(FallbackKind::Stale);
                Some(answer)
            }
            Fallback::Kept(_) => None,
            Fallback::Value { status, json } => {
                let mut headers = HeaderMap::new();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Some(Answer {
                    status: StatusCode::from_u16(*status).ok()?,
                    headers,
                    body: Bytes::from(json.clone()),
                    brick: self.client.target.name.clone(),
                    fallback: Some(FallbackKind::Value),
                })
            }
            Fallback::Brick { brick } => {
                let other = self.client.sibling(brick);
                let mut answer = self.again(other).send().await.ok()?;
                if answer.status.is_server_error() {
                    return None;
                }
                answer.fallback = Some(FallbackKind::Brick);
                Some(answer)
            }
        }
    }

    /// All that an answer depends on: path and query, what is accepted, and for whom it is.
    fn key(&self, headers: &HeaderMap) -> String {
        let header = |name| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap_or_default())
        };
        let (accept, user) = (header(ACCEPT), header(AUTHORIZATION));
        format!("{}\n{}\n{accept}\n{user}", self.path, self.query)
    }
}
