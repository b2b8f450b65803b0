//! `brick prove`: the questions of disposability and replaceability, put to the system under load.
//!
//! Experiments are made one after the other, each between two steady states. What has no data has no answer: a yes needs
//! requests that reached what was disturbed, none that failed, and everything kept that clients were told of. What may
//! fail, a request under way in a process that is killed and that nobody may send twice, is counted apart.

mod act;
mod check;
mod experiment;
mod plan;
mod report;
mod served;
mod system;
#[cfg(test)]
mod tests;
mod traffic;

use std::path::{Path, PathBuf};

use brick_core::ExitCode;
use brick_model::{Load, Loaded};
use jiff::Timestamp;
use tokio::time::Instant;

use self::plan::Plan;
use self::report::Report;
use self::system::System;
use crate::agent::Agent;
use crate::cli::{Prove, ProveRun, Quality};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, count, line};

/// Where the reports of a system are kept.
fn proofs(dir: &Path) -> PathBuf {
    dir.join(".brickwork").join("proofs")
}

pub(crate) async fn run(agent: &Agent, prove: Prove, output: Output) -> Outcome {
    let (quality, run) = match prove {
        Prove::Ls => return list(agent, output),
        Prove::Disposability(run) => (Quality::Disposability, run),
        Prove::Replaceability(run) => (Quality::Replaceability, run),
    };
    if !(run.rps > 0.0 && run.rps <= 1_000.0) {
        return Err(Failure::usage(format!(
            "expected --rps above 0 and up to 1000, found {}",
            run.rps
        )));
    }
    let loaded = super::manifest(agent.dir(), output)?;
    let loads = loads(&loaded, &run)?;
    let question = "kill, replace and take away processes of the running system, under load?";
    if run.here && !output.confirm(question)? {
        output.progress("nothing was done");
        return Ok(());
    }
    let system = if run.here {
        System::here(agent, &loaded, output).await?
    } else {
        System::scratch(&loaded, run.replicas, run.no_build, output).await?
    };
    let proven = tokio::select! {
        proven = prove_it(&system, quality, &loads, &run) => proven,
        () = super::up::stop_requested() => Err(Failure::new(ExitCode::Interrupted, "interrupted")),
    };
    let folder = system.proofs();
    system.end(run.keep).await;
    let report = proven?;
    if run.list {
        return Ok(());
    }
    let path = report.store(&folder)?;
    output.value(&report, || report.text(output));
    output.progress(&format!("the evidence is in {}", path.display()));
    report.outcome()
}

/// The scenarios that load the system: those that were named, else all.
fn loads(loaded: &Loaded, run: &ProveRun) -> Outcome<Vec<Load>> {
    let known = &loaded.model.loads;
    if known.is_empty() {
        let message = "the manifest has no [load.NAME], and without load nothing is proven";
        return Err(Failure::usage(message).hint("`brick help manifest` tells what a scenario is"));
    }
    let names: Vec<&String> = match run.load.is_empty() {
        true => known.keys().collect(),
        false => run.load.iter().collect(),
    };
    let of = |name: &String| {
        known.get(name).cloned().ok_or_else(|| {
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            Failure::usage(format!("the manifest has no [load.{name}]"))
                .hint(format!("it has: {}", all.join(", ")))
        })
    };
    names.into_iter().map(of).collect()
}

async fn prove_it(system: &System, quality: Quality, loads: &[Load], run: &ProveRun) -> Outcome<Report> {
    let (at, begin) = (Timestamp::now(), Instant::now());
    let mut plan = plan::plan(quality, &system.model, &system.rows().await?, system.is_scratch());
    if run.list {
        for planned in &plan.experiments {
            line(&planned.name);
        }
    } else if !run.only.is_empty() {
        let all: Vec<String> = plan.experiments.iter().map(|one| one.name.clone()).collect();
        plan.keep(&run.only).map_err(|unknown| {
            Failure::usage(format!("there is no experiment {unknown}"))
                .hint(format!("there are: {}", all.join(", ")))
        })?;
    }
    let mut experiments = Vec::new();
    let wanted: &[plan::Planned] = if run.list { &[] } else { &plan.experiments };
    for (number, planned) in wanted.iter().enumerate() {
        let of = format!("{}/{}", number + 1, wanted.len());
        let made = experiment::run(system, loads, run.rps, planned).await;
        let told = made
            .why
            .first()
            .map(|why| format!(": {}", crate::output::plain(why)));
        system.output.progress(&format!(
            "{of} {}: {}{}",
            made.name,
            system.output.err(made.answer.tone(), made.answer.word()),
            told.unwrap_or_default()
        ));
        experiments.push(made);
    }
    let questions = plan::questions(quality);
    let partly = !run.only.is_empty();
    let (answer, questions) =
        report::judge(questions, &experiments, |number| why_none(&plan, partly, number));
    Ok(Report {
        quality: quality.word().to_owned(),
        system: system.model.system.name.to_string(),
        at,
        took_s: begin.elapsed().as_secs_f64(),
        place: if system.is_scratch() { "scratch" } else { "here" }.to_owned(),
        conditions: conditions(system, loads, run),
        complete: !partly,
        answer,
        questions,
        experiments,
    })
}

/// Why a question has no experiment; none where it was not asked.
fn why_none(plan: &Plan, partly: bool, number: usize) -> Option<String> {
    let impossible = plan.impossible.get(&number).cloned();
    impossible.filter(|_| !partly)
}

fn conditions(system: &System, loads: &[Load], run: &ProveRun) -> Vec<String> {
    let mut all = vec![format!(
        "{} at {} rounds a second each",
        count(loads.len(), "load scenario"),
        run.rps
    )];
    if system.is_scratch() {
        all.push(format!(
            "at least {} of each brick, over at least two zones, each with a twin of itself as another version",
            count(run.replicas as usize, "instance")
        ));
    }
    if experiment::any_writes(loads) {
        all.push("what a round was told of is asked for after each experiment".to_owned());
    }
    all
}

fn list(agent: &Agent, output: Output) -> Outcome {
    let reports = report::all(&proofs(agent.dir()));
    if reports.is_empty() {
        output.note("nothing was proven here yet; `brick prove disposability` begins");
    }
    output.rows(&reports, || report::table(&reports));
    Ok(())
}
