//! Traces: search, how those that match divide, and one by id.

use crate::api;
use crate::record::{Event, Sent, Span, TraceId, parse_trace_id, span_hex, trace_hex};
use crate::store::{LogFilter, Store, TraceFilter, TraceHead, TraceKey, TraceShare};

use super::{FACET_VALUES_MAX, attributes, logs, rfc3339};

/// Log records told with one trace.
const LOGS_MAX: usize = 1_000;

/// A page of the traces that match, newest first.
pub fn search(
    store: &dyn Store,
    filter: &TraceFilter,
    limit: usize,
    after: Option<TraceKey>,
) -> api::Page<api::TraceSummary> {
    let mut heads = store.find_traces(filter, limit + 1, after);
    let more = heads.len() > limit;
    heads.truncate(limit);
    let next = heads.last().filter(|_| more).map(|head| cursor(head.key));
    api::Page {
        items: heads.into_iter().map(summary).collect(),
        next,
    }
}

/// How the traces that match divide.
pub fn facets(store: &dyn Store, filter: &TraceFilter) -> api::TraceFacets {
    let told = |shares: Vec<TraceShare>| {
        let shares = shares.into_iter();
        shares
            .map(|TraceShare { value, count, errors }| api::TraceFacetValue { value, count, errors })
            .collect()
    };
    let facets = store.trace_facets(filter, FACET_VALUES_MAX);
    let status = [("ok", facets.ok), ("error", facets.failed)];
    api::TraceFacets {
        service: told(facets.services),
        operation: told(facets.operations),
        status: status
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(value, count)| api::FacetValue {
                value: value.to_owned(),
                count,
            })
            .collect(),
    }
}

/// One trace with its logs; none when it is unknown (not yet, or no longer).
pub fn by_id(store: &dyn Store, id: &TraceId) -> Option<api::Trace> {
    let spans = store.trace(id);
    let filter = LogFilter {
        trace: Some(*id),
        ..LogFilter::default()
    };
    let mut logs = store.find_logs(&filter, LOGS_MAX, None);
    if spans.is_empty() && logs.is_empty() {
        return None;
    }
    logs.reverse();
    Some(api::Trace {
        trace_id: trace_hex(id),
        spans: spans.iter().map(span).collect(),
        logs: logs
            .iter()
            .map(|((_, id), sent)| logs::to_api(*id, &sent.resource, &sent.record))
            .collect(),
    })
}

/// Reads the cursor of a page.
pub fn parse_cursor(text: &str) -> Option<TraceKey> {
    let (end_ns, id) = text.split_once('-')?;
    Some((end_ns.parse().ok()?, parse_trace_id(id)?))
}

fn cursor((end_ns, id): TraceKey) -> String {
    format!("{end_ns}-{}", trace_hex(&id))
}

#[expect(clippy::cast_precision_loss, reason = "durations below 2^53 ns are exact")]
fn summary(head: TraceHead) -> api::TraceSummary {
    api::TraceSummary {
        trace_id: trace_hex(&head.key.1),
        root_service: head.service,
        root_operation: head.operation,
        start: rfc3339(head.start_ns),
        duration_ms: head.duration_ns as f64 / 1e6,
        spans: head.spans,
        services: head
            .services
            .into_iter()
            .map(|(name, spans, errors)| api::ServiceShare { name, spans, errors })
            .collect(),
        error: head.error,
        synthetic: head.synthetic,
    }
}

fn span(sent: &Sent<Span>) -> api::Span {
    let Sent { resource, record } = sent;
    api::Span {
        span_id: span_hex(record.span_id),
        parent_id: (record.parent_id != 0).then(|| span_hex(record.parent_id)),
        service: resource.service.clone(),
        instance: resource.instance.clone(),
        version: resource.version.clone(),
        zone: resource.zone.clone(),
        operation: record.name.clone(),
        kind: record.kind.as_str().to_owned(),
        start_unix_ns: record.start_ns.to_string(),
        duration_ns: record.end_ns.saturating_sub(record.start_ns),
        status: record.status.as_str().to_owned(),
        status_message: record.status_message.clone(),
        attributes: attributes(&record.attributes),
        events: record.events.iter().map(event).collect(),
    }
}

fn event(event: &Event) -> api::SpanEvent {
    api::SpanEvent {
        name: event.name.clone(),
        time_unix_ns: event.time_ns.to_string(),
        attributes: attributes(&event.attributes),
    }
}
