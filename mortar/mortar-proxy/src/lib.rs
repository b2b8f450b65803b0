//! The data plane: an HTTP proxy on immutable snapshots, used by the gateway.
