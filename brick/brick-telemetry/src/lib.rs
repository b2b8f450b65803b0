//! Brick telemetry: /info, /health, /metrics, JSON-lines logs with trace ids, spans and their OTLP export.
