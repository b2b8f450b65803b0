//! The environment contract: all that a process gets from the agent, in any language.
//!
//! Only composition roots read these; everything else is handed values.

/// TCP port on loopback that the process serves HTTP on.
pub const PORT: &str = "PORT";
/// Name of the brick.
pub const BRICK_NAME: &str = "BRICK_NAME";
/// Version label, `v1` unless the manifest says otherwise.
pub const BRICK_VERSION: &str = "BRICK_VERSION";
/// Source revision (git), with `-dirty` behind it where the tree differs; empty when unknown.
pub const BRICK_REVISION: &str = "BRICK_REVISION";
/// Slot of this process, `order/1`.
pub const BRICK_INSTANCE: &str = "BRICK_INSTANCE";
/// UUIDv7 of this start in the slot; also `service.instance.id`.
pub const BRICK_INCARNATION: &str = "BRICK_INCARNATION";
/// Zone that the process counts as running in.
pub const BRICK_ZONE: &str = "BRICK_ZONE";
/// Name of the system, the audience of user tokens.
pub const BRICK_SYSTEM: &str = "BRICK_SYSTEM";
/// Base URL of control; several processes may listen there.
pub const BRICK_CONTROL_URL: &str = "BRICK_CONTROL_URL";
/// File that holds this process's own token; the agent rewrites it before it expires.
pub const BRICK_TOKEN_FILE: &str = "BRICK_TOKEN_FILE";
/// Folder where the process may keep its last known good snapshots.
pub const BRICK_SNAPSHOT_DIR: &str = "BRICK_SNAPSHOT_DIR";
/// Comma-separated names of the configuration variables that the agent injected from the manifest: they do not
/// count as the operator's own environment.
pub const BRICK_CONFIG_INJECTED: &str = "BRICK_CONFIG_INJECTED";
/// SQL database of the brick, `sqlite:/path` (or, outside one machine, `postgres://…`).
pub const DATABASE_URL: &str = "DATABASE_URL";
/// Where OTLP goes, base URL; OpenTelemetry's own name.
pub const OTEL_EXPORTER_OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// OTLP transport, `http/protobuf`; OpenTelemetry's own name.
pub const OTEL_EXPORTER_OTLP_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
/// Service name; OpenTelemetry's own name.
pub const OTEL_SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
/// Resource attributes, `key=value,…`; OpenTelemetry's own name.
pub const OTEL_RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// Bricks that ask for it: base URL of their host proxy with their name and secret.
pub const BRICK_PROXY_URL: &str = "BRICK_PROXY_URL";
/// Bricks that ask for it: the same URL, as HTTP clients know it.
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// The same again: some clients read this spelling alone.
pub const HTTP_PROXY_LOWER: &str = "http_proxy";
/// What HTTP clients reach without a proxy.
pub const NO_PROXY: &str = "NO_PROXY";
/// The same in the other spelling.
pub const NO_PROXY_LOWER: &str = "no_proxy";

/// Number of listening sockets handed over, from descriptor 3 on (sd_listen_fds(3)).
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// Names of the sockets handed over, in order, joined by colons (sd_listen_fds(3)): `edge:admin`.
pub const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";

/// Platform processes: the folder that holds databases of the system, absolute.
pub const BRICK_STATE_DIR: &str = "BRICK_STATE_DIR";
/// Control: file with the bootstrap key that the agent trades for its token.
pub const BRICK_BOOTSTRAP_KEY_FILE: &str = "BRICK_BOOTSTRAP_KEY_FILE";
/// Control: PostgreSQL database that it keeps its state in, without a password; a SQLite file where it is not set.
pub const BRICK_STORE_URL: &str = "BRICK_STORE_URL";
/// Control, telemetry: base URLs of every process of control, joined by commas, where there are several: then
/// `BRICK_CONTROL_URL` is the one that they share.
pub const BRICK_CONTROL_URLS: &str = "BRICK_CONTROL_URLS";
/// Control: Unix socket of the agent, which control asks on behalf of operators.
pub const BRICK_AGENT_SOCKET: &str = "BRICK_AGENT_SOCKET";
/// Platform processes: base URL of telemetry's own listener.
pub const BRICK_TELEMETRY_URL: &str = "BRICK_TELEMETRY_URL";
/// Platform processes: base URL of the gateway's own listener (metrics, health), neither edge nor admin.
pub const BRICK_GATEWAY_URL: &str = "BRICK_GATEWAY_URL";
/// Platform processes: public base URL of the edge.
pub const BRICK_EDGE_URL: &str = "BRICK_EDGE_URL";
/// Platform processes: public base URL of the admin listener; its host and port are the only ones that console and
/// APIs answer to.
pub const BRICK_ADMIN_URL: &str = "BRICK_ADMIN_URL";
/// Telemetry: largest size of what it keeps, in bytes.
pub const BRICK_TELEMETRY_BYTES_MAX: &str = "BRICK_TELEMETRY_BYTES_MAX";
/// Telemetry: TCP port on loopback that OTLP is taken on.
pub const BRICK_OTLP_PORT: &str = "BRICK_OTLP_PORT";
/// Control: port on loopback on which names of bricks are resolved, by UDP and TCP.
pub const BRICK_DNS_PORT: &str = "BRICK_DNS_PORT";
/// Gateway: Unix socket on which it gives its listeners to an agent that has lost them.
pub const BRICK_HANDOVER_SOCKET: &str = "BRICK_HANDOVER_SOCKET";

/// Host proxy: file with the callers that it stands for ([`crate::host::Host`] as JSON).
pub const BRICK_PROXY_FILE: &str = "BRICK_PROXY_FILE";
/// Platform processes: base URL of the host proxy's own listener, where the system has one.
pub const BRICK_HOST_PROXY_URL: &str = "BRICK_HOST_PROXY_URL";

/// Name of the environment variable of a configuration key: `max_lines` is `MAX_LINES`, `limits.max-lines` is
/// `LIMITS_MAX_LINES`.
pub fn config_name(key: &str) -> String {
    key.chars()
        .map(|c| match c {
            '.' | '-' => '_',
            other => other.to_ascii_uppercase(),
        })
        .collect()
}

/// Name of the variable that tells a brick without SDK where a needed brick is: `product` is `PRODUCT_URL`.
pub fn needed_url_name(brick: &str) -> String {
    format!("{}_URL", config_name(brick))
}

/// Name of the variable that tells a brick where a brick is that it reaches by TCP through its proxy: `cache` is
/// `BRICK_TCP_CACHE`.
pub fn tcp_name(brick: &str) -> String {
    format!("BRICK_TCP_{}", config_name(brick))
}

/// Whether the name belongs to the contract, so that neither configuration nor a manifest's `env` may set it.
pub fn is_reserved(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["BRICK_", "OTEL_", "LISTEN_"];
    matches!(name, PORT | DATABASE_URL) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_key_has_one_environment_name() {
        for (key, expect) in [
            ("max_lines", "MAX_LINES"),
            ("limits.max-lines", "LIMITS_MAX_LINES"),
            ("A", "A"),
        ] {
            assert_eq!(config_name(key), expect);
        }
        assert_eq!(needed_url_name("lost-pets"), "LOST_PETS_URL");
    }

    #[test]
    fn names_of_the_contract_are_reserved() {
        for name in [
            "PORT",
            "BRICK_NAME",
            "BRICK_ANYTHING",
            "OTEL_SERVICE_NAME",
            "DATABASE_URL",
            "LISTEN_FDS",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        assert!(!is_reserved("MAX_LINES"));
        assert!(!is_reserved("PORTAL"));
    }
}
