use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

fn telemetry() -> Telemetry {
    let identity = Identity {
        system: "shop".to_owned(),
        brick: "order".to_owned(),
        revision: "abc123".to_owned(),
        ..Identity::default()
    };
    let options = Options {
        identity,
        log: LogTarget::Memory,
        ..Options::default()
    };
    Telemetry::new(options).0
}

async fn get(telemetry: &Telemetry, path: &str, accept: &str) -> (StatusCode, String, String) {
    let request = Request::get(path)
        .header("accept", accept)
        .body(Body::empty())
        .unwrap();
    let response = telemetry.routes().oneshot(request).await.unwrap();
    let status = response.status();
    let media = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, media, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn info_says_who_the_process_is() {
    let telemetry = telemetry();
    let express = FlagInfo {
        state: "ENABLED".to_owned(),
        default_variant: Some("on".to_owned()),
        default: true.into(),
        targeted: false,
    };
    telemetry.show_flags([("express_checkout".to_owned(), express)].into());
    let (status, _, body) = get(&telemetry, "/info", "*/*").await;
    assert_eq!(status, StatusCode::OK);
    let info: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(info["name"], "order");
    assert_eq!(info["revision"], "abc123");
    let express = &info["flags"]["express_checkout"];
    assert_eq!(
        (&express["state"], &express["defaultVariant"]),
        (&"ENABLED".into(), &"on".into())
    );
    assert_eq!(info["sdk_version"], crate::info::SDK_VERSION);
    assert!(
        info["start_time"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
}

#[tokio::test]
async fn the_three_health_endpoints_tell_three_things() {
    let telemetry = telemetry();
    telemetry
        .health()
        .dependency("product", || async { Err("refused".to_owned()) });
    assert_eq!(get(&telemetry, "/health/live", "*/*").await.0, StatusCode::OK);
    assert_eq!(
        get(&telemetry, "/health/ready", "*/*").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    telemetry.health().set_ready(true);
    let (status, _, body) = get(&telemetry, "/health/ready", "*/*").await;
    assert_eq!(status, StatusCode::OK);
    assert!(!body.contains("product"), "{body}");
    let (status, _, body) = get(&telemetry, "/health", "*/*").await;
    assert_eq!(status, StatusCode::OK);
    let report: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(report["status"], "degraded");
    assert_eq!(report["dependencies"]["product"]["detail"], "refused");
}

#[tokio::test]
async fn metrics_are_openmetrics_unless_plain_text_is_asked_for() {
    let telemetry = telemetry();
    let (_, media, body) = get(&telemetry, "/metrics", "*/*").await;
    assert_eq!(media, crate::metrics::OPENMETRICS);
    assert!(body.ends_with("# EOF\n") && body.contains("process_resident_memory_bytes "));
    let (_, media, body) = get(&telemetry, "/metrics", "text/plain;version=0.0.4").await;
    assert_eq!(media, crate::metrics::PROMETHEUS);
    assert!(!body.contains("# EOF"));
    let both = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    assert_eq!(
        get(&telemetry, "/metrics", both).await.1,
        crate::metrics::OPENMETRICS
    );
}

#[test]
fn a_filter_that_is_none_is_refused_by_name() {
    let (telemetry, _) = Telemetry::new(Options {
        filter: "order=loud".to_owned(),
        ..Options::default()
    });
    let error = telemetry.install().unwrap_err();
    assert!(error.to_string().contains("order=loud"), "{error}");
}

#[test]
fn the_volume_is_turned_up_and_down_while_the_process_runs() {
    let (telemetry, _) = Telemetry::new(Options {
        log: crate::LogTarget::Memory,
        ..Options::default()
    });
    tracing::subscriber::with_default(telemetry.subscriber(), || {
        let tell = || tracing::debug!("a detail");
        tell();
        assert!(telemetry.log_lines().is_empty());
        assert!(telemetry.set_filter("debug").unwrap());
        assert!(!telemetry.set_filter("debug").unwrap());
        tell();
        assert_eq!(telemetry.log_lines().len(), 1);
        assert!(telemetry.set_filter("order=loud").is_err());
        telemetry.set_filter("info").unwrap();
        tell();
        assert_eq!(telemetry.log_lines().len(), 1);
    });
}
