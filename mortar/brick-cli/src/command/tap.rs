//! `brick tap`: the requests at a brick's door as they are answered.

use brick_wire::sse;
use serde_json::Value;

use super::ps::text;
use super::up::stop_requested;
use crate::agent::{Agent, query};
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Output, Tone, line, plain};

pub(crate) async fn run(agent: &Agent, tap: cli::Tap, output: Output) -> Outcome {
    let admin = agent.admin().await?;
    known(agent, &tap.brick).await?;
    let is_instance = tap.brick.contains('/');
    let path = format!(
        "/api/telemetry/v1/requests/tail{}",
        query(&[
            ("brick", (!is_instance).then(|| tap.brick.clone())),
            ("instance", is_instance.then(|| tap.brick.clone())),
            ("caller", tap.from.clone()),
            ("route", tap.route.clone()),
            ("error", tap.errors.then(|| "true".to_owned())),
            (
                "min_duration_ms",
                tap.min.map(|span| (span.0.as_secs_f64() * 1e3).to_string())
            ),
        ])
    );
    output.progress(&format!(
        "requests at {}, as they are answered; Ctrl-C ends",
        plain(&tap.brick)
    ));
    let mut left = tap.limit.unwrap_or(u64::MAX);
    let mut show = |event: &sse::Event| {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let one;
        let requests: &[Value] = match (event.event.as_str(), data.as_array()) {
            ("requests", Some(many)) => many,
            ("request", None) => {
                one = [data];
                &one
            }
            ("dropped", None) => {
                output.note(&format!(
                    "{} requests were passed over: too many at once",
                    text(&data["dropped"])
                ));
                &[]
            }
            _ => &[],
        };
        for request in requests {
            if left == 0 {
                break;
            }
            left -= 1;
            line(&match output.format {
                Format::Table => for_people(request, output),
                _ => request.to_string(),
            });
        }
        left > 0
    };
    tokio::select! {
        outcome = admin.events(&path, &mut show) => outcome,
        () = stop_requested() => Ok(()),
    }
}

/// A name that nothing has would be waited for in vain.
async fn known(agent: &Agent, wanted: &str) -> Outcome {
    let rows: Vec<Value> = agent.get("/v1/ps").await?;
    let key = if wanted.contains('/') { "instance" } else { "brick" };
    if rows.iter().any(|row| row[key] == wanted) {
        return Ok(());
    }
    let message = format!("there is no {key} \"{}\"", plain(wanted));
    Err(Failure::failed(message).hint("`brick ps` lists bricks and instances"))
}

/// One request as people read it: time of day, instance, status, duration, method and route, caller, trace.
fn for_people(request: &Value, output: Output) -> String {
    let ts = text(&request["ts"]);
    let clock = ts.get(11..23).unwrap_or(&ts);
    let status = request["status"].as_u64().unwrap_or(0);
    let tone = match status {
        _ if request["error"] == true => Tone::Bad,
        400.. => Tone::Warn,
        _ => Tone::Good,
    };
    let route = match request["route"].as_str() {
        Some(route) => route.to_owned(),
        None => text(&request["path"]),
    };
    let caller = request["caller"].as_str().unwrap_or("–");
    let took = request["duration_ms"].as_f64().unwrap_or(0.0);
    format!(
        "{} {} {} {:>9} {} {} {}",
        output.out(Tone::Dim, &plain(clock)),
        output.out(Tone::Good, &format!("{:<16}", plain(&text(&request["instance"])))),
        output.out(tone, &format!("{status:>3}")),
        format!("{took:.1} ms"),
        plain(&format!("{:<6} {route}", text(&request["method"]))),
        output.out(Tone::Dim, &format!("from {}", plain(caller))),
        output.out(Tone::Dim, &plain(&text(&request["trace_id"]))),
    )
}
