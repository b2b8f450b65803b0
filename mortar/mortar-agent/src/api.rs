//! What travels over the agent's socket, `.brickwork/agent.sock`: the types of its requests and answers.

use brick_core::{BrickName, BrickRef, Incarnation, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Its brick is being built.
    Building,
    /// It waits for what it needs, or runs and was never ready yet.
    Starting,
    /// It answers its health path.
    Ready,
    /// It was ready and is not now.
    Unready,
    /// It died and waits for its next start.
    Backoff,
    /// It dies again and again; it is still started again, ever more slowly.
    CrashLoop,
    /// It was asked to end.
    Stopping,
    /// It was stopped.
    Stopped,
    /// Its brick is optional and its program is missing.
    Skipped,
    /// It cannot be started.
    Failed,
}

impl InstanceState {
    /// As it is written in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Backoff => "backoff",
            Self::CrashLoop => "crash-loop",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

/// One row of `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ps {
    /// Brick, or `control`, `gateway`, `telemetry`, `proxy`.
    pub brick: BrickName,
    /// Version label.
    pub version: Version,
    /// Slot, `order/1`.
    pub instance: String,
    /// Zone.
    pub zone: String,
    /// State.
    pub state: InstanceState,
    /// Process, while there is one.
    pub pid: Option<u32>,
    /// Port of its own listener.
    pub port: u16,
    /// Starts after deaths since the agent began.
    pub restarts: u64,
    /// Source revision, empty when unknown.
    pub revision: String,
    /// Whether the process was taken over from an earlier agent.
    pub adopted: bool,
    /// The start in the slot, while there is one.
    pub incarnation: Option<Incarnation>,
    /// Whether it is out of its pool while it runs on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quarantined: bool,
    /// What is wrong with it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How the number of the brick's instances follows its requests, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<Elasticity>,
}

/// How the number of a brick's instances follows its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elasticity {
    /// Fewest instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Requests a second that one is to have.
    pub target_rps: u32,
    /// Instances that it is to have now.
    pub replicas: u32,
    /// Whether somebody set that number; it is then left alone.
    pub by_hand: bool,
    /// Requests a second at the last look, of all instances that could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rps: Option<u64>,
    /// Instances that these need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u32>,
    /// Why the number was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer of `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the system.
    pub system: String,
    /// Version of Brickwork.
    pub version: String,
    /// Folder of the system.
    pub dir: String,
    /// Base URL of the edge.
    pub edge_url: String,
    /// Base URL of the edge with TLS, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_tls_url: Option<String>,
    /// Base URL of console and platform APIs.
    pub admin_url: String,
    /// Every port by the name of its slot; `edge`, `console` and `otlp` besides.
    pub ports: std::collections::BTreeMap<String, u16>,
    /// The agent's process.
    pub agent_pid: u32,
    /// Age of the agent in seconds.
    pub uptime_s: u64,
    /// Bricks that have as many ready instances as they should.
    pub bricks_ready: usize,
    /// Bricks of the system, skipped ones not counted.
    pub bricks: usize,
    /// Whether everything, platform included, is ready.
    pub ready: bool,
    /// Whether changed sources are built and rolled.
    #[serde(default)]
    pub watch: bool,
    /// What is wrong, for people.
    pub problems: Vec<String>,
    /// What bounds dropped and what could not be written.
    pub counters: Counters,
}

/// What the agent had to drop or could not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Log lines that were longer than the limit and were cut.
    pub log_lines_cut: u64,
    /// Bytes of log given up because telemetry did not take them for too long.
    pub log_bytes_dropped: u64,
    /// Log records that telemetry took.
    pub log_records_shipped: u64,
    /// Writes of the agent's own state that failed.
    pub state_writes_failed: u64,
}

/// One line of `GET /v1/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written, or read where the line does not say.
    pub ts: Timestamp,
    /// Brick.
    pub brick: BrickName,
    /// Version label.
    pub version: Version,
    /// Slot.
    pub instance: String,
    /// `output`: standard output and standard error share one file, so that their order holds.
    pub stream: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The message.
    pub msg: String,
    /// Trace that the line belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The line as it was written.
    pub line: String,
}

/// Body of `POST /v1/scale`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// The brick; `payment@v2` is a concurrent version of it.
    pub brick: BrickRef,
    /// The concurrent version, where `brick` does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Instances it should have; none (`null`, or absent) for as many as the manifest says, or its requests need.
    #[serde(default)]
    pub replicas: Option<u32>,
}

/// Body of `POST /v1/kill`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// Slot, `order/1`.
    pub instance: String,
    /// Name of the signal without `SIG`, `KILL` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
}

/// Body of `POST /v1/roll`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// The brick with all its versions, or one version of it: `payment`, `payment@v2`.
    pub brick: BrickRef,
    /// Whether to leave the build out.
    #[serde(default)]
    pub no_build: bool,
}

/// Answer of `POST /v1/roll`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolled {
    /// What was rolled.
    pub brick: BrickRef,
    /// The slots whose process was replaced, in order.
    pub replaced: Vec<String>,
}

/// Answer of `GET /v1/env`: how to start a one-off process of a brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneOff {
    /// Folder to start it in.
    pub dir: String,
    /// The environment contract, to be laid over the operator's own environment.
    pub env: std::collections::BTreeMap<String, String>,
    /// Words to be put before the command: what leads its connections to the host proxy, where the kernel does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
}

/// Answer of `POST /v1/kill`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// Slot.
    pub instance: String,
    /// The process that got the signal.
    pub pid: u32,
    /// Name of the signal.
    pub signal: String,
}

/// Body of `POST /v1/apply`; an empty body means the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Apply {
    /// Whether to leave the builds out.
    #[serde(default)]
    pub no_build: bool,
    /// Whether to watch sources from now on; once begun, the watch goes on.
    #[serde(default)]
    pub watch: bool,
}

/// Answer of `POST /v1/apply` and `POST /v1/scale`: what is being changed, for people, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// The changes; empty when the system already is as the manifest says.
    pub changes: Vec<String>,
}

/// Answer of `POST /v1/token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorToken {
    /// A platform token with scope `admin`.
    pub token: String,
    /// Base URL of the admin listener, where it counts.
    pub admin_url: String,
}

/// Answer of `POST /v1/console-link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleLink {
    /// Address of the console with a one-time code in it.
    pub url: String,
}
