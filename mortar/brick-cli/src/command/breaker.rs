//! `brick breaker`: every edge with its breaker, and holding one open or closed by hand.

use serde_json::{Map, Value, json};

use super::ps::text;
use crate::agent::{AGAIN_MAX, Admin, Agent};
use crate::cli::{self, Link};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone};

pub(crate) async fn run(agent: &Agent, breaker: cli::Breaker, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match breaker {
        cli::Breaker::Ls { text } => list(&admin, text.as_deref().unwrap_or(""), output).await,
        cli::Breaker::Open { edge } => hold(&admin, &edge, Some("open"), output).await,
        cli::Breaker::Close { edge } => hold(&admin, &edge, Some("closed"), output).await,
        cli::Breaker::Auto { edge } => hold(&admin, &edge, None, output).await,
    }
}

async fn list(admin: &Admin, wanted: &str, output: Output) -> Outcome {
    let answer: Value = admin.get("/api/limits/v1/edges").await?;
    let mut items = answer["items"].as_array().cloned().unwrap_or_default();
    items.retain(|item| text(&item["edge"]).contains(wanted));
    if items.is_empty() {
        output.note("no calls were told of; edges are listed from their first call on");
    }
    output.rows(&items, || table(&items));
    Ok(())
}

fn table(items: &[Value]) -> Table {
    let mut table = Table::new(&[
        "edge",
        "breaker",
        ">rate/s",
        ">errors",
        ">p50 ms",
        ">p99 ms",
        ">rejected",
        ">in flight",
        ">limit",
        ">callers",
    ]);
    for item in items {
        let number = |key: &str| item[key].as_f64().unwrap_or(0.0);
        let (calls, window_ms) = (number("calls"), number("window_ms"));
        let share = if calls > 0.0 {
            number("errors") / calls
        } else {
            0.0
        };
        let (state, tone) = state(item);
        let ms = |key: &str| {
            item[key]
                .as_f64()
                .map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}"))
        };
        let rate = if window_ms > 0.0 {
            format!("{:.1}", calls * 1_000.0 / window_ms)
        } else {
            "–".to_owned()
        };
        let rejected = number("rejected");
        table.row(vec![
            (text(&item["edge"]), Tone::Plain),
            (state, tone),
            (rate, Tone::Plain),
            (
                format!("{:.1} %", share * 100.0),
                if share > 0.0 { Tone::Bad } else { Tone::Plain },
            ),
            (ms("p50_ms"), Tone::Plain),
            (ms("p99_ms"), Tone::Plain),
            (
                format!("{rejected:.0}"),
                if rejected > 0.0 { Tone::Warn } else { Tone::Dim },
            ),
            (text(&item["in_flight"]), Tone::Plain),
            (text(&item["limit"]), Tone::Dim),
            (
                item["instances"].as_array().map_or(0, Vec::len).to_string(),
                Tone::Dim,
            ),
        ]);
    }
    table
}

/// The state in words, by hand or not.
fn state(item: &Value) -> (String, Tone) {
    match (item["forced"].as_str(), item["state"].as_str()) {
        (Some("open"), _) => ("open (by hand)".to_owned(), Tone::Bad),
        (Some(_), _) => ("closed (by hand)".to_owned(), Tone::Warn),
        (None, Some("open")) => ("open".to_owned(), Tone::Bad),
        (None, Some("half-open")) => ("half-open".to_owned(), Tone::Warn),
        (None, state) => (state.unwrap_or_default().to_owned(), Tone::Good),
    }
}

/// Changes what operators want of the edge in this alone.
async fn hold(admin: &Admin, edge: &Link, forced: Option<&str>, output: Output) -> Outcome {
    let path = super::edge_path("limits", edge);
    let mut made = false;
    for _ in 0..AGAIN_MAX {
        let held: Value = admin.get(&path).await?;
        let patch = patched(&held["override"], forced);
        made = admin.replace(&path, &text(&held["tag"]), patch.as_ref()).await?;
        if made {
            break;
        }
    }
    if !made {
        return Err(Failure::failed(format!(
            "the limits of {edge} change all the time; nothing was changed"
        ))
        .hint("see who changes them, then say it again"));
    }
    let told = json!({ "edge": edge.to_string(), "forced": forced });
    output.value(&told, || match forced {
        Some("open") => format!(
            "{edge} is held open: its calls fail at once; `brick breaker auto \"{edge}\"` takes it back"
        ),
        Some(_) => {
            format!("{edge} is held closed: every call passes; `brick breaker auto \"{edge}\"` takes it back")
        }
        None => format!("{edge} decides by itself; see `brick breaker ls`"),
    });
    Ok(())
}

/// The patch over the manifest's limits with the breaker held so; none where nothing is left of it.
fn patched(held: &Value, forced: Option<&str>) -> Option<Value> {
    let mut patch = held.as_object().cloned().unwrap_or_default();
    let mut breaker = patch.get("breaker").and_then(Value::as_object).cloned();
    if let Some(forced) = forced {
        let mut breaker = breaker.unwrap_or_default();
        breaker.insert("forced".to_owned(), forced.into());
        patch.insert("breaker".to_owned(), Value::Object(breaker));
    } else if let Some(breaker) = &mut breaker {
        breaker.remove("forced");
        if breaker.is_empty() {
            patch.remove("breaker");
        } else {
            patch.insert("breaker".to_owned(), Value::Object(Map::clone(breaker)));
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holding_a_breaker_keeps_what_else_operators_want() {
        let check = |held: Value, forced: Option<&str>, expect: Value| {
            assert_eq!(
                patched(&held, forced).unwrap_or_default(),
                expect,
                "{held} {forced:?}"
            );
        };
        check(
            Value::Null,
            Some("open"),
            json!({ "breaker": { "forced": "open" } }),
        );
        check(
            json!({ "timeout_ms": 5, "breaker": { "min_calls": 3, "forced": "open" } }),
            Some("closed"),
            json!({ "timeout_ms": 5, "breaker": { "min_calls": 3, "forced": "closed" } }),
        );
        check(
            json!({ "breaker": { "min_calls": 3, "forced": "open" } }),
            None,
            json!({ "breaker": { "min_calls": 3 } }),
        );
        check(json!({ "breaker": { "forced": "open" } }), None, Value::Null);
        check(json!({ "breaker": false }), None, json!({ "breaker": false }));
    }
}
