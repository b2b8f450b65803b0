//! Log records: a page of those that match, how they divide, and what surrounds one.

use std::sync::Arc;

use serde::Serialize;

use crate::api;
use crate::record::{Log, Resource, span_hex, trace_hex};
use crate::store::{LogFilter, LogId, LogKey, Store};

use super::{FACET_VALUES_MAX, Fields, attributes, rfc3339};

/// A page of the records that match, newest first.
pub fn search(
    store: &dyn Store,
    filter: &LogFilter,
    limit: usize,
    after: Option<LogKey>,
) -> api::Page<api::Log> {
    let mut found = store.find_logs(filter, limit + 1, after);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|((time_ns, arrival), _)| format!("{time_ns}-{arrival}"));
    api::Page {
        items: found
            .iter()
            .map(|((_, id), sent)| to_api(*id, &sent.resource, &sent.record))
            .collect(),
        next,
    }
}

/// Reads the cursor of a page.
pub fn parse_cursor(text: &str) -> Option<LogKey> {
    let (time_ns, arrival) = text.split_once('-')?;
    Some((time_ns.parse().ok()?, arrival.parse().ok()?))
}

/// How the records that match divide.
pub fn facets(store: &dyn Store, filter: &LogFilter) -> api::LogFacets {
    let told = |values: Vec<(String, u64)>| {
        let values = values.into_iter();
        values
            .map(|(value, count)| api::FacetValue { value, count })
            .collect()
    };
    let facets = store.log_facets(filter, FACET_VALUES_MAX);
    api::LogFacets {
        brick: told(facets.bricks),
        instance: told(facets.instances),
        level: told(facets.levels),
        version: told(facets.versions),
    }
}

/// A record among those of its instance; none when it is not kept.
pub fn context(store: &dyn Store, id: LogId, before: usize, after: usize) -> Option<api::LogContext> {
    let found = store.log_context(id, before, after)?;
    let items = found.iter();
    Some(api::LogContext {
        items: items
            .map(|((_, id), sent)| to_api(*id, &sent.resource, &sent.record))
            .collect(),
    })
}

/// [`api::Log`] without a copy of its texts.
#[derive(Serialize)]
struct Body<'a> {
    id: String,
    ts: String,
    brick: &'a str,
    version: &'a str,
    instance: &'a str,
    level: &'static str,
    msg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    fields: Fields<'a>,
}

/// A record as JSON.
pub(crate) fn encode(id: LogId, resource: &Resource, log: &Log) -> Arc<str> {
    let body = Body {
        id: id.to_string(),
        ts: rfc3339(log.time_ns),
        brick: &resource.service,
        version: &resource.version,
        instance: &resource.instance,
        level: log.level.as_str(),
        msg: &log.message,
        trace_id: trace_id(log),
        span_id: span_id(log),
        fields: Fields(&log.fields),
    };
    serde_json::to_string(&body).unwrap_or_default().into()
}

fn trace_id(log: &Log) -> Option<String> {
    (log.trace_id != [0; 16]).then(|| trace_hex(&log.trace_id))
}

fn span_id(log: &Log) -> Option<String> {
    (log.span_id != 0).then(|| span_hex(log.span_id))
}

pub(crate) fn to_api(id: LogId, resource: &Resource, log: &Log) -> api::Log {
    api::Log {
        id: id.to_string(),
        ts: rfc3339(log.time_ns),
        brick: resource.service.clone(),
        version: resource.version.clone(),
        instance: resource.instance.clone(),
        level: log.level.as_str().to_owned(),
        msg: log.message.clone(),
        trace_id: trace_id(log),
        span_id: span_id(log),
        fields: attributes(&log.fields),
    }
}
