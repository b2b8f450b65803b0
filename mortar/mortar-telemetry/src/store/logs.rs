//! Log records in a ring, chained by trace where they name one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::record::{Level, Log, Resource, Sent, SpanId, TraceId};

use super::codec::map_bytes;
use super::ring::{Link, NOWHERE, Position, Ring, Segment};
use super::{LogFilter, LogKey};

const NO_TRACE: TraceId = [0; 16];

#[derive(Debug)]
pub(super) struct Row {
    link: Link,
    trace_id: TraceId,
    span_id: SpanId,
    time_ns: u64,
    level: Level,
}

#[derive(Debug)]
pub(super) struct Logs {
    ring: Ring<Row>,
    traces: HashMap<TraceId, Position>,
    bytes_max: usize,
    live: u64,
    pub(super) evicted: u64,
}

impl Logs {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            ring: Ring::new(bytes_max),
            traces: HashMap::new(),
            bytes_max,
            live: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.live
    }

    pub(super) fn bytes(&self) -> usize {
        self.ring.bytes() + map_bytes::<(TraceId, Position)>(self.traces.capacity())
    }

    pub(super) fn push(&mut self, resource: &Arc<Resource>, log: &Log) {
        let previous = self.traces.get(&log.trace_id).copied().unwrap_or(NOWHERE);
        let at = self.ring.push(resource, previous, |link, writer| {
            writer.text(&log.message);
            writer.attributes(&log.fields);
            Row {
                link,
                trace_id: log.trace_id,
                span_id: log.span_id,
                time_ns: log.time_ns,
                level: log.level,
            }
        });
        if log.trace_id != NO_TRACE {
            self.traces.insert(log.trace_id, at);
        }
        self.live += 1;
        while self.bytes() > self.bytes_max && self.evict() {}
    }

    fn evict(&mut self) -> bool {
        let Some((number, segment)) = self.ring.evict() else {
            return false;
        };
        let gone = segment.rows.len() as u64;
        self.live = self.live.saturating_sub(gone);
        self.evicted += gone;
        for row in &segment.rows {
            if self
                .traces
                .get(&row.trace_id)
                .is_some_and(|last| last.segment <= number)
            {
                self.traces.remove(&row.trace_id);
            }
        }
        if self.traces.len() < self.traces.capacity() / 4 {
            self.traces.shrink_to(self.traces.len() * 2);
        }
        true
    }

    pub(super) fn find(
        &self,
        filter: &LogFilter,
        limit: usize,
        after: Option<LogKey>,
    ) -> Vec<(LogKey, Sent<Log>)> {
        match filter.trace {
            Some(id) => {
                let mut next = self.traces.get(&id).copied().unwrap_or(NOWHERE);
                let chain = std::iter::from_fn(|| {
                    let at = next;
                    let (segment, row) = self.ring.get(at)?;
                    next = row.link.previous;
                    Some((at, segment, row))
                });
                newest(chain, filter, limit, after, &self.ring)
            }
            None => newest(self.ring.newest_first(), filter, limit, after, &self.ring),
        }
    }
}

/// The newest `limit` rows that match. Rows come roughly newest first, so most are passed over by their key alone.
fn newest<'a>(
    rows: impl Iterator<Item = (Position, &'a Segment<Row>, &'a Row)>,
    filter: &LogFilter,
    limit: usize,
    after: Option<LogKey>,
    ring: &Ring<Row>,
) -> Vec<(LogKey, Sent<Log>)> {
    let mut best: BinaryHeap<Reverse<(LogKey, Position)>> = BinaryHeap::new();
    for (at, segment, row) in rows {
        let key = (row.time_ns, u64::from(at.segment) << 32 | u64::from(at.row));
        let wanted = after.is_none_or(|after| key < after)
            && (best.len() < limit || best.peek().is_some_and(|worst| key > worst.0.0))
            && filter.matches_head(row.time_ns, row.level, &row.trace_id)
            && segment
                .resource(&row.link)
                .is_some_and(|resource| filter.matches_resource(resource))
            && holds(segment, row, filter);
        if wanted {
            best.push(Reverse((key, at)));
            if best.len() > limit {
                best.pop();
            }
        }
    }
    let keys = best.into_sorted_vec().into_iter();
    keys.filter_map(|Reverse((key, at))| {
        let (segment, row) = ring.get(at)?;
        Some((key, decode(segment, row)?))
    })
    .collect()
}

fn holds(segment: &Segment<Row>, row: &Row, filter: &LogFilter) -> bool {
    if filter.text.is_none() {
        return true;
    }
    let mut reader = segment.reader(&row.link);
    let message = reader.text();
    filter.matches_text(message, std::iter::empty())
        || filter.matches_text("", reader.attributes().iter().map(|(_, value)| value.to_text()))
}

fn decode(segment: &Segment<Row>, row: &Row) -> Option<Sent<Log>> {
    let mut reader = segment.reader(&row.link);
    Some(Sent {
        resource: Arc::clone(segment.resource(&row.link)?),
        record: Log {
            time_ns: row.time_ns,
            level: row.level,
            message: reader.text().to_owned(),
            trace_id: row.trace_id,
            span_id: row.span_id,
            fields: reader.attributes(),
        },
    })
}
