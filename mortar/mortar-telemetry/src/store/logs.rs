//! Log records in a ring, chained by trace where they name one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use crate::record::{Level, Log, Resource, Sent, SpanId, TraceId};

use super::codec::map_bytes;
use super::facets::Counts;
use super::ring::{Link, NOWHERE, Position, Ring, Segment};
use super::{LogFacets, LogFilter, LogId, LogKey};

const NO_TRACE: TraceId = [0; 16];
/// In the order of their numbers.
const LEVELS: [Level; 5] = [Level::Trace, Level::Debug, Level::Info, Level::Warn, Level::Error];

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
    /// A store whose first record gets the id `first_id`.
    pub(super) fn new(bytes_max: usize, first_id: LogId) -> Self {
        Self {
            ring: Ring::new(bytes_max, first_id),
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

    /// Keeps a record, and gives its id.
    pub(super) fn push(&mut self, resource: &Arc<Resource>, log: &Log) -> LogId {
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
        let id = self.ring.id(at);
        while self.bytes() > self.bytes_max && self.evict() {}
        id
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

impl Logs {
    /// Counts by brick, instance, level and version in one pass.
    pub(super) fn facets(&self, filter: &LogFilter, limit: usize) -> LogFacets {
        let (mut bricks, mut instances) = (Counts::default(), Counts::default());
        let (mut levels, mut versions) = ([0_u64; LEVELS.len()], Counts::default());
        for (_, segment) in self.ring.segments() {
            let resources = segment.resources();
            let wanted: Vec<bool> = resources.iter().map(|r| filter.matches_resource(r)).collect();
            let mut counts = vec![0_u64; resources.len()];
            for row in &segment.rows {
                let at = usize::from(row.link.resource);
                if wanted.get(at).copied().unwrap_or_default()
                    && filter.matches_head(row.time_ns, row.level, &row.trace_id)
                    && holds(segment, row, filter)
                {
                    counts[at] += 1;
                    levels[row.level as usize] += 1;
                }
            }
            for (resource, count) in resources.iter().zip(counts) {
                bricks.add(&resource.service, count);
                instances.add(&resource.instance, count);
                versions.add(&resource.version, count);
            }
        }
        let mut by_level = Counts::default();
        for (level, count) in LEVELS.into_iter().zip(levels) {
            by_level.add(level.as_str(), count);
        }
        LogFacets {
            bricks: bricks.most(limit),
            instances: instances.most(limit),
            levels: by_level.most(limit),
            versions: versions.most(limit),
        }
    }

    /// The record, `before` records of its instance that arrived earlier and `after` that arrived later.
    pub(super) fn context(&self, id: LogId, before: usize, after: usize) -> Option<Vec<(LogKey, Sent<Log>)>> {
        let at = self.ring.position(id)?;
        let (segment, row) = self.ring.get(at)?;
        let own = segment.resource(&row.link)?;
        let same = |segment: &Segment<Row>, row: &Row| {
            segment
                .resource(&row.link)
                .is_some_and(|r| r.instance == own.instance && r.service == own.service)
        };
        let told = |at, segment, row: &Row| Some(((row.time_ns, self.ring.id(at)), decode(segment, row)?));
        let mut found: VecDeque<_> = told(at, segment, row).into_iter().collect();
        let older = self.ring.older(at).filter(|(_, segment, row)| same(segment, row));
        for (at, segment, row) in older.take(before) {
            if let Some(told) = told(at, segment, row) {
                found.push_front(told);
            }
        }
        let newer = self.ring.newer(at).filter(|(_, segment, row)| same(segment, row));
        found.extend(
            newer
                .take(after)
                .filter_map(|(at, segment, row)| told(at, segment, row)),
        );
        Some(found.into())
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
        let key = (row.time_ns, ring.id(at));
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
        || filter.matches_text("", reader.each_attribute().map(|(_, value)| value.to_text()))
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
