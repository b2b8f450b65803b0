//! Two traces side by side: what each operation took itself, children's time left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::command::ps::text;
use crate::output::{Output, Table, Tone, count, plain};

/// What one operation of one service did in one trace.
#[derive(Debug, Default, Clone, Copy, Serialize)]
struct Share {
    count: u64,
    /// Time of the spans without that of their children.
    self_ms: f64,
    errors: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    service: String,
    operation: String,
    before: Share,
    after: Share,
    /// How much longer it took itself.
    delta_ms: f64,
}

#[derive(Debug, Serialize)]
struct Head {
    trace_id: String,
    duration_ms: f64,
    spans: usize,
}

#[derive(Debug, Serialize)]
struct Diff {
    before: Head,
    after: Head,
    operations: Vec<Row>,
}

/// Prints the comparison, the largest difference first.
pub(super) fn tell(before: &Value, after: &Value, output: Output) {
    let diff = compare(before, after);
    output.value(&diff, || table(&diff, output));
}

fn compare(before: &Value, after: &Value) -> Diff {
    let (first, second) = (shares(before), shares(after));
    let mut keys: Vec<&(String, String)> = first.keys().chain(second.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut operations: Vec<Row> = keys
        .into_iter()
        .map(|key| {
            let before = first.get(key).copied().unwrap_or_default();
            let after = second.get(key).copied().unwrap_or_default();
            Row {
                service: key.0.clone(),
                operation: key.1.clone(),
                delta_ms: after.self_ms - before.self_ms,
                before,
                after,
            }
        })
        .collect();
    operations.sort_by(|a, b| b.delta_ms.abs().total_cmp(&a.delta_ms.abs()));
    Diff {
        before: head(before),
        after: head(after),
        operations,
    }
}

fn spans(trace: &Value) -> &[Value] {
    trace["spans"].as_array().map_or(&[], Vec::as_slice)
}

/// Start and end in nanoseconds.
pub(super) fn times(span: &Value) -> (u64, u64) {
    let start = nanoseconds(&span["start_unix_ns"]);
    (
        start,
        start.saturating_add(span["duration_ns"].as_u64().unwrap_or(0)),
    )
}

/// A time that the API writes as decimal text.
pub(super) fn nanoseconds(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn head(trace: &Value) -> Head {
    let begin = spans(trace).iter().map(|span| times(span).0).min().unwrap_or(0);
    let end = spans(trace).iter().map(|span| times(span).1).max().unwrap_or(0);
    Head {
        trace_id: text(&trace["trace_id"]),
        duration_ms: (end - begin) as f64 / 1e6,
        spans: spans(trace).len(),
    }
}

fn shares(trace: &Value) -> BTreeMap<(String, String), Share> {
    let mut children: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for span in spans(trace) {
        if let Some(parent) = span["parent_id"].as_str() {
            children.entry(parent).or_default().push(times(span));
        }
    }
    let mut shares: BTreeMap<(String, String), Share> = BTreeMap::new();
    for span in spans(trace) {
        let id = span["span_id"].as_str().unwrap_or_default();
        let inner = children.get(id).cloned().unwrap_or_default();
        let key = (text(&span["service"]), text(&span["operation"]));
        let share = shares.entry(key).or_default();
        share.count += 1;
        share.self_ms += self_ns(times(span), inner) as f64 / 1e6;
        share.errors += u64::from(span["status"] == "error");
    }
    shares
}

/// Length of a span without what its children cover; children that overlap count once.
fn self_ns((start, end): (u64, u64), mut children: Vec<(u64, u64)>) -> u64 {
    children.sort_unstable();
    let mut at = start;
    let mut own = 0;
    for (from, to) in children {
        own += from.clamp(at, end) - at;
        at = at.max(to.min(end));
    }
    own + (end - at.min(end))
}

fn table(diff: &Diff, output: Output) -> String {
    let line = |name: &str, head: &Head| {
        format!(
            "{name} {}  {:.1} ms  {}\n",
            plain(&head.trace_id),
            head.duration_ms,
            count(head.spans, "span")
        )
    };
    let mut table = Table::new(&[
        "service",
        "operation",
        ">before",
        ">after",
        ">self ms",
        ">self ms",
        ">difference",
        ">errors",
    ]);
    for row in &diff.operations {
        let tone = match row.delta_ms {
            delta if delta > 0.5 => Tone::Bad,
            delta if delta < -0.5 => Tone::Good,
            _ => Tone::Dim,
        };
        let errors = row.after.errors as i64 - row.before.errors as i64;
        table.row(vec![
            (row.service.clone(), Tone::Plain),
            (row.operation.clone(), Tone::Plain),
            (row.before.count.to_string(), Tone::Dim),
            (row.after.count.to_string(), Tone::Dim),
            (format!("{:.2}", row.before.self_ms), Tone::Plain),
            (format!("{:.2}", row.after.self_ms), Tone::Plain),
            (format!("{:+.2}", row.delta_ms), tone),
            (
                if errors == 0 {
                    String::new()
                } else {
                    format!("{errors:+}")
                },
                if errors > 0 { Tone::Bad } else { Tone::Good },
            ),
        ]);
    }
    line("before", &diff.before) + &line("after ", &diff.after) + "\n" + &table.render(output.color_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_children_that_overlap_is_left_out_once() {
        for (span, children, expect) in [
            ((0, 10), vec![], 10),
            ((0, 10), vec![(2, 4)], 8),
            ((0, 10), vec![(2, 6), (4, 8)], 4),
            ((0, 10), vec![(8, 20)], 8),
            ((5, 10), vec![(0, 6)], 4),
            ((5, 10), vec![(20, 30)], 5),
        ] {
            assert_eq!(self_ns(span, children.clone()), expect, "{span:?} {children:?}");
        }
    }
}
