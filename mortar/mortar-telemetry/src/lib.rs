//! The telemetry role: ingest, store and query of traces, logs and metrics.
