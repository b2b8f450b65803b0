//! OTLP logs: what the shape check lets through is decoded and stored within its cap, or refused.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mortar_telemetry::ingest::{Sink, logs, wire};
use mortar_telemetry::store::memory::Memory;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    if wire::check(bytes, &wire::LOGS).is_err() {
        return;
    }
    if let Ok(request) = ExportLogsServiceRequest::decode(bytes) {
        let sink = Sink::new(Arc::new(Memory::new(1024 * 1024)));
        logs::ingest(request, &sink);
    }
});
