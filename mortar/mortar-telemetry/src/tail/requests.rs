//! Requests at a brick's door: server spans as they arrive, each as one record.

use std::sync::Arc;

use crate::api;
use crate::query::rfc3339;
use crate::record::{Kind, Resource, Span, Status, span_hex, trace_hex};

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Of this brick.
    pub brick: Option<String>,
    /// Of this slot or incarnation.
    pub instance: Option<String>,
    /// Sent by this brick.
    pub caller: Option<String>,
    /// Route or path holds this text.
    pub route: Option<String>,
    /// Whether it failed.
    pub error: Option<bool>,
    /// Shortest duration, in nanoseconds.
    pub min_ns: u64,
}

impl RequestFilter {
    fn matches_resource(&self, resource: &Resource) -> bool {
        let is = |wanted: &Option<String>, found: &[&str]| {
            wanted.as_deref().is_none_or(|wanted| found.contains(&wanted))
        };
        is(&self.brick, &[&resource.service])
            && is(&self.instance, &[&resource.instance, &resource.incarnation])
    }

    /// Whether the request is one of those asked for.
    pub(crate) fn matches(&self, resource: &Resource, span: &Span) -> bool {
        let holds = |key: &str, text: &str| text_of(span, key).is_some_and(|found| found.contains(text));
        self.matches_resource(resource)
            && span.end_ns - span.start_ns >= self.min_ns
            && self.error.is_none_or(|error| error == is_failed(span))
            && self
                .caller
                .as_ref()
                .is_none_or(|caller| text_of(span, CALLER).as_deref() == Some(caller))
            && self
                .route
                .as_ref()
                .is_none_or(|text| holds("http.route", text) || holds("url.path", text))
    }
}

/// Set by who serves, where the caller showed who it is.
const CALLER: &str = "brick.caller";

/// Whether it is a request that somebody served.
pub(crate) fn is_request(span: &Span) -> bool {
    span.kind == Kind::Server
}

/// An answer from 500 on, or a span that says that it failed.
fn is_failed(span: &Span) -> bool {
    span.status == Status::Error || status_of(span).is_some_and(|status| status >= 500)
}

fn text_of(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|(name, _)| name == key);
    found.map(|(_, value)| value.to_text().into_owned())
}

fn status_of(span: &Span) -> Option<u16> {
    text_of(span, "http.response.status_code")?.parse().ok()
}

/// The record as JSON ([`api::Request`]).
pub(crate) fn encode(resource: &Resource, span: &Span) -> Arc<str> {
    let request = api::Request {
        ts: rfc3339(span.start_ns),
        brick: resource.service.clone(),
        version: resource.version.clone(),
        instance: resource.instance.clone(),
        method: text_of(span, "http.request.method").unwrap_or_else(|| span.name.clone()),
        route: text_of(span, "http.route"),
        path: text_of(span, "url.path"),
        status: status_of(span),
        error: is_failed(span),
        duration_ms: ((span.end_ns - span.start_ns) as f64 / 1e3).round() / 1e3,
        caller: text_of(span, CALLER),
        synthetic: text_of(span, "brick.synthetic"),
        trace_id: trace_hex(&span.trace_id),
        span_id: span_hex(span.span_id),
    };
    serde_json::to_string(&request).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Value;
    use crate::tail::{Hub, Item};

    fn resource(service: &str) -> Resource {
        Resource {
            service: service.to_owned(),
            instance: format!("{service}/1"),
            ..Resource::default()
        }
    }

    fn span(kind: Kind, route: &str, status: i64, ms: u64) -> Span {
        let text = |text: &str| Value::Text(text.to_owned());
        Span {
            trace_id: [1; 16],
            span_id: 2,
            parent_id: 0,
            name: format!("GET {route}"),
            kind,
            status: Status::Unset,
            status_message: String::new(),
            start_ns: 1_000_000_000,
            end_ns: 1_000_000_000 + ms * 1_000_000,
            attributes: vec![
                ("http.request.method".to_owned(), text("GET")),
                ("http.route".to_owned(), text(route)),
                ("http.response.status_code".to_owned(), Value::Int(status)),
                (CALLER.to_owned(), text("order")),
            ],
            events: Vec::new(),
        }
    }

    async fn told(filter: RequestFilter) -> Vec<String> {
        let hub = Hub::default();
        let mut tail = hub.requests(filter).unwrap();
        let spans = [
            span(Kind::Server, "/api/payments", 201, 5),
            span(Kind::Server, "/api/refunds", 500, 50),
            span(Kind::Client, "/api/payments", 500, 50),
        ];
        hub.served(&resource("payment"), &spans);
        hub.served(&resource("order"), &[span(Kind::Server, "/end", 200, 60)]);
        let Item::Records(records) = tail.next().await else {
            panic!("records")
        };
        let read = |record: &Arc<str>| serde_json::from_str::<api::Request>(record).unwrap();
        records
            .iter()
            .map(read)
            .map(|one| format!("{} {}", one.instance, one.route.unwrap_or_default()))
            .collect()
    }

    #[tokio::test]
    async fn requests_at_a_door_are_told_as_asked_for() {
        let some = |text: &str| Some(text.to_owned());
        let payment = RequestFilter {
            brick: some("payment"),
            ..RequestFilter::default()
        };
        assert_eq!(
            told(payment.clone()).await,
            ["payment/1 /api/payments", "payment/1 /api/refunds"]
        );
        assert_eq!(
            told(RequestFilter {
                error: Some(true),
                ..payment.clone()
            })
            .await,
            ["payment/1 /api/refunds"]
        );
        assert_eq!(
            told(RequestFilter {
                error: Some(false),
                ..payment.clone()
            })
            .await,
            ["payment/1 /api/payments"]
        );
        assert_eq!(
            told(RequestFilter {
                route: some("refund"),
                ..payment
            })
            .await,
            ["payment/1 /api/refunds"]
        );
        let slow = RequestFilter {
            min_ns: 55_000_000,
            caller: some("order"),
            ..RequestFilter::default()
        };
        assert_eq!(told(slow).await, ["order/1 /end"]);
    }

    #[test]
    fn a_request_says_how_it_was_answered_and_who_asked() {
        let record = encode(&resource("payment"), &span(Kind::Server, "/api/refunds", 500, 50));
        let request: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(
            (&request["status"], &request["error"]),
            (&500.into(), &true.into())
        );
        assert_eq!(
            (&request["caller"], &request["duration_ms"]),
            (&"order".into(), &50.0.into())
        );
        assert!(request.get("path").is_none());
    }
}
