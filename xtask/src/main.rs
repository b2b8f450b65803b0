//! The project's own commands: `cargo xtask setup|test|tidy|arch|docs|bench|deny|fuzz`.
//!
//! `test` is what a newcomer and CI both run: it installs what it can, runs every kind of test, and ends with one
//! line that counts them.

mod arch;
mod bench;
mod deny;
mod docs;
mod fuzz;
mod setup;
mod test;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Commands of the project itself.
#[derive(Debug, Parser)]
#[command(name = "xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what the tests need, where it can be installed
    Setup,
    /// Run every test: unit, integration, acceptance, browser
    Test(test::Options),
    /// Check the style limits
    Tidy,
    /// Check the dependency rules
    Arch,
    /// Check every link of the documents and build the book
    Docs(docs::Options),
    /// Measure the budgets and compare
    Bench(bench::Options),
    /// Check licences, bans, sources and known vulnerabilities of the dependencies
    Deny(deny::Options),
    /// Fuzz the parsers of foreign bytes
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let root = root();
    let outcome = match Cli::parse().command {
        Command::Setup => setup::run(&root).map(|missing| missing.is_empty()),
        Command::Test(options) => test::run(&root, &options),
        Command::Tidy => tidy::run(&root),
        Command::Arch => arch::run(&root),
        Command::Docs(options) => docs::run(&root, &options),
        Command::Bench(options) => bench::run(&root, &options),
        Command::Deny(options) => deny::run(&root, &options),
        Command::Fuzz(options) => fuzz::run(&root, &options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    own.parent().map_or(own.clone(), PathBuf::from)
}
