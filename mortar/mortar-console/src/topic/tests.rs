use proptest::prelude::*;

use super::*;

const SERIES: &str =
    r#"{"topic":"series","name":"shop_orders_placed_total","fn":"rate","window":300,"step":5}"#;

#[test]
fn a_wish_becomes_questions() {
    let check = |topic: &str, upstream: Upstream, path: &str| {
        let wish = wish(&format!("{{\"sub\":[{topic}]}}")).unwrap();
        assert_eq!(wish.sub[0].question(1_000_003), (upstream, path.to_owned()));
    };
    check(r#"{"topic":"system"}"#, Upstream::Control, "/api/system/v1");
    check(
        r#"{"topic":"instances"}"#,
        Upstream::Control,
        "/api/registry/v1/instances?leases=false",
    );
    check(r#"{"topic":"bricks"}"#, Upstream::Control, "/api/agent/v1/ps");
    check(
        r#"{"topic":"graph","window":60}"#,
        Upstream::Telemetry,
        "/api/telemetry/v1/graph?window=60s",
    );
    check(
        r#"{"topic":"graph","window":60,"synthetic":"only"}"#,
        Upstream::Telemetry,
        "/api/telemetry/v1/graph?window=60s&synthetic=only",
    );
    check(
        r#"{"topic":"stats"}"#,
        Upstream::Telemetry,
        "/api/telemetry/v1/stats",
    );
    check(
        SERIES,
        Upstream::Telemetry,
        "/api/telemetry/v1/metrics/range?name=shop_orders_placed_total&fn=rate&from=999700&to=1000000&step=5",
    );
}

#[test]
fn a_wish_that_cannot_be_met_says_what_was_expected() {
    let many = format!("{{\"sub\":[{}]}}", vec![SERIES; TOPICS_PER_TAB_MAX + 1].join(","));
    for (text, expected) in [
        ("", "{\"sub\""),
        ("[]", "{\"sub\""),
        (r#"{"sub":[{"topic":"secrets"}]}"#, "unknown variant"),
        (r#"{"sub":[{"topic":"graph"}]}"#, "missing field `window`"),
        (r#"{"sub":[{"topic":"graph","window":0}]}"#, "window of 1 to"),
        (
            r#"{"sub":[{"topic":"graph","window":60,"x":1}]}"#,
            "unknown field",
        ),
        (&SERIES.replace("shop_orders", "a&b="), "{\"sub\""),
        (
            &format!("{{\"sub\":[{}]}}", SERIES.replace("shop_orders", "a&b=")),
            "name of a metric",
        ),
        (
            &format!("{{\"sub\":[{}]}}", SERIES.replace("\"step\":5", "\"step\":0")),
            "a step that",
        ),
        (&many, "at most 32 topics"),
    ] {
        let error = wish(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_topic_reads_back_as_it_was_written() {
    let topic: Topic = serde_json::from_str(SERIES).unwrap();
    assert_eq!(serde_json::to_string(&topic).unwrap(), SERIES);
}

proptest! {
    #[test]
    fn no_message_makes_a_question_that_leaves_its_path(text in ".{0,200}", name in ".{1,40}") {
        let _ = wish(&text);
        let named = serde_json::json!({"sub": [{"topic": "series", "name": name, "fn": "raw", "window": 60, "step": 5}]});
        if let Ok(wish) = wish(&named.to_string()) {
            let (_, path) = wish.sub[0].question(1_000);
            prop_assert!(path.parse::<http::Uri>().is_ok());
            prop_assert_eq!(path.matches('&').count(), 4);
        }
    }
}
