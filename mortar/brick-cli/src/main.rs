//! The `brick` binary: command line and composition root.
//!
//! The only place of the platform that reads arguments and environment. A command is a module of [`command`]; a role
//! of the platform is composed in [`serve`] from the crates that implement it, which never import each other.

mod agent;
mod cli;
mod command;
mod failure;
mod output;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::failure::Outcome;
use crate::output::{Output, Tone};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let output = Output::new(cli.global.format, cli.global.color, no_color, cli.global.quiet);
    match run(cli, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{} {failure}", output.err(Tone::Bad, "error:"));
            if let Some(hint) = &failure.hint {
                eprintln!("{} {hint}", output.err(Tone::Dim, " hint:"));
            }
            ExitCode::from(failure.code as u8)
        }
    }
}

fn run(cli: Cli, output: Output) -> Outcome {
    if let Command::Serve(role) = &cli.command {
        return serve::run(role);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| failure::Failure::failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(command::run(cli, output));
    runtime.shutdown_background();
    outcome
}
