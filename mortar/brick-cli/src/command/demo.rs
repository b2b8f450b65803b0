//! `brick demo`: what the manifest has to show, switched on and off by numbers of instances.

use std::time::Duration;

use brick_core::{BrickRef, ExitCode};
use brick_model::Model;
use brick_model::model::Demo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::agent::Agent;
use crate::cli::Switch;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Table, Tone, count};

/// How long the agent may take to scale, and instances to become ready.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether they are.
const POLL: Duration = Duration::from_millis(50);

/// A demo as it is told.
#[derive(Debug, Serialize)]
struct Told {
    demo: String,
    /// `on`, `off`, or `partly` where only some numbers are those of the demo; `down` where nothing runs.
    state: &'static str,
    about: String,
    scale: Value,
}

pub(crate) async fn run(
    agent: &Agent,
    name: Option<&str>,
    switch: Option<Switch>,
    output: Output,
) -> Outcome {
    let loaded = super::manifest(agent.dir(), output)?;
    let model = &loaded.model;
    let Some(name) = name else {
        let rows = agent.get::<Vec<Value>>("/v1/ps").await.ok();
        let all: Vec<Told> = model
            .demos
            .iter()
            .map(|(name, demo)| told(name, demo, model, rows.as_deref()))
            .collect();
        output.rows(&all, || table(&all));
        return Ok(());
    };
    let Some(demo) = model.demos.get(name) else {
        let names: Vec<&str> = model.demos.keys().map(String::as_str).collect();
        let message = format!("the manifest has no [demo.{name}]");
        return Err(Failure::usage(message).hint(format!("it has: {}", names.join(", "))));
    };
    let rows: Vec<Value> = match switch {
        Some(switch) => {
            let wanted = |what: &BrickRef, number: u32| match switch {
                Switch::On => number,
                Switch::Off => usual(model, what),
            };
            let counts: Vec<(&BrickRef, u32)> = demo
                .scale
                .iter()
                .map(|(what, number)| (what, wanted(what, *number)))
                .collect();
            for (what, number) in &counts {
                let body = json!({ "brick": what, "replicas": number });
                agent.post::<Value>("/v1/scale", &body, LIMIT).await?;
                output.progress(&format!("{what}: {}", count(*number as usize, "instance")));
            }
            settled(agent, &counts).await?
        }
        None => agent.get("/v1/ps").await?,
    };
    let told = told(name, demo, model, Some(&rows));
    output.value(&told, || {
        format!(
            "{} is {}: {}",
            told.demo,
            output.out(tone(told.state), told.state),
            told.about
        )
    });
    Ok(())
}

/// Waits until as many instances are ready as are wanted, and no more are left.
async fn settled(agent: &Agent, counts: &[(&BrickRef, u32)]) -> Outcome<Vec<Value>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let rows: Vec<Value> = agent.get("/v1/ps").await?;
        let late = counts.iter().find(|(what, number)| {
            let ready = instances(&rows, what)
                .filter(|row| row["state"] == "ready")
                .count();
            ready != *number as usize || running(&rows, what) != *number
        });
        let Some((what, number)) = late else {
            return Ok(rows);
        };
        if Instant::now() > deadline {
            let message = format!(
                "{what} has not {} after {} s",
                count(*number as usize, "ready instance"),
                LIMIT.as_secs()
            );
            let hint = format!("`brick ps` shows their states, `brick logs {what}` what they say");
            return Err(Failure::new(ExitCode::Unhealthy, message).hint(hint));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Instances that the manifest gives a brick, or a version of it, without any demo.
fn usual(model: &Model, what: &BrickRef) -> u32 {
    let brick = model.bricks.get(&what.brick);
    let version = brick.and_then(|brick| brick.of_version(what.version.as_ref()));
    version.map_or(0, |brick| brick.replicas.min())
}

fn instances<'r>(rows: &'r [Value], what: &BrickRef) -> impl Iterator<Item = &'r Value> {
    let prefix = format!("{what}/");
    rows.iter().filter(move |row| {
        let instance = row["instance"].as_str().unwrap_or_default();
        instance.starts_with(&prefix)
    })
}

/// Instances that run, or try to.
fn running(rows: &[Value], what: &BrickRef) -> u32 {
    let there = instances(rows, what).filter(|row| row["state"] != "stopped" && row["state"] != "skipped");
    u32::try_from(there.count()).unwrap_or(u32::MAX)
}

fn told(name: &str, demo: &Demo, model: &Model, rows: Option<&[Value]>) -> Told {
    let state = match rows {
        None => "down",
        Some(rows) => state(demo, model, rows),
    };
    Told {
        demo: name.to_owned(),
        state,
        about: demo.about.clone(),
        scale: json!(demo.scale),
    }
}

fn state(demo: &Demo, model: &Model, rows: &[Value]) -> &'static str {
    let all = |wanted: &dyn Fn(&BrickRef, u32) -> u32| {
        demo.scale
            .iter()
            .all(|(what, number)| running(rows, what) == wanted(what, *number))
    };
    if all(&|_, number| number) {
        "on"
    } else if all(&|what, _| usual(model, what)) {
        "off"
    } else {
        "partly"
    }
}

fn table(all: &[Told]) -> Table {
    let mut table = Table::new(&["demo", "state", "about"]);
    for told in all {
        table.row(vec![
            (told.demo.clone(), Tone::Plain),
            (told.state.to_owned(), tone(told.state)),
            (told.about.clone(), Tone::Plain),
        ]);
    }
    table
}

fn tone(state: &str) -> Tone {
    match state {
        "on" => Tone::Good,
        "partly" => Tone::Warn,
        _ => Tone::Dim,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_is_on_when_its_numbers_hold_and_off_when_those_of_the_manifest_do() {
        let text = "brickwork = 1\n[system]\nname = \"shop\"\n[brick.payment]\nrun = \"p\"\nreplicas = 2\n\
                    [brick.payment.version.v2]\nrun = \"p2\"\n\
                    [demo.fault]\nabout = \"A fault.\"\nscale = { \"payment@v2\" = 1, payment = 1 }\n";
        let model = brick_model::parse(text, "brick.toml").unwrap();
        let check = |instances: &[(&str, &str)], expect: &str| {
            let rows: Vec<Value> = instances
                .iter()
                .map(|(instance, state)| json!({ "instance": instance, "state": state }))
                .collect();
            assert_eq!(
                state(&model.demos["fault"], &model, &rows),
                expect,
                "{instances:?}"
            );
        };
        check(&[("payment/1", "ready"), ("payment/2", "ready")], "off");
        check(&[("payment/1", "ready"), ("payment@v2/1", "starting")], "on");
        check(
            &[
                ("payment/1", "ready"),
                ("payment/2", "stopped"),
                ("payment@v2/1", "ready"),
            ],
            "on",
        );
        check(&[("payment/1", "ready")], "partly");
    }
}
