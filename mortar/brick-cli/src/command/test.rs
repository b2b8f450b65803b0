//! `brick test`: the manifest's acceptance suites against the running system, another environment, or one brick alone.
//!
//! One suite for every environment, production too: what it sends is marked synthetic, so that figures and maps leave
//! it out, and only a suite that says `production = true` is let at production.

mod alone;
mod report;
mod suite;
mod target;

use std::path::Path;

use brick_core::{BrickName, ExitCode};
use brick_model::suite::LOCAL;
use brick_model::{Model, Suite};

use self::alone::Alone;
use self::report::Ran;
use self::target::Target;
use crate::agent::Agent;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, count};

/// What is to run.
#[derive(Debug)]
struct Picked<'m> {
    /// The brick that runs alone; the whole system where there is none.
    brick: Option<BrickName>,
    /// Suites by name.
    suites: Vec<(&'m str, &'m Suite)>,
}

pub(crate) async fn run(dir: &Path, test: cli::Test, output: Output) -> Outcome {
    let loaded = super::manifest(dir, output)?;
    let picked = pick(&loaded.model, test.name.as_deref())?;
    let ran = match &picked.brick {
        Some(_) if test.env != LOCAL => {
            let message = "a brick alone is started here, it has no environment";
            return Err(
                Failure::usage(message).hint("leave --env out, or name a suite about the whole system")
            );
        }
        Some(brick) => {
            let alone = Alone::prepare(&loaded, brick)?;
            let outcome = interruptible(async {
                let target = alone.start(test.no_build, output).await?;
                suite::all(&target, &picked.suites, &loaded.dir, output).await
            });
            let outcome = outcome.await;
            alone.end(test.keep, output).await;
            outcome?
        }
        None => {
            let suites = permitted(&loaded.model, &test, picked.suites, output)?;
            let agent = Agent::of(dir);
            interruptible(async {
                let ca = test.ca.as_deref();
                let target = Target::environment(&loaded.model, &test.env, ca, &agent, output).await?;
                suite::all(&target, &suites, &loaded.dir, output).await
            })
            .await?
        }
    };
    told(&ran, &test, output)
}

/// The table of results, the report, and how it ends.
fn told(ran: &[Ran], test: &cli::Test, output: Output) -> Outcome {
    output.rows(ran, || report::table(ran));
    if let Some(file) = &test.report {
        let written = std::fs::write(file, report::junit(ran));
        written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
    }
    let failed = ran.iter().filter(|ran| !ran.passed).count();
    if failed > 0 {
        let hint = match ran.iter().any(|ran| ran.brick.is_some()) {
            true => "`--keep` leaves the brick and its mocks running, to look into",
            false => "what failed is above, with its trace: `brick trace show ID`",
        };
        let message = format!("{failed} of {} failed", count(ran.len(), "suite"));
        return Err(Failure::failed(message).hint(hint));
    }
    Ok(())
}

/// A suite by its name, every suite about a brick by the brick's, or every suite about the whole system.
fn pick<'m>(model: &'m Model, name: Option<&str>) -> Outcome<Picked<'m>> {
    let all = model.tests.iter().map(|(name, suite)| (name.as_str(), suite));
    let Some(name) = name else {
        let suites: Vec<_> = all.filter(|(_, suite)| suite.brick.is_none()).collect();
        if suites.is_empty() {
            let message = "the manifest has no suite about the whole system";
            return Err(Failure::usage(message).hint("add [test.NAME] with steps = [ { get = \"/…\" } ]"));
        }
        return Ok(Picked { brick: None, suites });
    };
    if let Some((name, suite)) = model.tests.get_key_value(name) {
        let brick = suite.brick.clone();
        return Ok(Picked {
            brick,
            suites: vec![(name, suite)],
        });
    }
    if let Some((brick, _)) = model.running().find(|(brick, _)| brick.as_str() == name) {
        let suites: Vec<_> = all
            .filter(|(_, suite)| suite.brick.as_ref() == Some(brick))
            .collect();
        if suites.is_empty() {
            let message = format!("no suite is about {brick}");
            let hint = format!("add [test.NAME] with brick = \"{brick}\" and steps = [ {{ get = \"/…\" }} ]");
            return Err(Failure::usage(message).hint(hint));
        }
        return Ok(Picked {
            brick: Some(brick.clone()),
            suites,
        });
    }
    let suites: Vec<&str> = model.tests.keys().map(String::as_str).collect();
    let message = format!("\"{name}\" is neither a suite nor a brick");
    Err(Failure::usage(message).hint(format!(
        "suites: {}; a brick's name runs the suites about it",
        suites.join(", ")
    )))
}

/// The suites that the environment lets in. A suite that was named and is not let in is an error, exit code 4.
fn permitted<'m>(
    model: &Model,
    test: &cli::Test,
    suites: Vec<(&'m str, &'m Suite)>,
    output: Output,
) -> Outcome<Vec<(&'m str, &'m Suite)>> {
    let production = model
        .environments
        .get(&test.env)
        .is_some_and(|env| env.production);
    if !production {
        return Ok(suites);
    }
    let (inside, outside): (Vec<_>, Vec<_>) = suites.into_iter().partition(|(_, suite)| suite.production);
    let names: Vec<&str> = outside.iter().map(|(name, _)| *name).collect();
    if inside.is_empty() || (test.name.is_some() && !outside.is_empty()) {
        let message = format!(
            "{} is production, and {} may not run there",
            test.env,
            names.join(", ")
        );
        let hint = "say production = true in a suite that does no harm there, \
                    or production = false in [env.NAME] where it is none";
        return Err(Failure::new(ExitCode::Refused, message).hint(hint));
    }
    if !outside.is_empty() {
        output.progress(&format!("left out in production: {}", names.join(", ")));
    }
    Ok(inside)
}

/// Ends with exit code 130 on Ctrl-C.
async fn interruptible<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(ExitCode::Interrupted, "interrupted")),
    }
}

#[cfg(test)]
mod tests;
