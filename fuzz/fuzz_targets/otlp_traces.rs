//! OTLP traces: what the shape check lets through is decoded and stored within its cap, or refused.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use mortar_telemetry::ingest::{Sink, traces, wire};
use mortar_telemetry::store::memory::Memory;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    if wire::check(bytes, &wire::TRACES).is_err() {
        return;
    }
    if let Ok(request) = ExportTraceServiceRequest::decode(bytes) {
        let sink = Sink::new(Arc::new(Memory::new(1024 * 1024)));
        traces::ingest(request, &sink);
    }
});
