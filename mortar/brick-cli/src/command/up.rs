//! `brick up`: builds and runs the system of a folder, and tells what happens.
//!
//! The agent lives in this process. Where another agent runs the folder already, `up` makes that one apply the
//! manifest's difference and shows what it does; Ctrl-C then leaves the system running.

mod detach;
pub(super) mod tell;

use std::path::{Path, PathBuf};
use std::time::Duration;

use brick_core::{BrickName, drain};
use mortar_agent::events::EventKind;
use mortar_agent::{Options, Service};
use serde_json::{Value, json};

use self::tell::Teller;
use crate::agent::Agent;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, count};

pub(crate) async fn run(dir: &Path, up: cli::Up, output: Output) -> Outcome {
    let loaded = super::manifest(dir, output)?;
    if up.detach {
        return detach::run(dir, &up, output).await;
    }
    let options = options(dir, &up)?;
    let (service, handle) = match Service::open(options, loaded.model).await {
        Ok(opened) => opened,
        Err(mortar_agent::Error::AlreadyRunning { .. }) => return attach(&Agent::of(dir), &up, output).await,
        Err(error) => return Err(explain(&error)),
    };
    let (trigger, drain) = drain::channel();
    let mut events = handle.events();
    let mut teller = Teller::new(output);
    let agent = Agent::of(dir);
    let mut running = tokio::spawn(service.run(drain));
    let mut asked = false;
    let ended = loop {
        tokio::select! {
            biased;
            event = events.next() => {
                let Some(event) = event else { break running.await };
                teller.tell(&event);
                if event.kind == EventKind::AllReady {
                    tell_addresses(&agent, output).await?;
                }
            }
            ended = &mut running => break ended,
            () = stop_requested() => {
                if asked {
                    handle.hurry();
                } else {
                    trigger.drain();
                    output.progress("stopping; every brick has its time to finish, a second Ctrl-C takes it away");
                }
                asked = true;
            }
        }
    };
    teller.end();
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(teller.shorten(explain(&error))),
        Err(error) => Err(Failure::failed(format!("the agent broke off: {error}"))),
    }
}

/// A running agent applies what changed in the manifest, and its events are shown until Ctrl-C.
async fn attach(agent: &Agent, up: &cli::Up, output: Output) -> Outcome {
    let apply = json!({ "no_build": up.no_build, "watch": up.watch });
    let answer: Value = agent.post("/v1/apply", &apply, Duration::from_secs(600)).await?;
    let changes = answer["changes"].as_array().cloned().unwrap_or_default();
    output.progress(&format!(
        "already running in {}; {} applied",
        agent.dir().display(),
        count(changes.len(), "change")
    ));
    for change in &changes {
        output.progress(&format!("  {}", super::ps::text(change)));
    }
    tell_addresses(agent, output).await?;
    let mut teller = Teller::new(output);
    let follow = agent.lines("/v1/events?follow=true&past=false", |line| {
        if let Ok(event) = serde_json::from_str(line) {
            teller.tell(&event);
        }
        true
    });
    tokio::select! {
        outcome = follow => outcome,
        () = stop_requested() => {
            output.progress("detached; the system goes on, `brick down` stops it");
            Ok(())
        }
    }
}

/// The two addresses to open, the only lines of `up` on stdout.
pub(super) async fn tell_addresses(agent: &Agent, output: Output) -> Outcome {
    let status: Value = agent.get("/v1/status").await?;
    let link: Value = agent
        .post("/v1/console-link", &json!({}), Duration::from_secs(5))
        .await?;
    let answer = json!({ "edge": status["edge_url"], "console": link["url"] });
    output.value(&answer, || {
        format!(
            "edge    {}\nconsole {}",
            super::ps::text(&answer["edge"]),
            super::ps::text(&answer["console"])
        )
    });
    Ok(())
}

fn options(dir: &Path, up: &cli::Up) -> Outcome<Options> {
    let absolute = |path: &Path| {
        path.canonicalize()
            .map_err(|error| Failure::failed(format!("cannot use {}: {error}", path.display())))
    };
    let dir = absolute(dir)?;
    let only = up.only.iter().map(|name| {
        name.parse::<BrickName>()
            .map_err(|error| Failure::usage(error.to_string()))
    });
    let binary = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let target = target_dir(&dir);
    let defaults = Options::new(dir, target, binary, std::env::vars().collect());
    Ok(Options {
        only: only.collect::<Outcome<_>>()?,
        build: !up.no_build,
        watch: up.watch,
        edge: up.edge,
        console: up.console,
        ..defaults
    })
}

/// Cargo's own rule: `CARGO_TARGET_DIR`, else `target` beside the nearest `Cargo.lock` above the folder.
pub(super) fn target_dir(dir: &Path) -> PathBuf {
    if let Some(target) = std::env::var_os("CARGO_TARGET_DIR").filter(|target| !target.is_empty()) {
        let target = PathBuf::from(target);
        return if target.is_absolute() {
            target
        } else {
            dir.join(target)
        };
    }
    let workspace = dir.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    workspace.unwrap_or(dir).join("target")
}

fn explain(error: &mortar_agent::Error) -> Failure {
    let failure = Failure::failed(brick_core::chain(error));
    match error {
        mortar_agent::Error::Build { .. } => failure.hint("mend what the build says, then `brick up` again"),
        _ => failure,
    }
}

/// Ctrl-C or SIGTERM.
pub(super) async fn stop_requested() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
