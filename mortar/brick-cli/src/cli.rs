//! The command line as clap sees it.

use std::net::SocketAddr;
use std::path::PathBuf;

use brick_core::duration::Span;
use clap::{Args, Parser, Subcommand};

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
    /// Form of the data on stdout
    #[arg(long, global = true, value_enum, default_value = "table")]
    pub(crate) format: Format,
    /// When to colour; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub(crate) color: Color,
    /// No progress on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build and run the system; Ctrl-C stops it
    Up(Up),
    /// Stop the system that runs in the folder
    Down(Down),
    /// List the instances
    Ps,
    /// Show what the bricks logged
    Logs(Logs),
    /// Tell how the system is and where its doors are
    Status,
    /// Set how many instances of a brick run: `brick scale order=3`
    Scale {
        /// `BRICK=N`
        #[arg(value_name = "BRICK=N", value_parser = parse_scale)]
        target: (String, u32),
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
    /// Check the manifest, offline
    Check {
        /// Folder of the system
        dir: Option<PathBuf>,
    },
    /// Run acceptance suites against the running system, another environment, or one brick alone
    Test(Test),
    /// Run a load scenario of the manifest as an open loop
    Load(Load),
    /// Look at traces
    #[command(subcommand)]
    Trace(Trace),
    /// Work with tokens
    #[command(subcommand)]
    Token(Token),
    /// Print the JSON schema of brick.toml
    Schema,
    /// Print the version
    Version,
    /// Run one role of the platform; the agent does this
    #[command(subcommand, hide = true)]
    Serve(Serve),
}

/// `brick up`
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Folder of the system
    pub(crate) dir: Option<PathBuf>,
    /// Start only this brick and what it needs (may be given more than once)
    #[arg(long, value_name = "BRICK")]
    pub(crate) only: Vec<String>,
    /// Return when all is ready; the system goes on
    #[arg(long)]
    pub(crate) detach: bool,
    /// Build nothing
    #[arg(long)]
    pub(crate) no_build: bool,
    /// Address of the edge; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) edge: Option<SocketAddr>,
    /// Port of the console; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) console: Option<u16>,
}

/// `brick down`
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Folder of the system
    pub(crate) dir: Option<PathBuf>,
    /// Also delete the bricks' data, logs and telemetry
    #[arg(long)]
    pub(crate) volumes: bool,
}

/// `brick logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Only this brick, or this instance (`order/1`)
    pub(crate) brick: Option<String>,
    /// Go on as lines come
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only lines younger than this
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<Span>,
    /// Only lines that hold this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
    /// Only lines of this trace
    #[arg(long, value_name = "TRACE_ID")]
    pub(crate) trace: Option<String>,
    /// At most this many lines, the newest
    #[arg(short = 'n', long, default_value_t = 200)]
    pub(crate) limit: usize,
}

/// `brick test`
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// A suite, or a brick: it runs alone, everything it needs mocked, with every suite about it. Every suite about
    /// the whole system unless said
    pub(crate) name: Option<String>,
    /// Environment of the manifest to run against; `local` is the running system
    #[arg(long, value_name = "ENV", default_value = "local")]
    pub(crate) env: String,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Let the system of a brick alone go on, to look into
    #[arg(long)]
    pub(crate) keep: bool,
    /// Build nothing before a brick is started alone
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// `brick load`
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Name of the scenario, `[load.NAME]`
    pub(crate) scenario: String,
    /// Runs started each second
    #[arg(long, default_value_t = 10.0)]
    pub(crate) rps: f64,
    /// How long
    #[arg(long = "for", value_name = "DURATION", default_value = "10s")]
    pub(crate) duration: Span,
    /// Send to this address instead of the running system's edge
    #[arg(long, value_name = "URL")]
    pub(crate) target: Option<String>,
}

/// `brick trace`
#[derive(Debug, Subcommand)]
pub(crate) enum Trace {
    /// List traces, newest first
    Ls {
        /// Only traces that this brick took part in
        #[arg(long)]
        service: Option<String>,
        /// Only traces with this operation
        #[arg(long)]
        operation: Option<String>,
        /// Only traces with an error
        #[arg(long)]
        errors: bool,
        /// Only traces at least this long
        #[arg(long, value_name = "DURATION")]
        min: Option<Span>,
        /// Only traces younger than this
        #[arg(long, value_name = "DURATION", default_value = "15m")]
        since: Span,
        /// At most this many
        #[arg(short = 'n', long, default_value_t = 20)]
        limit: usize,
    },
    /// Show one trace as a tree, with its logs
    Show {
        /// Its id, 32 hexadecimal digits; `last` is the newest
        trace_id: String,
    },
}

/// `brick token`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a user token and print it
    Issue {
        /// User id that the token stands for
        subject: String,
        /// A scope that it carries (may be given more than once)
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
        /// How long it lives
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Span>,
    },
}

/// `brick serve`
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Serve {
    /// Registry, routes, config, bus, identity, console
    Control,
    /// Edge and admin listeners
    Gateway,
    /// Ingest, store and query of traces, logs and metrics
    Telemetry,
    /// Stand in for a brick, for `brick test BRICK`
    Mock {
        /// OpenAPI document to answer from
        #[arg(long, value_name = "FILE")]
        openapi: Option<PathBuf>,
    },
}

fn parse_scale(text: &str) -> Result<(String, u32), String> {
    let expected = || format!("expected BRICK=N such as order=3, found \"{text}\"");
    let (brick, count) = text.split_once('=').ok_or_else(expected)?;
    Ok((brick.to_owned(), count.parse().map_err(|_| expected())?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scale_takes_a_brick_and_a_number() {
        assert_eq!(parse_scale("order=3"), Ok(("order".to_owned(), 3)));
        assert!(parse_scale("order").is_err());
        assert!(parse_scale("order=many").is_err());
    }
}
