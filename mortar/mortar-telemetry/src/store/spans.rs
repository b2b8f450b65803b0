//! Spans in a ring, chained by trace, with an index from trace id to the newest span of each.
//!
//! What always holds: a trace whose oldest spans were evicted is evicted whole (only a trace that fills a quarter of
//! the store loses its oldest spans alone), so a search never shows a fragment that eviction made.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use brick_telemetry::context::SYNTHETIC;

use crate::record::{Kind, Resource, Sent, Span, SpanId, Status, TraceId};

use super::codec::map_bytes;
use super::facets::Shares;
use super::ring::{Link, NOWHERE, Position, Ring, Segment};
use super::{SpanPlace, TraceFacets, TraceFilter, TraceHead, TraceKey, TraceShape};

#[derive(Debug)]
pub(super) struct Row {
    link: Link,
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: SpanId,
    start_ns: u64,
    duration_ns: u64,
    name: u32,
    kind: Kind,
    status: Status,
}

#[derive(Debug)]
struct Entry {
    last: Position,
    first_segment: u32,
    spans: u32,
    start_ns: u64,
    end_ns: u64,
    root: Option<(u64, u64)>,
    error: bool,
    synthetic: bool,
}

#[derive(Debug)]
pub(super) struct Spans {
    ring: Ring<Row>,
    traces: HashMap<TraceId, Entry>,
    bytes_max: usize,
    live: u64,
    pub(super) evicted: u64,
}

/// What the texts of one segment are in the facets.
struct Numbers {
    services: Vec<usize>,
    /// Whether a resource is of the service whose operations count.
    wanted: Vec<bool>,
    operations: HashMap<u32, usize>,
}

impl Entry {
    fn key(&self, id: &TraceId) -> TraceKey {
        (self.root.map_or(self.end_ns, |(_, end)| end), *id)
    }

    /// Whether the trace is one of those asked for, as far as can be said without its spans.
    fn matches(&self, filter: &TraceFilter) -> bool {
        let end_ns = self.root.map_or(self.end_ns, |(_, end)| end);
        let (_, duration_ns) = self.window();
        end_ns >= filter.since_ns
            && filter.until_ns.is_none_or(|until| end_ns < until)
            && duration_ns >= filter.min_ns
            && filter.max_ns.is_none_or(|max| duration_ns <= max)
            && filter.error.is_none_or(|error| error == self.error)
            && filter.synthetic.takes(self.synthetic)
    }

    fn window(&self) -> (u64, u64) {
        let (start, end) = self.root.unwrap_or((self.start_ns, self.end_ns));
        (start, end.saturating_sub(start))
    }
}

impl Spans {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            ring: Ring::new(bytes_max, 0),
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
        self.ring.bytes() + map_bytes::<(TraceId, Entry)>(self.traces.capacity())
    }

    pub(super) fn push(&mut self, resource: &Arc<Resource>, span: &Span) {
        let previous = self
            .traces
            .get(&span.trace_id)
            .map_or(NOWHERE, |entry| entry.last);
        let at = self.ring.push(resource, previous, |link, writer| {
            let name = writer.words.word(&span.name);
            writer.text(&span.status_message);
            writer.attributes(&span.attributes);
            writer.events(&span.events, span.start_ns);
            Row {
                link,
                trace_id: span.trace_id,
                span_id: span.span_id,
                parent_id: span.parent_id,
                start_ns: span.start_ns,
                duration_ns: span.end_ns.saturating_sub(span.start_ns),
                name,
                kind: span.kind,
                status: span.status,
            }
        });
        let entry = self.traces.entry(span.trace_id).or_insert(Entry {
            last: at,
            first_segment: at.segment,
            spans: 0,
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            root: None,
            error: false,
            synthetic: false,
        });
        entry.last = at;
        entry.spans = entry.spans.saturating_add(1);
        entry.start_ns = entry.start_ns.min(span.start_ns);
        entry.end_ns = entry.end_ns.max(span.end_ns);
        entry.error |= span.status == Status::Error;
        entry.synthetic |= span.attributes.iter().any(|(key, _)| key == SYNTHETIC);
        if span.parent_id == 0 {
            entry.root = Some((span.start_ns, span.end_ns));
        }
        self.live += 1;
        while self.bytes() > self.bytes_max && self.evict() {}
    }

    fn evict(&mut self) -> bool {
        let Some((number, segment)) = self.ring.evict() else {
            return false;
        };
        let giant = self.live / 4;
        let mut cut = HashSet::new();
        for row in &segment.rows {
            let Some(entry) = self.traces.get_mut(&row.trace_id) else {
                continue;
            };
            if cut.contains(&row.trace_id)
                || (entry.first_segment <= number
                    && u64::from(entry.spans) > giant
                    && entry.last.segment > number)
            {
                cut.insert(row.trace_id);
                entry.spans = entry.spans.saturating_sub(1);
                entry.first_segment = number + 1;
                self.live = self.live.saturating_sub(1);
                self.evicted += 1;
            } else if entry.first_segment <= number {
                let gone = u64::from(entry.spans);
                self.live = self.live.saturating_sub(gone);
                self.evicted += gone;
                self.traces.remove(&row.trace_id);
            }
        }
        if self.traces.len() < self.traces.capacity() / 4 {
            self.traces.shrink_to(self.traces.len() * 2);
        }
        true
    }

    /// The rows of a trace as they arrived, newest first; a span that was sent twice is given twice.
    fn arrivals(&self, entry: &Entry) -> impl Iterator<Item = (Position, &Segment<Row>, &Row)> {
        let mut next = entry.last;
        let mut left = entry.spans;
        std::iter::from_fn(move || {
            let at = next;
            let (segment, row) = self.ring.get(at)?;
            left = left.checked_sub(1)?;
            next = row.link.previous;
            Some((at, segment, row))
        })
    }

    /// The rows of a trace, newest arrival first; a span that was sent twice is given once.
    fn rows(&self, entry: &Entry) -> impl Iterator<Item = (&Segment<Row>, &Row)> {
        let mut seen = HashSet::new();
        self.arrivals(entry)
            .filter(move |(_, _, row)| seen.insert(row.span_id))
            .map(|(_, segment, row)| (segment, row))
    }

    pub(super) fn each(&self, filter: &TraceFilter, each: &mut dyn FnMut(TraceShape)) {
        for (id, entry) in &self.traces {
            if entry.matches(filter) && self.holds(entry, filter) {
                each(TraceShape {
                    end_ns: entry.key(id).0,
                    duration_ns: entry.window().1,
                    error: entry.error,
                });
            }
        }
    }

    /// Counts traces by service and operation in one pass. The texts of each segment are looked up once, so that a span
    /// costs two numbers.
    pub(super) fn facets(&self, filter: &TraceFilter, limit: usize) -> TraceFacets {
        let (mut services, mut operations) = (Shares::default(), Shares::default());
        let (mut ok, mut failed) = (0_u64, 0_u64);
        let mut known: HashMap<u32, Numbers> = HashMap::new();
        for (number, segment) in self.ring.segments() {
            let resources = segment.resources();
            known.insert(
                number,
                Numbers {
                    services: resources.iter().map(|r| services.number(&r.service)).collect(),
                    wanted: resources
                        .iter()
                        .map(|r| {
                            filter
                                .service
                                .as_ref()
                                .is_none_or(|service| r.service == *service)
                        })
                        .collect(),
                    operations: HashMap::new(),
                },
            );
        }
        for entry in self.traces.values() {
            if !entry.matches(filter) || !self.holds(entry, filter) {
                continue;
            }
            *(if entry.error { &mut failed } else { &mut ok }) += 1;
            let trace = ok + failed;
            for (at, segment, row) in self.arrivals(entry) {
                let Some(numbers) = known.get_mut(&at.segment) else {
                    continue;
                };
                let resource = usize::from(row.link.resource);
                let error = row.status == Status::Error;
                if let Some(service) = numbers.services.get(resource) {
                    services.add(*service, trace, error);
                }
                let serves = matches!(row.kind, Kind::Server | Kind::Consumer) || row.parent_id == 0;
                if serves && numbers.wanted.get(resource).copied().unwrap_or_default() {
                    let known = numbers.operations.entry(row.name);
                    let operation = *known.or_insert_with(|| operations.number(segment.words.get(row.name)));
                    operations.add(operation, trace, error);
                }
            }
        }
        TraceFacets {
            services: services.most(limit),
            operations: operations.most(limit),
            ok,
            failed,
        }
    }

    pub(super) fn find(&self, filter: &TraceFilter, limit: usize, after: Option<TraceKey>) -> Vec<TraceHead> {
        let mut best: BinaryHeap<Reverse<TraceKey>> = BinaryHeap::new();
        for (id, entry) in &self.traces {
            let key = entry.key(id);
            let wanted = after.is_none_or(|after| key < after)
                && entry.matches(filter)
                && (best.len() < limit || best.peek().is_some_and(|worst| key > worst.0))
                && self.holds(entry, filter);
            if wanted {
                best.push(Reverse(key));
                if best.len() > limit {
                    best.pop();
                }
            }
        }
        let keys = best.into_sorted_vec();
        keys.into_iter()
            .filter_map(|Reverse(key)| Some(self.head(key, self.traces.get(&key.1)?)))
            .collect()
    }

    fn holds(&self, entry: &Entry, filter: &TraceFilter) -> bool {
        let named = |segment: &Segment<Row>, row: &Row| {
            filter
                .operation
                .as_ref()
                .is_none_or(|name| segment.words.get(row.name) == name)
                && filter
                    .service
                    .as_ref()
                    .is_none_or(|service| segment.resource(&row.link).is_some_and(|r| r.service == *service))
        };
        if (filter.operation.is_some() || filter.service.is_some())
            && !self.arrivals(entry).any(|(_, segment, row)| named(segment, row))
        {
            return false;
        }
        let mut missing: Vec<&(String, String)> = filter.attributes.iter().collect();
        let mut rows = self.arrivals(entry);
        while !missing.is_empty() {
            let Some((_, segment, row)) = rows.next() else {
                return false;
            };
            let mut reader = segment.reader(&row.link);
            reader.text();
            for (key, value) in reader.each_attribute() {
                missing.retain(|(wanted, text)| wanted != key || value.to_text() != text.as_str());
            }
        }
        true
    }

    fn head(&self, key: TraceKey, entry: &Entry) -> TraceHead {
        let mut services: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let mut first: Option<((bool, u64), &Segment<Row>, &Row)> = None;
        let mut spans = 0;
        let mut synthetic = None;
        for (segment, row) in self.rows(entry) {
            spans += 1;
            if entry.synthetic && synthetic.is_none() {
                let mut reader = segment.reader(&row.link);
                reader.text();
                let made = reader.each_attribute().find(|(key, _)| *key == SYNTHETIC);
                synthetic = made.map(|(_, suite)| suite.to_text().into_owned());
            }
            let service = segment.resource(&row.link).map_or("", |r| r.service.as_str());
            let share = services.entry(service).or_default();
            share.0 += 1;
            share.1 += u64::from(row.status == Status::Error);
            let order = (row.parent_id != 0, row.start_ns);
            if first.is_none_or(|(best, ..)| order < best) {
                first = Some((order, segment, row));
            }
        }
        let mut services: Vec<_> = services
            .into_iter()
            .map(|(name, (n, errors))| (name.to_owned(), n, errors))
            .collect();
        services.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let (start_ns, duration_ns) = entry.window();
        let (service, operation) = first.map_or((String::new(), String::new()), |(_, segment, row)| {
            let service = segment.resource(&row.link).map_or("", |r| r.service.as_str());
            (service.to_owned(), segment.words.get(row.name).to_owned())
        });
        TraceHead {
            key,
            service,
            operation,
            start_ns,
            duration_ns,
            spans,
            services,
            error: entry.error,
            synthetic,
        }
    }

    pub(super) fn places(&self, id: &TraceId) -> Vec<SpanPlace> {
        let Some(entry) = self.traces.get(id) else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut found: Vec<_> = self
            .arrivals(entry)
            .filter(|(_, _, row)| seen.insert(row.span_id))
            .map(|(at, _, row)| ((row.start_ns, row.parent_id != 0), SpanPlace(at.segment, at.row)))
            .collect();
        found.sort_by_key(|(order, _)| *order);
        found.into_iter().map(|(_, place)| place).collect()
    }

    pub(super) fn at(&self, places: &[SpanPlace]) -> Vec<Sent<Span>> {
        let found = places.iter().filter_map(|SpanPlace(segment, row)| {
            let at = Position {
                segment: *segment,
                row: *row,
            };
            let (segment, row) = self.ring.get(at)?;
            decode(segment, row)
        });
        found.collect()
    }
}

fn decode(segment: &Segment<Row>, row: &Row) -> Option<Sent<Span>> {
    let mut reader = segment.reader(&row.link);
    let status_message = reader.text().to_owned();
    let attributes = reader.attributes();
    let events = reader.events(row.start_ns);
    Some(Sent {
        resource: Arc::clone(segment.resource(&row.link)?),
        record: Span {
            trace_id: row.trace_id,
            span_id: row.span_id,
            parent_id: row.parent_id,
            name: segment.words.get(row.name).to_owned(),
            kind: row.kind,
            status: row.status,
            status_message,
            start_ns: row.start_ns,
            end_ns: row.start_ns.saturating_add(row.duration_ns),
            attributes,
            events,
        },
    })
}
