//! One experiment: a steady state, a disturbance, a steady state again; what failed in between, and what was kept.

use std::sync::Arc;
use std::time::Duration;

use brick_model::Load;
use jiff::Timestamp;
use tokio::time::Instant;

use super::act::{Done, Lab, Stop, act};
use super::check::{kept, writes};
use super::plan::Planned;
use super::report::{Answer, Experiment, Kept};
use super::served::Served;
use super::system::System;
use super::traffic::Traffic;
use crate::command::load::round::Scenario;
use crate::failure::Outcome;
use crate::output::Output;
use crate::patience::Patience;

/// Length of a window without a failure that counts as steady, and the rounds that it needs at least.
const STEADY: Duration = Duration::from_secs(1);
const ROUNDS_MIN: u64 = 5;
/// How long a steady state is waited for.
const STEADY_WITHIN: Duration = Duration::from_secs(20);
/// How long telemetry may take to tell that the load reached the brick.
const REACHED_WITHIN: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(20);
/// Traces of failures whose log lines are kept, and lines of each.
const TRACES: usize = 3;
const LINES: usize = 6;

/// Makes the experiment with this load.
pub(super) async fn run(system: &System, loads: &[Load], per_second: f64, planned: &Planned) -> Experiment {
    let mut experiment = blank(planned);
    let served = Served::follow(system);
    let scenarios = match scenarios(system, loads).await {
        Ok(scenarios) => scenarios,
        Err(failure) => return unanswered(experiment, format!("the load cannot begin: {failure}")),
    };
    let traffic = Traffic::start(&scenarios, per_second);
    let p99 = match steady(&traffic, Instant::now()).await {
        Ok(p99) => p99,
        Err(why) => {
            traffic.stop().await;
            return unanswered(
                experiment,
                format!("before anything was done, the load did not get through: {why}"),
            );
        }
    };
    experiment.p99_before_ms = p99;
    let lab = Lab {
        system,
        traffic: &traffic,
        served: &served,
    };
    let (begin, mut done) = (Instant::now(), Done::default());
    experiment.at = Timestamp::now();
    let mut stops: Vec<Stop> = act(&lab, &planned.action, &mut done)
        .await
        .err()
        .into_iter()
        .collect();
    stops.extend(system.whole(&done.replaced).await.err().map(Stop::Fails));
    experiment.whole_ms = begin.elapsed().as_secs_f64() * 1e3;
    if let Err(why) = steady(&traffic, Instant::now()).await {
        stops.push(Stop::Fails(format!(
            "the load does not get through any more: {why}"
        )));
    }
    let end = Instant::now();
    if let Some(brick) = &planned.brick
        && !reached(&served, brick.as_str(), experiment.at).await
    {
        stops.push(Stop::Unanswered(format!(
            "no request of the load was seen at {brick}"
        )));
    }
    weigh(&mut experiment, &traffic, (begin, end), &done);
    experiment.events = system.events(experiment.at).await;
    let ended = traffic.stop().await;
    if ended.overflow {
        stops.push(Stop::Unanswered(
            "more requests were made than are kept".to_owned(),
        ));
    }
    if served.dropped() > 0 && planned.brick.is_some() {
        let told = format!("telemetry could not tell {} requests", served.dropped());
        experiment.seen.push(told);
    }
    match kept(system, &scenarios, &ended.done).await {
        Ok(kept) => experiment.kept = kept,
        Err(failure) => {
            let told = format!("what was acknowledged could not be asked for: {failure}");
            stops.push(Stop::Unanswered(told));
        }
    }
    evidence(system, &mut experiment).await;
    experiment.commands = done.commands;
    experiment.seen.extend(done.seen);
    conclude(experiment, stops)
}

/// What the load came to between the two moments.
fn weigh(experiment: &mut Experiment, traffic: &Traffic, (begin, end): (Instant, Instant), done: &Done) {
    let window = traffic.window(begin, end, &done.cuts);
    (experiment.rounds, experiment.requests) = (window.rounds, window.requests);
    (experiment.failed, experiment.in_flight) = (window.failed, window.in_flight);
    experiment.failing_ms = window.failing.as_secs_f64() * 1e3;
    experiment.p99_ms = window.p99_ms;
    experiment.failures = traffic.failures(begin, &done.cuts);
}

/// The answer: no where there was a consequence, none where something is missing, else yes.
pub(super) fn conclude(mut experiment: Experiment, stops: Vec<Stop>) -> Experiment {
    let mut answer = Answer::Holds;
    let mut why = Vec::new();
    let mut worse = |than: Answer, told: String| {
        answer = answer.max(than);
        why.push(told);
    };
    for stop in stops {
        match stop {
            Stop::Fails(told) => worse(Answer::Fails, told),
            Stop::Unanswered(told) => worse(Answer::Unanswered, told),
        }
    }
    if experiment.failed > 0 {
        let first = experiment
            .failures
            .iter()
            .find(|one| one.class == super::report::Class::Failed);
        let first = first.map_or(String::new(), |one| {
            let trace = one
                .trace_id
                .as_deref()
                .map(|id| format!(" (trace {id})"))
                .unwrap_or_default();
            format!(", the first: {} {}{trace}", one.what, one.kind)
        });
        worse(
            Answer::Fails,
            format!("{} requests failed{first}", experiment.failed),
        );
    }
    if experiment.kept.lost > 0 {
        let first = experiment.kept.told.first().cloned().unwrap_or_default();
        worse(
            Answer::Fails,
            format!(
                "{} acknowledged rounds are lost, the first: {first}",
                experiment.kept.lost
            ),
        );
    }
    if experiment.kept.unchecked > 0 {
        let told = "a scenario writes and has no check, so nobody knows whether what it was told is kept; \
                    add check = […] to its [load.NAME]";
        worse(Answer::Unanswered, told.to_owned());
    }
    if experiment.requests == 0 {
        worse(
            Answer::Unanswered,
            "no request of the load ended meanwhile".to_owned(),
        );
    }
    (experiment.answer, experiment.why) = (answer, why);
    experiment
}

fn blank(planned: &Planned) -> Experiment {
    Experiment {
        name: planned.name.clone(),
        question: planned.question,
        answer: Answer::Unanswered,
        why: Vec::new(),
        at: Timestamp::now(),
        commands: Vec::new(),
        seen: Vec::new(),
        rounds: 0,
        requests: 0,
        failed: 0,
        in_flight: 0,
        failing_ms: 0.0,
        whole_ms: 0.0,
        p99_before_ms: 0.0,
        p99_ms: 0.0,
        kept: Kept::default(),
        failures: Vec::new(),
        events: Vec::new(),
        lines: Vec::new(),
    }
}

fn unanswered(experiment: Experiment, why: String) -> Experiment {
    conclude(experiment, vec![Stop::Unanswered(why)])
}

/// Each scenario prepared anew, so that no token grows old.
async fn scenarios(system: &System, loads: &[Load]) -> Outcome<Vec<Arc<Scenario>>> {
    let client = crate::tls::client(&system.edge, None)?;
    let quiet = Output {
        quiet: true,
        ..system.output
    };
    let mut all = Vec::new();
    for load in loads {
        let scenario = Scenario::new(load.clone(), &system.edge, client.clone());
        scenario.set_up(&system.agent, &Patience::new(quiet)).await?;
        all.push(Arc::new(scenario));
    }
    Ok(all)
}

/// Waits for a window without a failure; the 99th percentile in it, or what failed in the last one.
async fn steady(traffic: &Traffic, since: Instant) -> Result<f64, String> {
    let deadline = Instant::now() + STEADY_WITHIN;
    let mut from = since;
    loop {
        tokio::time::sleep(POLL).await;
        let now = Instant::now();
        let window = traffic.window(from, now, &[]);
        let failed = window.failed + window.in_flight;
        if failed == 0 && window.rounds >= ROUNDS_MIN && now - from >= STEADY {
            return Ok(window.p99_ms);
        }
        if now > deadline {
            return Err(match traffic.failures(from, &[]).last() {
                Some(last) => format!("{} {}", last.what, last.kind),
                None => format!(
                    "{} rounds ended in {:.0} s",
                    window.rounds,
                    (now - from).as_secs_f64()
                ),
            });
        }
        if failed > 0 {
            from = now;
        }
    }
}

async fn reached(served: &Served, brick: &str, since: Timestamp) -> bool {
    let deadline = Instant::now() + REACHED_WITHIN;
    while !served.reached(brick, since) {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

/// What the bricks logged about the first requests that failed.
async fn evidence(system: &System, experiment: &mut Experiment) {
    let traces = experiment
        .failures
        .iter()
        .filter_map(|failed| failed.trace_id.clone());
    let traces: Vec<String> = traces.take(TRACES).collect();
    for trace in traces {
        experiment.lines.extend(system.lines(&trace, LINES).await);
    }
}

/// Whether rounds of any of these leave something behind.
pub(super) fn any_writes(loads: &[Load]) -> bool {
    loads.iter().any(writes)
}
