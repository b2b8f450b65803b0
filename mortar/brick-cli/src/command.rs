//! The commands, one module each.

mod check;
mod down;
mod kill;
mod load;
mod logs;
mod ps;
mod scale;
mod status;
mod steps;
mod test;
mod token;
mod trace;
mod up;

use std::path::Path;

use crate::agent::Agent;
use crate::cli::{Cli, Command};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, line};

/// Runs the command.
pub(crate) async fn run(cli: Cli, output: Output) -> Outcome {
    let global = &cli.global;
    let folder = |own: &Option<std::path::PathBuf>| own.clone().unwrap_or_else(|| global.dir.clone());
    let agent = || Agent::of(&global.dir);
    match cli.command {
        Command::Up(up) => up::run(&folder(&up.dir), up, output).await,
        Command::Down(down) => down::run(&Agent::of(&folder(&down.dir)), down.volumes, output).await,
        Command::Ps => ps::run(&agent(), output).await,
        Command::Logs(logs) => logs::run(&agent(), logs, output).await,
        Command::Status => status::run(&agent(), output).await,
        Command::Scale {
            target: (brick, replicas),
        } => scale::run(&agent(), &brick, replicas, output).await,
        Command::Kill { instance, signal } => kill::run(&agent(), &instance, &signal, output).await,
        Command::Check { dir } => check::run(&folder(&dir), output),
        Command::Test(test) => test::run(&global.dir, test, output).await,
        Command::Load(load) => load::run(&agent(), load, output).await,
        Command::Trace(trace) => trace::run(&agent(), trace, output).await,
        Command::Token(token) => token::run(&agent(), token, output).await,
        Command::Schema => schema(),
        Command::Version => {
            line(concat!("brick ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Command::Serve(_) => Err(Failure::usage("roles are served before the runtime starts")),
    }
}

fn schema() -> Outcome {
    let schema = serde_json::to_string_pretty(&brick_model::schema());
    line(&schema.map_err(|error| Failure::failed(error.to_string()))?);
    Ok(())
}

/// Reads the manifest of a folder; what is wrong with it is shown as a picture, exit code 3.
pub(crate) fn manifest(dir: &Path, output: Output) -> Outcome<brick_model::Loaded> {
    check::load(dir, output)
}
