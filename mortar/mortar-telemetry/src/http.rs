//! The two HTTP faces: OTLP ingest and the query API.

use brick_http::access::Areas;

/// What operators look into, by the scope that lets them: `telemetry:read`.
pub(crate) const AREAS: Areas = &[("/api/telemetry", "telemetry")];

pub mod openapi;

pub(crate) mod otlp;
pub(crate) mod params;
pub(crate) mod query;
pub(crate) mod tail;
