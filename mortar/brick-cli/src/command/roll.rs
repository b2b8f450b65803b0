//! `brick roll`: a brick's instances replaced one after the other, each by one that is ready before it goes.

use std::time::Duration;

use brick_core::ExitCode;
use jiff::Timestamp;
use mortar_agent::events::Event;
use serde_json::{Value, json};

use super::ps::text;
use super::up::tell::Teller;
use crate::agent::Agent;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone};

/// A roll builds, and every instance has its time to drain: this is the end of patience.
const LIMIT: Duration = Duration::from_secs(1_800);

pub(crate) async fn run(agent: &Agent, brick: &str, no_build: bool, output: Output) -> Outcome {
    let begin = Timestamp::now();
    let mut teller = Teller::new(output);
    let body = json!({ "brick": brick, "no_build": no_build });
    let told = async {
        let _ = agent
            .lines("/v1/events?follow=true&past=false", |line| {
                match serde_json::from_str::<Event>(line) {
                    Ok(event) if event.ts >= begin => teller.tell(&event),
                    _ => {}
                }
                true
            })
            .await;
        std::future::pending::<()>().await;
    };
    let answer: Value = tokio::select! {
        answer = agent.post("/v1/roll", &body, LIMIT) => answer,
        () = told => Err(Failure::failed("the events ended")),
        _ = tokio::signal::ctrl_c() => Err(Failure::new(
            ExitCode::Interrupted,
            format!("no longer waiting; the agent goes on rolling {brick}"),
        )
        .hint("`brick ps --follow` shows how far it is")),
    }
    .map_err(|failure| teller.shorten(failure))
    .map_err(|failure| match failure.hint {
        None => failure.hint(format!(
            "the instances that were there stay; `brick logs {brick}` shows what the new one said"
        )),
        Some(_) => failure,
    })?;
    teller.end();
    output.value(&answer, || {
        let replaced: Vec<String> = answer["replaced"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        let done = output.out(Tone::Good, "rolled");
        format!("{done} {brick}: {}", replaced.join(", "))
    });
    Ok(())
}
