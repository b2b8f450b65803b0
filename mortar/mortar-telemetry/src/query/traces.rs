//! Traces: search, and how those that match divide.

use crate::api;
use crate::record::{parse_trace_id, trace_hex};
use crate::store::{Store, TraceFilter, TraceHead, TraceKey, TraceShare};

use super::{FACET_VALUES_MAX, rfc3339};

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
