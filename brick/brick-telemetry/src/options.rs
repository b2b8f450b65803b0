//! What a process says about itself, and how its telemetry is set up.

/// Who the process is; every span, log line and metric of it carries this, and `/info` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the system, `service.namespace`.
    pub system: String,
    /// Name of the brick, `service.name`.
    pub brick: String,
    /// Version label, `service.version`.
    pub version: String,
    /// Source revision, empty when unknown.
    pub revision: String,
    /// Slot, `order/1`.
    pub slot: String,
    /// This start in the slot (UUIDv7), `service.instance.id`.
    pub incarnation: String,
    /// Zone.
    pub zone: String,
    /// Version of the package the process was built from.
    pub package_version: String,
    /// Version of the API it serves.
    pub api_version: String,
}

/// How a process tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Who tells.
    pub identity: Identity,
    /// Base URL of the OTLP receiver (`http://127.0.0.1:4318`); none means that spans stay here.
    pub otlp_endpoint: Option<String>,
    /// Which log lines are written: a level, or `target=level` pairs (`info,hyper=warn`).
    pub filter: String,
    /// Where log lines go.
    pub log: LogTarget,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// Standard output, one write a line.
    #[default]
    Stdout,
    /// The last lines and spans stay in memory, for tests: [`crate::Telemetry::log_lines`],
    /// [`crate::Telemetry::finished_spans`].
    Memory,
}

/// Telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is none.
    #[error("expected a log filter such as \"info\" or \"info,hyper=warn\", found \"{filter}\"")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber was installed first.
    #[error("this process already has a global tracing subscriber; install telemetry once, first of all")]
    Installed,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            system: "local".to_owned(),
            brick: "brick".to_owned(),
            version: "v1".to_owned(),
            revision: String::new(),
            slot: String::new(),
            incarnation: String::new(),
            zone: "a".to_owned(),
            package_version: String::new(),
            api_version: "v1".to_owned(),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identity: Identity::default(),
            otlp_endpoint: None,
            filter: "info".to_owned(),
            log: LogTarget::Stdout,
        }
    }
}
