//! OTLP traces.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use crate::record::{Event, Kind, Span, Status};
use crate::store::Appended;

use super::{Sink, convert};

/// Events of one span; what comes beyond is cut.
const EVENTS_MAX: usize = 128;

/// Takes one export.
pub fn ingest(request: ExportTraceServiceRequest, sink: &Sink) -> Appended {
    let mut total = Appended::default();
    for group in request.resource_spans {
        let resource = convert::resource(group.resource);
        let mut spans = Vec::new();
        for scope in group.scope_spans {
            for span in scope.spans {
                match convert(span) {
                    Some(span) => spans.push(span),
                    None => {
                        sink.refuse(1);
                        total.refuse(
                            "a span needs a trace id of 16 bytes and a span id of 8, neither all zero",
                        );
                    }
                }
            }
        }
        total = total.and(sink.spans(&resource, &spans));
    }
    total
}

fn convert(span: otlp::Span) -> Option<Span> {
    let trace_id = convert::trace_id(&span.trace_id)?;
    let span_id = Some(convert::span_id(&span.span_id)).filter(|id| *id != 0)?;
    let status = span.status.unwrap_or_default();
    Some(Span {
        trace_id,
        span_id,
        parent_id: convert::span_id(&span.parent_span_id),
        name: convert::name(span.name),
        kind: kind(span.kind),
        status: match otlp::status::StatusCode::try_from(status.code) {
            Ok(otlp::status::StatusCode::Ok) => Status::Ok,
            Ok(otlp::status::StatusCode::Error) => Status::Error,
            _ => Status::Unset,
        },
        status_message: convert::cut(status.message, convert::TEXT_BYTES_MAX),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano.max(span.start_time_unix_nano),
        attributes: convert::attributes(span.attributes),
        events: span
            .events
            .into_iter()
            .take(EVENTS_MAX)
            .map(|event| Event {
                name: convert::name(event.name),
                time_ns: event.time_unix_nano,
                attributes: convert::attributes(event.attributes),
            })
            .collect(),
    })
}

fn kind(number: i32) -> Kind {
    use otlp::span::SpanKind;
    match SpanKind::try_from(number) {
        Ok(SpanKind::Server) => Kind::Server,
        Ok(SpanKind::Client) => Kind::Client,
        Ok(SpanKind::Producer) => Kind::Producer,
        Ok(SpanKind::Consumer) => Kind::Consumer,
        _ => Kind::Internal,
    }
}
