use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn line(fields: &[(&str, &str)]) -> Value {
    let mut line = Line::new(&Level::INFO, "order");
    for (name, text) in fields {
        line.text(name, text);
    }
    serde_json::from_str(&line.finish(None)).unwrap()
}

#[test]
fn a_line_has_the_fields_of_the_contract() {
    let context = SpanContext::root();
    let mut line = Line::new(&Level::WARN, "order");
    line.text("message", "stock is low");
    line.plain("left", &3);
    let text = line.finish(Some(context));
    assert!(text.ends_with("}\n") && text.matches('\n').count() == 1);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["level"], "warn");
    assert_eq!(value["target"], "order");
    assert_eq!(value["msg"], "stock is low");
    assert_eq!(value["left"], 3);
    assert_eq!(value["trace_id"], context.trace_id.to_string());
    assert_eq!(value["span_id"], context.span_id.to_string());
    let ts: jiff::Timestamp = value["ts"].as_str().unwrap().parse().unwrap();
    assert!(ts <= jiff::Timestamp::now());
}

#[test]
fn a_trace_named_by_the_line_wins() {
    let mut line = Line::new(&Level::INFO, "gateway");
    line.text("trace_id", "abc");
    let value: Value = serde_json::from_str(&line.finish(Some(SpanContext::root()))).unwrap();
    assert_eq!(value["trace_id"], "abc");
    assert_eq!(value.get("span_id"), None);
}

#[test]
fn values_that_look_secret_are_redacted() {
    for name in [
        "password",
        "user_password",
        "token",
        "access_token",
        "Authorization",
        "set-cookie",
        "client.secret",
        "api_key",
        "apiKey",
    ] {
        assert_eq!(line(&[(name, "hunter2")])[name], REDACTED, "{name}");
    }
    assert_eq!(line(&[("tokens_used", "3")])["tokens_used"], "3");
}

#[test]
fn a_field_cannot_take_the_place_of_a_fixed_one() {
    let value = line(&[("level", "x"), ("message", "m")]);
    assert_eq!(
        (value["level"].as_str(), value["field.level"].as_str()),
        (Some("info"), Some("x"))
    );
}

#[test]
fn a_line_is_bounded() {
    let big = "x".repeat(1 << 20);
    let fields: Vec<(String, &str)> = (0..50).map(|i| (format!("f{i}"), big.as_str())).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let value = line(&fields);
    assert!(value.to_string().len() < LINE_BYTES_MAX + 2 * TEXT_BYTES_MAX);
    assert!(value["fields_cut"].as_u64().unwrap() > 0);
}

#[test]
fn a_full_disk_is_counted_and_harms_nobody() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let logger = Logger::to_file(full);
    for _ in 0..3 {
        logger.write(Line::new(&Level::INFO, "x"), None);
    }
    assert_eq!(logger.lost(), 3);
}

#[test]
fn a_broken_pipe_is_counted_and_harms_nobody() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let logger = Logger::to_file(File::from(std::os::fd::OwnedFd::from(writer)));
    logger.write(Line::new(&Level::INFO, "x"), None);
    assert_eq!(logger.lost(), 1);
}

#[test]
fn the_line_after_a_torn_one_starts_afresh() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut tail = Tail {
        file: File::from(std::os::fd::OwnedFd::from(writer)),
        torn: true,
    };
    assert!(tail.write("{}\n".to_owned()));
    assert!(!tail.torn);
    drop(tail);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!(text, "\n{}\n");
}

proptest! {
    #[test]
    fn any_text_makes_one_line_of_json(text in any::<String>(), name in "[a-z]{1,8}") {
        let mut line = Line::new(&Level::INFO, "x");
        line.text("message", &text);
        line.text(&name, &text);
        let out = line.finish(None);
        prop_assert_eq!(out.matches('\n').count(), 1);
        prop_assert!(!out.trim_end().chars().any(char::is_control));
        let value: Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(value["msg"].as_str(), Some(text.as_str()));
    }
}
