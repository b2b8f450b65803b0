//! The `brick` binary: command line and composition root.
//!
//! The only place of the platform that reads arguments and environment. A command is a module of [`command`]; a role
//! of the platform is composed in [`serve`] from the crates that implement it, which never import each other.

mod agent;
mod cli;
mod command;
mod failure;
mod output;
mod patience;
mod serve;
mod tls;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::failure::{Failure, Outcome};
use crate::output::{Ask, Format, Output};

/// A request through the gateway makes some fifty small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(misuse) => return misuse.tell(),
    };
    let output = output(&cli.global);
    let command = &cli.command;
    let diagram = matches!(cli.global.format, Format::Mermaid | Format::Dot);
    let outcome = if diagram && !matches!(command, Command::Map(_)) {
        Err(Failure::usage("only `brick map` draws mermaid and dot")
            .hint("other commands take --format table, json or ndjson"))
    } else {
        run(cli, output)
    };
    let Err(failure) = outcome else {
        return ExitCode::SUCCESS;
    };
    failure.tell(output);
    ExitCode::from(failure.code as u8)
}

fn output(global: &cli::Global) -> Output {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let ask = match (global.yes, global.no_input) {
        (true, _) => Ask::Yes,
        (false, true) => Ask::Never,
        (false, false) => Ask::Terminal,
    };
    Output {
        verbose: global.verbose,
        ask,
        ..Output::new(global.format, global.color, no_color, global.quiet)
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
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(command::run(cli, output));
    runtime.shutdown_background();
    outcome
}
