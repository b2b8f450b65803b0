//! `brick status`: how the system is and where its doors are.

use std::time::Duration;

use brick_core::ExitCode;
use serde_json::{Value, json};

use super::ps::text;
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, count, plain};

pub(crate) async fn run(agent: &Agent, output: Output) -> Outcome {
    let mut status: Value = agent.get("/v1/status").await?;
    if let Ok(link) = agent
        .post::<Value>("/v1/console-link", &json!({}), Duration::from_secs(5))
        .await
    {
        status["console_link"] = link["url"].clone();
    }
    output.value(&status, || for_people(&status, output));
    let problems = status["problems"].as_array().map_or(0, Vec::len);
    if problems > 0 {
        let message = format!("{}, see above", count(problems, "problem"));
        return Err(
            Failure::new(ExitCode::Unhealthy, message).hint("`brick logs` shows what the bricks said")
        );
    }
    Ok(())
}

fn for_people(status: &Value, output: Output) -> String {
    let ready = format!("{}/{} bricks ready", status["bricks_ready"], status["bricks"]);
    let tone = if status["ready"] == true {
        Tone::Good
    } else {
        Tone::Warn
    };
    let mut out = format!(
        "{}  {}\n",
        plain(&text(&status["system"])),
        output.out(tone, &ready)
    );
    let console = if status["console_link"].is_string() {
        &status["console_link"]
    } else {
        &status["admin_url"]
    };
    for (label, value) in [
        ("edge", &status["edge_url"]),
        ("tls", &status["edge_tls_url"]),
        ("console", console),
        ("folder", &status["dir"]),
    ] {
        if !value.is_null() {
            out.push_str(&format!("{label:<8} {}\n", plain(&text(value))));
        }
    }
    if let Some(ports) = status["ports"].as_object() {
        let list: Vec<String> = ports
            .iter()
            .map(|(name, port)| format!("{name} {port}"))
            .collect();
        out.push_str(&format!("{:<8} {}\n", "ports", plain(&list.join(", "))));
    }
    for problem in status["problems"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "{} {}\n",
            output.out(Tone::Bad, "problem "),
            plain(&text(problem))
        ));
    }
    out
}
