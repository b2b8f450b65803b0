//! `brick audit`: who changed what, and who uses what.

use brick_core::duration::Span;
use serde_json::Value;

use super::ps::text;
use crate::agent::{Agent, query};
use crate::cli;
use crate::failure::Outcome;
use crate::output::{Output, Table, Tone};

/// Characters of a value in the table.
const VALUE_CHARS_MAX: usize = 48;

pub(crate) async fn run(agent: &Agent, audit: cli::Audit, output: Output) -> Outcome {
    if audit.usage {
        return usage(agent, audit.since, output).await;
    }
    let path = format!(
        "/api/audit/v1{}",
        query(&[
            ("who", audit.who),
            ("action", audit.action),
            ("target", audit.target),
            ("text", audit.text),
            ("since", audit.since.map(|since| since.to_string())),
            ("limit", Some(audit.limit.to_string())),
        ])
    );
    let answer: Value = agent.admin().await?.get(&path).await?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    if items.is_empty() {
        output.note("nothing was changed, as far as these options say");
    }
    output.rows(&items, || table(&items));
    Ok(())
}

/// How often each client used which area.
async fn usage(agent: &Agent, since: Option<Span>, output: Output) -> Outcome {
    let since = since.map(|since| since.to_string());
    let path = format!("/api/audit/v1/use{}", query(&[("since", since)]));
    let answer: Value = agent.admin().await?.get(&path).await?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    output.rows(&items, || {
        let mut table = Table::new(&["client", "area", "reads", "writes", "last day"]);
        for item in &items {
            table.row(vec![
                (text(&item["client"]), Tone::Plain),
                (text(&item["area"]), Tone::Plain),
                (item["reads"].to_string(), Tone::Plain),
                (item["writes"].to_string(), Tone::Plain),
                (text(&item["last_day"]), Tone::Dim),
            ]);
        }
        table
    });
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&["at", "who", "action", "target", "before", "after", "why"]);
    for item in items {
        table.row(vec![
            (text(&item["at"]), Tone::Dim),
            (text(&item["who"]), Tone::Plain),
            (text(&item["action"]), Tone::Plain),
            (text(&item["target"]), Tone::Plain),
            (value(&item["before"]), Tone::Dim),
            (value(&item["after"]), Tone::Plain),
            (text(&item["why"]), Tone::Plain),
        ]);
    }
    table
}

/// A value within the width of a table; `--format json` has it whole.
fn value(value: &Value) -> String {
    if value.is_null() {
        return "–".to_owned();
    }
    let whole = value.to_string();
    if whole.chars().count() <= VALUE_CHARS_MAX {
        return whole;
    }
    let start: String = whole.chars().take(VALUE_CHARS_MAX - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_long_value_is_cut_in_the_table_alone() {
        assert_eq!(value(&Value::Null), "–");
        assert_eq!(value(&json!({ "replicas": 3 })), r#"{"replicas":3}"#);
        assert_eq!(value(&"é".repeat(90).into()).chars().count(), VALUE_CHARS_MAX);
    }
}
