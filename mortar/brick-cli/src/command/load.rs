//! `brick load`: a scenario of the manifest as an open loop.
//!
//! Rounds start on a fixed schedule whether or not earlier ones have ended, and a round's time counts from when it
//! was due, not from when it got its turn: a system that stalls cannot hide it (coordinated omission).

pub(super) mod round;

use std::sync::Arc;
use std::time::Duration;

use brick_core::ExitCode;
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::round::{Failures, Scenario};
use super::steps::reach;
use crate::agent::Agent;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, Tone, count};
use crate::patience::Patience;

/// Rounds under way at the same time; a round that finds no place counts as failed.
const ROUNDS_MAX: usize = 2_000;
/// Longest time told, in microseconds.
const MICROS_MAX: u64 = 120_000_000;

/// What is told.
#[derive(Debug, Serialize)]
struct Report {
    scenario: String,
    rounds: u64,
    requests: u64,
    errors: u64,
    rps: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    failures: Failures,
}

pub(crate) async fn run(agent: &Agent, load: cli::Load, output: Output) -> Outcome {
    if !(load.rps > 0.0 && load.rps <= 100_000.0) {
        return Err(Failure::usage(format!(
            "expected --rps above 0 and up to 100000, found {}",
            load.rps
        )));
    }
    let manifest = super::manifest(agent.dir(), output)?;
    let names: Vec<&str> = manifest.model.loads.keys().map(String::as_str).collect();
    let Some(scenario) = manifest.model.loads.get(&load.scenario) else {
        let message = format!("the manifest has no [load.{}]", load.scenario);
        return Err(Failure::usage(message).hint(format!("it has: {}", names.join(", "))));
    };
    let target = match &load.target {
        Some(target) => target.clone(),
        None => agent.get::<serde_json::Value>("/v1/status").await?["edge_url"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    let client = crate::tls::client(&target, load.ca.as_deref())?;
    let patience = Patience::new(output);
    reach("the edge", &client, &target, &patience).await?;
    let scenario = Arc::new(Scenario::new(scenario.clone(), &target, client));
    scenario.set_up(agent, &patience).await?;
    let report = drive(&load, scenario, output).await?;
    output.value(&report, || for_people(&report, output));
    if report.errors > 0 && report.errors * 2 >= report.rounds {
        let message = format!("{} of {} rounds failed", report.errors, report.rounds);
        return Err(Failure::new(ExitCode::Unhealthy, message).hint("`brick trace ls --errors` shows where"));
    }
    Ok(())
}

async fn drive(load: &cli::Load, scenario: Arc<Scenario>, output: Output) -> Outcome<Report> {
    let every = Duration::from_secs_f64(1.0 / load.rps);
    let total = (load.duration.0.as_secs_f64() * load.rps).round().max(1.0) as u32;
    output.progress(&format!(
        "{}: {} rounds a second for {}",
        load.scenario, load.rps, load.duration
    ));
    let places = Arc::new(Semaphore::new(ROUNDS_MAX));
    let begin = Instant::now();
    let mut rounds = JoinSet::new();
    let mut tally = Tally::new()?;
    for number in 0..total {
        let due = begin + every * number;
        tokio::time::sleep_until(due).await;
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let scenario = Arc::clone(&scenario);
                rounds.spawn(async move {
                    let outcome = scenario.round().await;
                    drop(place);
                    (outcome, due.elapsed())
                });
            }
            Err(_) => tally.refused(),
        }
        while let Some(ended) = rounds.try_join_next() {
            tally.add(ended.ok());
        }
    }
    while let Some(ended) = rounds.join_next().await {
        tally.add(ended.ok());
    }
    Ok(tally.report(&load.scenario, begin.elapsed()))
}

/// What the rounds come to.
struct Tally {
    times: Histogram<u64>,
    rounds: u64,
    requests: u64,
    failures: Failures,
    errors: u64,
}

impl Tally {
    fn new() -> Result<Self, Failure> {
        let times = Histogram::new_with_bounds(1, MICROS_MAX, 3)
            .map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Self {
            times,
            rounds: 0,
            requests: 0,
            failures: Failures::default(),
            errors: 0,
        })
    }

    fn refused(&mut self) {
        self.rounds += 1;
        self.errors += 1;
        *self
            .failures
            .entry(format!("more than {ROUNDS_MAX} rounds under way"))
            .or_default() += 1;
    }

    fn add(&mut self, ended: Option<(round::Ended, Duration)>) {
        self.rounds += 1;
        let Some((ended, time)) = ended else {
            self.errors += 1;
            return;
        };
        self.requests += ended.requests;
        if let Some(failure) = ended.failure {
            self.errors += 1;
            *self.failures.entry(failure).or_default() += 1;
        }
        self.times
            .saturating_record(time.as_micros().min(u128::from(MICROS_MAX)) as u64);
    }

    fn report(self, scenario: &str, took: Duration) -> Report {
        let ms = |quantile: f64| self.times.value_at_quantile(quantile) as f64 / 1_000.0;
        Report {
            scenario: scenario.to_owned(),
            rounds: self.rounds,
            requests: self.requests,
            errors: self.errors,
            rps: (self.rounds as f64 / took.as_secs_f64() * 10.0).round() / 10.0,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            max_ms: self.times.max() as f64 / 1_000.0,
            failures: self.failures,
        }
    }
}

fn for_people(report: &Report, output: Output) -> String {
    let tone = if report.errors == 0 { Tone::Good } else { Tone::Bad };
    let errors = output.out(tone, &count(report.errors as usize, "error"));
    let mut out = format!(
        "{} rounds ({} requests) at {}/s, {errors}\np50 {:.1} ms  p90 {:.1} ms  p99 {:.1} ms  max {:.1} ms\n",
        report.rounds,
        report.requests,
        report.rps,
        report.p50_ms,
        report.p90_ms,
        report.p99_ms,
        report.max_ms
    );
    for (failure, count) in &report.failures {
        out.push_str(&format!("{count:>6} × {}\n", crate::output::plain(failure)));
    }
    out
}
