//! The two HTTP faces: OTLP ingest and the query API.

pub mod openapi;

pub(crate) mod otlp;
pub(crate) mod params;
pub(crate) mod query;
pub(crate) mod tail;
