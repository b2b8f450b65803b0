//! `brick metrics`: what is measured, and one metric over time.

use serde_json::Value;

use super::ps::text;
use crate::agent::{Admin, Agent};
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone};

/// Columns of a line of bars.
const SPARK: usize = 30;

pub(crate) async fn run(agent: &Agent, metrics: cli::Metrics, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match metrics {
        cli::Metrics::Ls { text } => list(&admin, text.as_deref().unwrap_or(""), output).await,
        cli::Metrics::Range {
            name,
            function,
            by,
            label,
            since,
            step,
        } => {
            let mut pairs = vec![
                ("name", name.clone()),
                ("fn", function_name(function).to_owned()),
                ("from", since.to_string()),
                ("step", step.to_string()),
            ];
            pairs.extend(by.into_iter().map(|by| ("by", by)));
            pairs.extend(label.into_iter().map(|label| ("label", label)));
            range(&admin, &name, &pairs, output).await
        }
    }
}

fn function_name(function: cli::MetricFn) -> &'static str {
    match function {
        cli::MetricFn::Rate => "rate",
        cli::MetricFn::Raw => "raw",
        cli::MetricFn::P50 => "p50",
        cli::MetricFn::P90 => "p90",
        cli::MetricFn::P99 => "p99",
    }
}

async fn list(admin: &Admin, wanted: &str, output: Output) -> Outcome {
    let answer: Value = admin.get("/api/telemetry/v1/metrics").await?;
    let mut items = answer["items"].as_array().cloned().unwrap_or_default();
    items.retain(|item| text(&item["name"]).contains(wanted));
    output.rows(&items, || {
        let mut table = Table::new(&["name", "kind", ">series", "help"]);
        for item in &items {
            table.row(vec![
                (text(&item["name"]), Tone::Plain),
                (text(&item["kind"]), Tone::Dim),
                (text(&item["series"]), Tone::Plain),
                (text(&item["help"]), Tone::Dim),
            ]);
        }
        table
    });
    Ok(())
}

async fn range(admin: &Admin, name: &str, pairs: &[(&str, String)], output: Output) -> Outcome {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let path = format!(
        "/api/telemetry/v1/metrics/range?{}",
        brick_wire::form::encode(&pairs)
    );
    let answer: Value = admin.get(&path).await?;
    let series = answer["series"].as_array().cloned().unwrap_or_default();
    if series.is_empty() {
        return Err(
            Failure::failed(format!("there is nothing of {name} in that time"))
                .hint("`brick metrics ls` lists the names; a counter's ends in _total"),
        );
    }
    output.rows(&series, || {
        let mut table = Table::new(&["labels", "over time", ">least", ">most", ">last"]);
        for one in &series {
            let values: Vec<f64> = one["points"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|point| point[1].as_f64())
                .collect();
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let last = values.last().copied().unwrap_or(f64::NAN);
            table.row(vec![
                (labels(&one["labels"]), Tone::Plain),
                (spark(&values), Tone::Good),
                (number(least), Tone::Plain),
                (number(most), Tone::Plain),
                (number(last), Tone::Plain),
            ]);
        }
        table
    });
    Ok(())
}

fn labels(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    if pairs.is_empty() {
        "all".to_owned()
    } else {
        pairs.join(" ")
    }
}

/// Four digits that count, without needless zeros.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let places = (3 - value.abs().max(1.0).log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// The newest values as bars between nothing and the most.
fn spark(values: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let newest = &values[values.len().saturating_sub(SPARK)..];
    let most = newest.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let share = if most > 0.0 {
            (value / most).clamp(0.0, 1.0)
        } else {
            0.0
        };
        BARS[(share * 7.0).round() as usize]
    };
    newest.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        for (value, expect) in [
            (0.0, "0"),
            (12345.6, "12346"),
            (0.12345, "0.123"),
            (2.5, "2.5"),
            (f64::NAN, ""),
        ] {
            assert_eq!(number(value), expect);
        }
    }

    #[test]
    fn bars_reach_from_nothing_to_the_most() {
        assert_eq!(spark(&[0.0, 1.0, 2.0]), "▁▅█");
        assert_eq!(spark(&[0.0, 0.0]), "▁▁");
    }
}
