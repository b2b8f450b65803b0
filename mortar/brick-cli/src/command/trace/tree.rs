//! A trace drawn as a tree: indented operations, a bar on the common time line, and the logs in order of time.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::command::logs;
use crate::command::ps::text;
use crate::output::{Output, Tone, count, plain};

/// Width of the time line in characters.
const BAR: usize = 32;

struct Span<'a> {
    value: &'a Value,
    id: &'a str,
    parent: Option<&'a str>,
    start_ns: u128,
    duration_ns: u128,
}

/// Draws the answer of `GET /api/telemetry/v1/traces/{id}`.
pub(super) fn draw(trace: &Value, output: Output) -> String {
    let mut spans: Vec<Span<'_>> = trace["spans"]
        .as_array()
        .into_iter()
        .flatten()
        .map(read)
        .collect();
    spans.sort_by_key(|span| (span.start_ns, u128::MAX - span.duration_ns));
    let begin = spans.first().map_or(0, |span| span.start_ns);
    let end = spans
        .iter()
        .map(|span| span.start_ns + span.duration_ns)
        .max()
        .unwrap_or(begin);
    let services: HashSet<&str> = spans
        .iter()
        .filter_map(|span| span.value["service"].as_str())
        .collect();
    let mut out = format!(
        "trace {}  {:.1} ms  {}  {}\n\n",
        plain(&text(&trace["trace_id"])),
        (end - begin) as f64 / 1e6,
        count(spans.len(), "span"),
        count(services.len(), "service")
    );
    let scale = Scale {
        begin,
        length: (end - begin).max(1),
    };
    for (index, depth) in in_tree_order(&spans) {
        out.push_str(&row(&spans[index], depth, &scale, output));
    }
    let logs: Vec<&Value> = trace["logs"].as_array().into_iter().flatten().collect();
    if !logs.is_empty() {
        out.push_str(&format!("\n{}\n", count(logs.len(), "log line")));
    }
    for record in logs {
        out.push_str(&logs::for_people(record, output));
        out.push('\n');
    }
    out
}

fn read(value: &Value) -> Span<'_> {
    Span {
        value,
        id: value["span_id"].as_str().unwrap_or_default(),
        parent: value["parent_id"].as_str(),
        start_ns: value["start_unix_ns"]
            .as_str()
            .and_then(|t| t.parse().ok())
            .unwrap_or(0),
        duration_ns: value["duration_ns"].as_u64().unwrap_or(0).into(),
    }
}

/// Indices with their depth, parents before children; a span whose parent is not there is a root. A cycle, which no
/// honest tracer makes, ends where it closes.
fn in_tree_order(spans: &[Span<'_>]) -> Vec<(usize, usize)> {
    let ids: HashSet<&str> = spans.iter().map(|span| span.id).collect();
    let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut stack = Vec::new();
    for (index, span) in spans.iter().enumerate().rev() {
        match span.parent.filter(|parent| ids.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(index),
            None => stack.push((index, 0)),
        }
    }
    let mut order = Vec::with_capacity(spans.len());
    let mut seen = HashSet::new();
    while let Some((index, depth)) = stack.pop() {
        if seen.insert(index) {
            order.push((index, depth));
            stack.extend(
                children
                    .get(spans[index].id)
                    .into_iter()
                    .flatten()
                    .map(|child| (*child, depth + 1)),
            );
        }
    }
    order
}

struct Scale {
    begin: u128,
    length: u128,
}

impl Scale {
    fn bar(&self, span: &Span<'_>) -> String {
        let place = |ns: u128| (ns * BAR as u128 / self.length) as usize;
        let from = place(span.start_ns - self.begin).min(BAR - 1);
        let to = place(span.start_ns - self.begin + span.duration_ns).clamp(from + 1, BAR);
        format!(
            "{}{}{}",
            " ".repeat(from),
            "━".repeat(to - from),
            " ".repeat(BAR - to)
        )
    }
}

fn row(span: &Span<'_>, depth: usize, scale: &Scale, output: Output) -> String {
    let failed = span.value["status"] == "error";
    let tone = if failed { Tone::Bad } else { Tone::Plain };
    let mark = if failed { " ✗" } else { "" };
    let name = format!(
        "{}{} {}{mark}",
        "  ".repeat(depth),
        plain(&text(&span.value["service"])),
        plain(&text(&span.value["operation"]))
    );
    let name: String = name.chars().take(58).collect();
    let time = format!("{:>9.2} ms", span.duration_ns as f64 / 1e6);
    format!(
        "{} {} {}\n",
        output.out(tone, &format!("{name:<58}")),
        output.out(Tone::Dim, &time),
        scale.bar(span)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::{Color, Format};

    #[test]
    fn a_trace_is_drawn_parents_first_with_its_logs() {
        let trace = json!({
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "spans": [
                { "span_id": "b", "parent_id": "a", "service": "order", "operation": "POST /api/orders",
                  "start_unix_ns": "1002000000", "duration_ns": 5_000_000, "status": "error" },
                { "span_id": "a", "service": "gateway", "operation": "POST /api/orders/**",
                  "start_unix_ns": "1000000000", "duration_ns": 10_000_000, "status": "ok" },
                { "span_id": "c", "parent_id": "gone", "service": "late", "operation": "x",
                  "start_unix_ns": "1001000000", "duration_ns": 0, "status": "ok" },
            ],
            "logs": [{ "ts": "2026-11-20T10:00:00.123Z", "instance": "order/1", "level": "warn", "msg": "declined" }],
        });
        let drawn = draw(&trace, Output::new(Format::Table, Color::Never, true, false));
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(
            lines[0],
            "trace 0af7651916cd43dd8448eb211c80319c  10.0 ms  3 spans  3 services"
        );
        assert!(lines[2].starts_with("gateway POST /api/orders/**"), "{drawn}");
        assert!(lines[3].starts_with("  order POST /api/orders ✗"), "{drawn}");
        assert!(lines[4].starts_with("late x"), "{drawn}");
        assert!(drawn.contains("1 log line\n10:00:00.123 order/1"), "{drawn}");
    }
}
