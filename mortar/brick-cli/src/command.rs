//! The commands, one module each.

mod applied;
mod audit;
mod breaker;
mod canary;
mod check;
mod config;
mod demo;
mod doctor;
mod down;
mod fault;
mod flag;
mod help;
mod kill;
mod load;
mod logs;
mod map;
mod metrics;
mod new;
mod open;
mod prove;
mod ps;
mod quarantine;
mod roll;
mod route;
mod run;
mod scale;
mod scratch;
mod shell;
mod status;
mod steps;
mod tap;
mod test;
mod token;
mod top;
mod trace;
mod up;

use std::path::Path;

use crate::agent::Agent;
use crate::cli::{self, Cli, Command};
use crate::failure::{Failure, Outcome};
use crate::output::{Output, line};

/// Runs the command.
pub(crate) async fn run(cli: Cli, output: Output) -> Outcome {
    let global = &cli.global;
    let folder = |own: &Option<std::path::PathBuf>| own.clone().unwrap_or_else(|| global.dir.clone());
    let agent = Agent::of(&global.dir)
        .verbose(output.verbose)
        .because(global.why.as_deref());
    match cli.command {
        Command::New(new) => new::run(&global.dir, &new, output),
        Command::Up(up) => up::run(&folder(&up.dir), up, output).await,
        Command::Down(down) => down::run(&Agent::of(&folder(&down.dir)), down.volumes, output).await,
        Command::Ps { follow } => ps::run(&agent, follow, output).await,
        Command::Logs(logs) => logs::run(&agent, logs, output).await,
        Command::Status => status::run(&agent, output).await,
        Command::Open { screen, print } => open::run(&agent, screen, print, output).await,
        Command::Scale {
            target: (brick, replicas),
        } => scale::run(&agent, &brick, replicas, output).await,
        Command::Roll { brick, no_build } => roll::run(&agent, &brick, no_build, output).await,
        Command::Kill { instance, signal } => kill::run(&agent, &instance, &signal, output).await,
        Command::Run(run) => run::run(&agent, run).await,
        Command::Check { dir } => check::run(&folder(&dir), output),
        Command::Demo { name, switch } => demo::run(&agent, name.as_deref(), switch, output).await,
        Command::Test(test) => test::run(&global.dir, test, output).await,
        Command::Doctor => doctor::run(&agent, output).await,
        Command::Load(load) => load::run(&agent, load, output).await,
        Command::Top(top) => top::run(&agent, &top, output).await,
        Command::Tap(tap) => tap::run(&agent, tap, output).await,
        Command::Breaker { breaker } => {
            let breaker = breaker.unwrap_or(cli::Breaker::Ls { text: None });
            breaker::run(&agent, breaker, output).await
        }
        Command::Route { route } => route::run(&agent, route.unwrap_or(cli::Route::Ls), output).await,
        Command::Canary { canary } => canary::run(&agent, canary.unwrap_or(cli::Canary::Ls), output).await,
        Command::Quarantine(quarantine) => quarantine::run(&agent, quarantine, output).await,
        Command::Prove(prove) => prove::run(&agent, prove, output).await,
        Command::Fault(fault) => fault::run(&agent, fault, output).await,
        Command::Config(config) => config::run(&agent, config, output).await,
        Command::Flag(flag) => flag::run(&agent, flag, output).await,
        Command::Map(map) => map::run(&agent, &map, output).await,
        Command::Trace(trace) => trace::run(&agent, trace, output).await,
        Command::Metrics(metrics) => metrics::run(&agent, metrics, output).await,
        Command::Audit(audit) => audit::run(&agent, audit, output).await,
        Command::Token(token) => token::run(&agent, token, output).await,
        Command::Schema => schema(),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { out } => shell::man(&out, output),
        Command::Version => {
            line(concat!("brick ", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
        Command::Help { topic } => help::run(&topic, output),
        Command::Serve(_) => Err(Failure::usage("roles are served before the runtime starts")),
    }
}

fn schema() -> Outcome {
    let schema = serde_json::to_string_pretty(&brick_model::schema());
    line(&schema.map_err(|error| Failure::failed(error.to_string()))?);
    Ok(())
}

/// Path of what an API of control keeps of an edge.
fn edge_path(api: &str, edge: &cli::Link) -> String {
    format!(
        "/api/{api}/v1/{}/{}",
        segment(&edge.caller),
        segment(&edge.callee)
    )
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    brick_wire::form::encode(&[("", name)])
        .trim_start_matches('=')
        .to_owned()
}

/// Reads the manifest of a folder; what is wrong with it is shown as a picture, exit code 3.
pub(crate) fn manifest(dir: &Path, output: Output) -> Outcome<brick_model::Loaded> {
    check::load(dir, output)
}
