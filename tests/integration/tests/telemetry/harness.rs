//! One telemetry role on two free ports, with tokens to call it.

use std::net::SocketAddr;
use std::time::Duration;

use brick_auth::Verifier;
use brick_bus::{Resource, Watch};
use brick_core::{Trigger, drain};
use brick_telemetry::{Identity, LogTarget, Telemetry};
use brick_test::TestIssuer;
use brick_wire::{Client, Response};
use http::{HeaderName, Method};
use mortar_telemetry::{Options, Service, Target, api};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

pub(super) const PROTOBUF: &str = "application/x-protobuf";

pub(super) struct Role {
    pub(super) api: SocketAddr,
    pub(super) otlp: SocketAddr,
    pub(super) issuer: TestIssuer,
    pub(super) client: Client,
    pub(super) trigger: Trigger,
}

pub(super) fn telemetry(brick: &str, otlp: Option<SocketAddr>) -> (Telemetry, brick_telemetry::Exporter) {
    Telemetry::new(brick_telemetry::Options {
        identity: Identity {
            system: "shop".to_owned(),
            brick: brick.to_owned(),
            version: "v1".to_owned(),
            revision: String::new(),
            slot: format!("{brick}/1"),
            incarnation: brick_core::Incarnation::new().to_string(),
            zone: "a".to_owned(),
            package_version: "0.1.0".to_owned(),
            api_version: "v1".to_owned(),
        },
        otlp_endpoint: otlp.map(|addr| format!("http://{addr}")),
        filter: "info".to_owned(),
        log: LogTarget::Memory,
    })
}

pub(super) async fn role() -> Role {
    role_with(Vec::new(), Vec::new()).await
}

pub(super) async fn role_with(mut resources: Vec<Resource>, scrape: Vec<Target>) -> Role {
    let issuer = TestIssuer::new("shop");
    resources.push(issuer.trust_bundle());
    let watch = Watch::fixed(resources);
    let verifier = Verifier::new(watch.clone());
    let (telemetry, _exporter) = telemetry("telemetry", None);
    let options = Options {
        scrape,
        ..Options::default()
    };
    let (service, _handle) = Service::new(options, watch, verifier, telemetry);
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (trigger, drain) = drain::channel();
    let role = Role {
        api: api.local_addr().unwrap(),
        otlp: otlp.local_addr().unwrap(),
        issuer,
        client: Client::new(),
        trigger,
    };
    tokio::spawn(service.run(api, otlp, drain));
    role
}

impl Drop for Role {
    fn drop(&mut self) {
        self.trigger.drain();
    }
}

impl Role {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/api/telemetry/v1{path}", self.api)
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let call = self
            .client
            .get(self.url(path))
            .bearer(&self.issuer.operator_token());
        call.json().await.unwrap()
    }

    pub(super) async fn get_raw(&self, path: &str) -> Response {
        let call = self
            .client
            .get(self.url(path))
            .bearer(&self.issuer.operator_token());
        call.send().await.unwrap()
    }

    pub(super) async fn post(&self, path: &str, content_type: &'static str, body: Vec<u8>) -> Response {
        self.post_with(path, content_type, body, &[]).await
    }

    pub(super) async fn post_with(
        &self,
        path: &str,
        content_type: &'static str,
        body: Vec<u8>,
        headers: &[(HeaderName, &str)],
    ) -> Response {
        let mut call = self
            .client
            .call(Method::POST, format!("http://{}{path}", self.otlp))
            .body(content_type, body);
        for (name, value) in headers {
            call = call.header(name.clone(), value);
        }
        call.send().await.unwrap()
    }

    pub(super) async fn export_spans(&self, service: &str, spans: Vec<Span>) {
        let export = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource(service)),
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        assert_eq!(
            self.post("/v1/traces", PROTOBUF, export.encode_to_vec())
                .await
                .status,
            200
        );
    }

    pub(super) async fn export_logs(&self, service: &str, log_records: Vec<LogRecord>) {
        let export = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource(service)),
                scope_logs: vec![ScopeLogs {
                    log_records,
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }],
        };
        assert_eq!(
            self.post("/v1/logs", PROTOBUF, export.encode_to_vec())
                .await
                .status,
            200
        );
    }

    pub(super) async fn stats(&self) -> api::Stats {
        self.get("/stats").await
    }
}

/// Asks until the answer satisfies; fails after ten seconds.
pub(super) async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, good: impl Fn(&T) -> bool) -> T {
    let asked = async {
        loop {
            let answer = ask().await;
            if good(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .expect("within ten seconds")
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

pub(super) fn resource(service: &str) -> OtlpResource {
    OtlpResource {
        attributes: vec![
            text("service.name", service),
            text("service.version", "v1"),
            text("service.instance.id", "018f"),
            text("brick.slot", &format!("{service}/1")),
            text("brick.zone", "a"),
        ],
        ..OtlpResource::default()
    }
}
