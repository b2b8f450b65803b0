//! Log records: a page of those that match.

use crate::api;
use crate::record::{Log, Resource, span_hex, trace_hex};
use crate::store::{LogFilter, LogKey, Store};

use super::{attributes, rfc3339};

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
            .map(|(_, sent)| to_api(&sent.resource, &sent.record))
            .collect(),
        next,
    }
}

/// Reads the cursor of a page.
pub fn parse_cursor(text: &str) -> Option<LogKey> {
    let (time_ns, arrival) = text.split_once('-')?;
    Some((time_ns.parse().ok()?, arrival.parse().ok()?))
}

pub(crate) fn to_api(resource: &Resource, log: &Log) -> api::Log {
    api::Log {
        ts: rfc3339(log.time_ns),
        brick: resource.service.clone(),
        version: resource.version.clone(),
        instance: resource.instance.clone(),
        level: log.level.as_str().to_owned(),
        msg: log.message.clone(),
        trace_id: (log.trace_id != [0; 16]).then(|| trace_hex(&log.trace_id)),
        span_id: (log.span_id != 0).then(|| span_hex(log.span_id)),
        fields: attributes(&log.fields),
    }
}
