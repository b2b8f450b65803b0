//! `traceparent` and `baggage`: what was read can be written and read again, and is the same.
#![no_main]

use brick_telemetry::context::{Baggage, SpanContext};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(context) = SpanContext::parse(text) {
        assert_eq!(SpanContext::parse(&context.traceparent()), Some(context));
    }
    let baggage = Baggage::parse(text);
    assert_eq!(Baggage::parse(&baggage.to_header()), baggage);
});
