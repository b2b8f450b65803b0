//! Arguments of the commands that take more than a word or two.

use std::net::SocketAddr;
use std::path::PathBuf;

use brick_core::duration::Span;
use clap::{Args, Subcommand, ValueEnum};

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
    /// Build and roll a brick whenever its sources change
    #[arg(long)]
    pub(crate) watch: bool,
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

/// Whether a demo is to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// As the demo says.
    On,
    /// As the manifest says without it.
    Off,
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
    /// Trust the certificate authorities in this PEM file too, where the environment's edge is https://
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
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
    #[arg(long, value_name = "URL", value_parser = base_url)]
    pub(crate) target: Option<String>,
    /// Trust the certificate authorities in this PEM file too, where the address is https://
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
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
    /// Compare two traces, operation by operation
    Diff {
        /// The trace to compare with
        before: String,
        /// The trace that is compared; `last` is the newest
        after: String,
    },
    /// Print one trace as other tools read it
    Export {
        /// Its id, 32 hexadecimal digits; `last` is the newest
        trace_id: String,
        /// The form: OTLP or Jaeger, both JSON
        #[arg(long = "as", value_enum, default_value = "otlp", value_name = "FORM")]
        form: TraceForm,
    },
}

/// What `brick trace export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceForm {
    /// OpenTelemetry's `ExportTraceServiceRequest`.
    Otlp,
    /// What Jaeger's query API answers and its page opens.
    Jaeger,
}

/// `brick metrics`
#[derive(Debug, Subcommand)]
pub(crate) enum Metrics {
    /// List the metrics that are kept
    Ls {
        /// Only names that hold this text
        text: Option<String>,
    },
    /// Show one metric over time
    Range {
        /// Its name: a counter's ends in _total
        name: String,
        /// What is told: a counter's change per second, the value, or a percentile
        #[arg(long = "fn", value_enum, default_value = "rate")]
        function: MetricFn,
        /// Sum by this label (may be given more than once)
        #[arg(long, value_name = "LABEL")]
        by: Vec<String>,
        /// Only series with this label (may be given more than once)
        #[arg(long, value_name = "KEY=VALUE")]
        label: Vec<String>,
        /// How far back
        #[arg(long, value_name = "DURATION", default_value = "15m")]
        since: Span,
        /// Time between two points
        #[arg(long, value_name = "DURATION", default_value = "15s")]
        step: Span,
    },
}

/// What `brick metrics range` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricFn {
    /// Change per second of a counter.
    Rate,
    /// The value itself.
    Raw,
    /// Median of a histogram.
    P50,
    /// 90th percentile of a histogram.
    P90,
    /// 99th percentile of a histogram.
    P99,
}

/// `brick new`
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the system and of its folder
    pub(crate) name: String,
    /// What to begin with
    #[arg(long, value_enum, default_value = "blank")]
    pub(crate) template: Template,
    /// Language of the bricks
    #[arg(long, value_enum, default_value = "rust")]
    pub(crate) lang: Lang,
}

/// What `brick new` begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Three bricks: pages, a catalogue, orders that call it.
    Shop,
    /// Two bricks: orders with an outbox, a worker that drains it.
    Events,
    /// One brick that says hello.
    Blank,
}

/// Language of a new system's bricks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lang {
    /// With the SDK, whose sources come along.
    Rust,
    /// Python's standard library alone.
    Python,
    /// Node's standard library alone.
    Node,
}

/// A screen of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Screen {
    /// The live service map and business metrics.
    Overview,
    /// The instances.
    Bricks,
    /// The edges with their breakers.
    Breakers,
    /// The logs.
    Logs,
    /// The traces.
    Traces,
    /// The versions with their shares and canaries.
    Routes,
    /// The configuration.
    Config,
    /// The feature flags.
    Flags,
    /// Who changed what.
    Audit,
}

/// `brick run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Brick whose environment the command gets
    pub(crate) brick: String,
    /// The command, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// `brick top`
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// One table, then the end
    #[arg(long)]
    pub(crate) once: bool,
    /// Time between two tables, and that rates are told over
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub(crate) every: Span,
}

/// `brick map`
#[derive(Debug, Args)]
pub(crate) struct Map {
    /// Traffic of how long
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(crate) window: Span,
}

/// `brick audit`
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what this one did: `operator`, `agent`, the name of a tool that holds a token
    #[arg(long, value_name = "WHO")]
    pub(crate) who: Option<String>,
    /// Only this action (`limits.set`), or a group of actions (`limits`)
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only what was done to a target that holds this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) target: Option<String>,
    /// Only what holds this text anywhere: who, action, target, values, why or trace
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// Only what is younger than this
    #[arg(long, value_name = "DURATION")]
    pub(crate) since: Option<Span>,
    /// At most so many
    #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// How often each client used which area of the APIs, in place of the changes
    #[arg(long = "use", conflicts_with_all = ["who", "action", "target", "text", "limit"])]
    pub(crate) usage: bool,
}

/// `brick token`
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token and print it
    Issue {
        /// Who the token speaks for: a user's id, or a name for the tool that will hold it
        subject: String,
        /// Whom it is for; unless said the platform for the subject `operator`, else the bricks on behalf of a user
        #[arg(long, value_enum)]
        audience: Option<Audience>,
        /// A scope that it carries (may be given more than once)
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
        /// How long it lives
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Span>,
    },
}

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Audience {
    /// The bricks, on behalf of a user
    User,
    /// The platform: scopes `admin`, `read`, `config:read`, `config:write` (and so on for each area), `bus`,
    /// `synthetic`, `call:*`
    Platform,
}

/// `brick serve`
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Serve {
    /// Registry, routes, config, bus, identity, console
    Control,
    /// Edge and admin listeners
    Gateway,
    /// Calls of the bricks on this machine that ask for it
    Proxy,
    /// Ingest, store and query of traces, logs and metrics
    Telemetry,
    /// Stand in for a brick, for `brick test BRICK`
    Mock {
        /// OpenAPI document to answer from
        #[arg(long, value_name = "FILE")]
        openapi: Option<PathBuf>,
    },
    /// Connect once, to see where the kernel leads it
    #[command(hide = true)]
    Trial {
        /// Where to
        to: std::net::SocketAddr,
    },
}

/// An address without the slash at its end: `http://127.0.0.1:8080`, `https://shop.example`.
fn base_url(text: &str) -> Result<String, String> {
    let expected = || format!("expected a base URL such as https://shop.example, found \"{text}\"");
    let url = text.trim_end_matches('/');
    let uri: http::Uri = url.parse().map_err(|_| expected())?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.query().is_none() => Ok(url.to_owned()),
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_scheme_and_no_query() {
        let check = |text: &str, expect: Option<&str>| {
            assert_eq!(base_url(text).ok().as_deref(), expect, "{text}");
        };
        check("https://shop.example/", Some("https://shop.example"));
        check("http://127.0.0.1:8080", Some("http://127.0.0.1:8080"));
        check("HTTPS://shop.example/eu", Some("HTTPS://shop.example/eu"));
        check("shop.example", None);
        check("ftp://shop.example", None);
        check("https://shop.example/?a=1", None);
        check("https://", None);
    }
}
