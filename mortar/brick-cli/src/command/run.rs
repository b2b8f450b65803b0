//! `brick run`: a command as a one-off process of a brick, with its config, state and token (an admin process).

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use crate::agent::{Agent, query};
use crate::cli;
use crate::failure::{Failure, Outcome};

/// What the agent says such a process gets.
#[derive(Deserialize)]
struct Environment {
    dir: PathBuf,
    env: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    before: Vec<String>,
}

pub(crate) async fn run(agent: &Agent, run: cli::Run) -> Outcome {
    let path = format!("/v1/env{}", query(&[("brick", Some(run.brick.clone()))]));
    let given: Environment = agent.get(&path).await?;
    let Some((program, arguments)) = run.command.split_first() else {
        return Err(Failure::usage("expected a command after --").hint("such as: brick run order -- env"));
    };
    let mut command = match given.before.split_first() {
        None => Command::new(program),
        Some((first, words)) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    };
    command.args(arguments).current_dir(&given.dir).envs(given.env);
    // The process becomes the command: signals, terminal and exit code are the command's own.
    let error = command.exec();
    let what = program.to_string_lossy();
    let hint = format!(
        "it is looked for in PATH and, with a slash, from {}",
        given.dir.display()
    );
    Err(Failure::failed(format!("cannot run `{what}`: {error}")).hint(hint))
}
