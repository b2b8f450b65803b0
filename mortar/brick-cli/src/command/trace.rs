//! `brick trace`: where one request went, as a list and as a tree with its logs.

mod diff;
mod export;
mod tree;

use serde_json::Value;

use super::ps::text;
use crate::agent::{Admin, Agent, query};
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output, Table, Tone, line};

pub(crate) async fn run(agent: &Agent, trace: cli::Trace, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    match trace {
        cli::Trace::Ls {
            service,
            operation,
            errors,
            min,
            since,
            limit,
        } => {
            let path = query(&[
                ("service", service),
                ("operation", operation),
                ("error", errors.then(|| "true".to_owned())),
                ("min_duration_ms", min.map(|span| span.0.as_millis().to_string())),
                ("since", Some(since.to_string())),
                ("limit", Some(limit.to_string())),
            ]);
            list(&admin, &path, output).await
        }
        cli::Trace::Show { trace_id } => {
            let trace = fetch(&admin, &trace_id).await?;
            output.value(&trace, || tree::draw(&trace, output));
            Ok(())
        }
        cli::Trace::Diff { before, after } => {
            let (before, after) = (fetch(&admin, &before).await?, fetch(&admin, &after).await?);
            diff::tell(&before, &after, output);
            Ok(())
        }
        cli::Trace::Export { trace_id, form } => {
            let trace = fetch(&admin, &trace_id).await?;
            let document = match form {
                cli::TraceForm::Otlp => export::otlp(&trace),
                cli::TraceForm::Jaeger => export::jaeger(&trace),
            };
            // The same in every format: another tool reads it.
            let text = match output.format {
                Format::Ndjson => serde_json::to_string(&document),
                _ => serde_json::to_string_pretty(&document),
            };
            line(&text.unwrap_or_default());
            Ok(())
        }
    }
}

async fn list(admin: &Admin, path: &str, output: Output) -> Outcome {
    let page: Value = admin.get(&format!("/api/telemetry/v1/traces{path}")).await?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    output.rows(&items, || {
        let mut table = Table::new(&["trace", "start", ">ms", ">spans", "root", "bricks"]);
        for item in &items {
            let services = item["services"].as_array().into_iter().flatten();
            let names: Vec<String> = services.map(|service| text(&service["name"])).collect();
            let tone = if item["error"] == true {
                Tone::Bad
            } else {
                Tone::Plain
            };
            let start = text(&item["start"]);
            table.row(vec![
                (text(&item["trace_id"]), Tone::Plain),
                (start.get(11..23).unwrap_or(&start).to_owned(), Tone::Dim),
                (
                    format!("{:.1}", item["duration_ms"].as_f64().unwrap_or(0.0)),
                    Tone::Plain,
                ),
                (text(&item["spans"]), Tone::Plain),
                (
                    format!(
                        "{} {}",
                        text(&item["root_service"]),
                        text(&item["root_operation"])
                    ),
                    tone,
                ),
                (names.join(" "), Tone::Dim),
            ]);
        }
        table
    });
    Ok(())
}

/// One whole trace by its id, or the newest.
async fn fetch(admin: &Admin, trace_id: &str) -> Outcome<Value> {
    let trace_id = if trace_id == "last" {
        newest(admin).await?
    } else {
        trace_id.to_ascii_lowercase()
    };
    if trace_id.len() != 32 || !trace_id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let message = format!("a trace id is 32 hexadecimal digits, found \"{trace_id}\"");
        return Err(Failure::usage(message).hint("`brick trace ls` lists them"));
    }
    admin.get(&format!("/api/telemetry/v1/traces/{trace_id}")).await
}

async fn newest(admin: &Admin) -> Outcome<String> {
    let page: Value = admin.get("/api/telemetry/v1/traces?limit=1").await?;
    let id = page["items"][0]["trace_id"].as_str().map(ToOwned::to_owned);
    id.ok_or_else(|| Failure::failed("no trace is stored yet").hint("send a request to the edge first"))
}
