//! The command line as clap sees it.

mod args;
mod config;
mod edge;
mod flag;
mod groups;
mod misuse;
mod prove;
#[cfg(test)]
mod reference;
mod versions;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub(crate) use self::args::{
    Audit, Down, Lang, Load, Logs, Map, MetricFn, Metrics, New, Run, Screen, Serve, Switch, Template, Test,
    Token, Top, Trace, TraceForm, Up,
};
pub(crate) use self::config::{Assignment, Config, Key, Volume};
pub(crate) use self::edge::{Breaker, Fault, FaultSet, Link, Place, Tap};
pub(crate) use self::flag::{Flag, FlagGet, FlagSet};
pub(crate) use self::misuse::Misuse;
pub(crate) use self::prove::{Prove, ProveRun, Quality};
pub(crate) use self::versions::{Canary, Quarantine, Route, RouteSet};
use crate::output::{Color, Format};

/// One SDK, one small binary: runs a whole microservice system on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "brick",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Folder of the system (where its brick.toml is)
    #[arg(
        short = 'C',
        long = "dir",
        global = true,
        value_name = "DIR",
        default_value = "."
    )]
    pub(crate) dir: PathBuf,
    /// Form of the data on stdout; mermaid and dot are for `map`
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    pub(crate) format: Format,
    /// When to colour; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: Color,
    /// No progress on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Tell on stderr what is asked of agent and platform
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Why something is changed, for `brick audit`
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) why: Option<String>,
    /// Do not ask, do it
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Never ask; where an answer is needed, fail
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new system: a folder with a manifest, bricks and tests that run
    New(New),
    /// Build and run the system; Ctrl-C stops it
    Up(Up),
    /// Stop the system that runs in the folder
    Down(Down),
    /// List the instances
    Ps {
        /// Go on: a row for each instance that changes
        #[arg(short, long)]
        follow: bool,
    },
    /// Show what the bricks logged
    Logs(Logs),
    /// Tell how the system is and where its doors are
    Status,
    /// Open the console with a fresh one-time link
    Open {
        /// Screen to begin with
        #[arg(value_enum, default_value = "overview")]
        screen: Screen,
        /// Print the link, open nothing
        #[arg(long)]
        print: bool,
    },
    /// Set how many instances of a brick run: `brick scale order=3`
    Scale {
        /// `BRICK=N`; a second version's are `payment@v2=1`; `BRICK=auto` is the manifest's number
        #[arg(value_name = "BRICK=N", value_parser = parse_scale)]
        target: (String, Option<u32>),
    },
    /// Replace a brick's instances one after the other, without a failed request
    Roll {
        /// The brick
        brick: String,
        /// Build nothing before
        #[arg(long)]
        no_build: bool,
    },
    /// Kill one instance (SIGKILL unless said): `brick kill order/1`
    Kill {
        /// `BRICK/N`
        #[arg(value_name = "BRICK/N")]
        instance: String,
        /// Signal to send: KILL, TERM, INT, STOP or CONT
        #[arg(long, default_value = "KILL")]
        signal: String,
    },
    /// Run a command in a brick's environment: `brick run order -- python3 repair.py`
    Run(Run),
    /// Check the manifest, offline
    Check {
        /// Folder of the system
        dir: Option<PathBuf>,
    },
    /// List what the manifest has to show, or switch it: `brick demo fault on`
    Demo {
        /// Name of the demo, `[demo.NAME]`; all of them unless said
        name: Option<String>,
        /// Switch it
        switch: Option<Switch>,
    },
    /// Run acceptance suites against the running system, another environment, or one brick alone
    Test(Test),
    /// Look for what is wrong here and in the running system, with a fix for each finding
    Doctor,
    /// Run a load scenario of the manifest as an open loop
    Load(Load),
    /// Watch the bricks: rate, errors, times, CPU, memory
    Top(Top),
    /// Watch the requests at a brick's door as they are answered: `brick tap order`
    Tap(Tap),
    /// Draw who calls whom
    Map(Map),
    /// List the breakers of all edges, or hold one: `brick breaker open "order->payment"`
    Breaker {
        #[command(subcommand)]
        breaker: Option<Breaker>,
    },
    /// Say which version of a brick requests go to: `brick route set payment v2=10`
    Route {
        #[command(subcommand)]
        route: Option<Route>,
    },
    /// Let a version's share grow by itself while it does well: `brick canary start payment v2`
    Canary {
        #[command(subcommand)]
        canary: Option<Canary>,
    },
    /// Take an instance out of its pool while it runs on: `brick quarantine order/2`
    Quarantine(Quarantine),
    /// Ask under load what is noticed when processes die and others stand in: `brick prove disposability`
    #[command(subcommand)]
    Prove(Prove),
    /// Make calls go wrong on purpose: `brick fault set "order->payment" --delay 300ms`
    #[command(subcommand)]
    Fault(Fault),
    /// See and change what configures the bricks while they run: `brick config set order.max_lines=20`
    #[command(subcommand)]
    Config(Config),
    /// See and change feature flags while the system runs: `brick flag set express_checkout on=10`
    #[command(subcommand)]
    Flag(Flag),
    /// Look at traces
    #[command(subcommand)]
    Trace(Trace),
    /// Look at metrics
    #[command(subcommand)]
    Metrics(Metrics),
    /// List who changed what, newest first: `brick audit --action limits`
    Audit(Audit),
    /// Work with tokens
    #[command(subcommand)]
    Token(Token),
    /// Print the JSON schema of brick.toml
    Schema,
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder; it is made where it is missing
        out: PathBuf,
    },
    /// Print the version
    Version,
    /// Explain a command or a topic: `brick help manifest`
    Help {
        /// A command or a topic; without one, what there is
        topic: Vec<String>,
    },
    /// Run one role of the platform; the agent does this
    #[command(subcommand, hide = true)]
    Serve(Serve),
}

/// The command line with its commands listed by what they are for.
pub(crate) fn command() -> clap::Command {
    groups::arrange(Cli::command())
}

/// Reads the process's arguments. What is asked of the command line itself (help, version) comes as a misuse too.
pub(crate) fn parse() -> Result<Cli, Misuse> {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let parsed = command()
        .try_get_matches_from(&arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| Misuse::new(error, &arguments))
}

fn parse_scale(text: &str) -> Result<(String, Option<u32>), String> {
    let expected = || format!("expected BRICK=N such as order=3, or order=auto, found \"{text}\"");
    let (brick, count) = text.split_once('=').ok_or_else(expected)?;
    let count = match count {
        "auto" => None,
        count => Some(count.parse().map_err(|_| expected())?),
    };
    Ok((brick.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn scale_takes_a_brick_and_a_number() {
        assert_eq!(parse_scale("order=3"), Ok(("order".to_owned(), Some(3))));
        assert_eq!(parse_scale("pay@v2=1"), Ok(("pay@v2".to_owned(), Some(1))));
        assert_eq!(parse_scale("order=auto"), Ok(("order".to_owned(), None)));
        assert!(parse_scale("order").is_err());
        assert!(parse_scale("order=many").is_err());
    }
}
