//! Counts the messages inside an encoded export before it is decoded: two bytes on the wire can become hundreds in
//! memory, so a limit on the body alone bounds nothing.
//!
//! Shapes follow opentelemetry-proto 1.x; a field that is not listed holds no messages (or is unknown and skipped).

use bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Messages in one export.
pub const MESSAGES_MAX: usize = 400_000;
/// Nesting, as prost bounds it.
const DEPTH_MAX: usize = 100;

/// Which fields of a message are messages, and of what shape.
pub struct Shape(&'static [(u32, &'static Shape)]);

static LEAF: Shape = Shape(&[]);
static VALUE: Shape = Shape(&[(5, &LIST), (6, &MAP)]);
static LIST: Shape = Shape(&[(1, &VALUE)]);
static MAP: Shape = Shape(&[(1, &ATTRIBUTE)]);
static ATTRIBUTE: Shape = Shape(&[(2, &VALUE)]);
static RESOURCE: Shape = Shape(&[(1, &ATTRIBUTE), (3, &LEAF)]);
static SCOPE: Shape = Shape(&[(3, &ATTRIBUTE)]);

static EVENT: Shape = Shape(&[(3, &ATTRIBUTE)]);
static LINK: Shape = Shape(&[(4, &ATTRIBUTE)]);
static SPAN: Shape = Shape(&[(9, &ATTRIBUTE), (11, &EVENT), (13, &LINK), (15, &LEAF)]);
static SCOPE_SPANS: Shape = Shape(&[(1, &SCOPE), (2, &SPAN)]);
static RESOURCE_SPANS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
/// `ExportTraceServiceRequest`.
pub static TRACES: Shape = Shape(&[(1, &RESOURCE_SPANS)]);

static LOG: Shape = Shape(&[(5, &VALUE), (6, &ATTRIBUTE)]);
static SCOPE_LOGS: Shape = Shape(&[(1, &SCOPE), (2, &LOG)]);
static RESOURCE_LOGS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_LOGS)]);
/// `ExportLogsServiceRequest`.
pub static LOGS: Shape = Shape(&[(1, &RESOURCE_LOGS)]);

static EXEMPLAR: Shape = Shape(&[(7, &ATTRIBUTE)]);
static NUMBER: Shape = Shape(&[(7, &ATTRIBUTE), (5, &EXEMPLAR)]);
static NUMBERS: Shape = Shape(&[(1, &NUMBER)]);
static HISTOGRAM_POINT: Shape = Shape(&[(9, &ATTRIBUTE), (8, &EXEMPLAR)]);
static HISTOGRAM: Shape = Shape(&[(1, &HISTOGRAM_POINT)]);
static EXPONENTIAL_POINT: Shape = Shape(&[(1, &ATTRIBUTE), (8, &LEAF), (9, &LEAF), (11, &EXEMPLAR)]);
static EXPONENTIAL: Shape = Shape(&[(1, &EXPONENTIAL_POINT)]);
static SUMMARY_POINT: Shape = Shape(&[(7, &ATTRIBUTE), (6, &LEAF)]);
static SUMMARY: Shape = Shape(&[(1, &SUMMARY_POINT)]);
static METRIC: Shape = Shape(&[
    (5, &NUMBERS),
    (7, &NUMBERS),
    (9, &HISTOGRAM),
    (10, &EXPONENTIAL),
    (11, &SUMMARY),
    (12, &ATTRIBUTE),
]);
static SCOPE_METRICS: Shape = Shape(&[(1, &SCOPE), (2, &METRIC)]);
static RESOURCE_METRICS: Shape = Shape(&[(1, &RESOURCE), (2, &SCOPE_METRICS)]);
/// `ExportMetricsServiceRequest`.
pub static METRICS: Shape = Shape(&[(1, &RESOURCE_METRICS)]);

/// The export cannot be decoded within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No protobuf.
    #[error("expected a protobuf message of the OTLP service")]
    Malformed,
    /// Too much of it.
    #[error(
        "the export holds more than {MESSAGES_MAX} records, attributes and values together; send smaller batches"
    )]
    TooMany,
}

/// Refuses an export that would not decode, or would decode into too much.
pub fn check(bytes: &[u8], shape: &Shape) -> Result<(), Error> {
    let mut left = MESSAGES_MAX;
    walk(bytes, shape, &mut left, DEPTH_MAX)
}

fn walk(mut bytes: &[u8], shape: &Shape, left: &mut usize, depth: usize) -> Result<(), Error> {
    let depth = depth.checked_sub(1).ok_or(Error::Malformed)?;
    while bytes.has_remaining() {
        let (tag, kind) = decode_key(&mut bytes).map_err(|_| Error::Malformed)?;
        let length = match kind {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(|_| Error::Malformed)?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => {
                let length = decode_varint(&mut bytes).map_err(|_| Error::Malformed)?;
                usize::try_from(length).map_err(|_| Error::Malformed)?
            }
            WireType::StartGroup | WireType::EndGroup => return Err(Error::Malformed),
        };
        let (field, rest) = bytes.split_at_checked(length).ok_or(Error::Malformed)?;
        bytes = rest;
        let inner = shape
            .0
            .iter()
            .find(|(known, _)| *known == tag && kind == WireType::LengthDelimited);
        if let Some((_, inner)) = inner {
            *left = left.checked_sub(1).ok_or(Error::TooMany)?;
            walk(field, inner, left, depth)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn export(spans: usize) -> Vec<u8> {
        let spans = vec![Span::default(); spans];
        let scope_spans = vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }];
        let resource_spans = vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }];
        ExportTraceServiceRequest { resource_spans }.encode_to_vec()
    }

    #[test]
    fn an_export_of_countless_empty_spans_is_refused_before_it_is_decoded() {
        assert_eq!(check(&export(1_000), &TRACES), Ok(()));
        assert_eq!(check(&export(MESSAGES_MAX), &TRACES), Err(Error::TooMany));
    }

    #[test]
    fn what_is_no_protobuf_is_malformed() {
        for bytes in [&b"hello"[..], b"{\"resourceSpans\":[]}", &[0x0a, 0xff], &[0x0b]] {
            assert_eq!(check(bytes, &TRACES), Err(Error::Malformed), "{bytes:?}");
        }
        let deep = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
            let mut outer = vec![0x2a];
            prost::encoding::encode_varint(inner.len() as u64 + 2, &mut outer);
            outer.push(0x0a);
            prost::encoding::encode_varint(inner.len() as u64, &mut outer);
            outer.extend(inner);
            outer
        });
        assert!(check(&deep, &VALUE).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for shape in [&TRACES, &LOGS, &METRICS, &VALUE] {
                let _ = check(&bytes, shape);
            }
        }
    }
}
