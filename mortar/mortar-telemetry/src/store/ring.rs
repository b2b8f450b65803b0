//! A ring of segments: rows of fixed size beside their encoded variable part. Only the newest segment grows; eviction
//! takes the oldest whole.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::record::Resource;

use super::codec::{Dictionary, Reader, Writer};

/// Resources of one segment; a segment that holds as many is closed.
const RESOURCES_MAX: usize = 4_096;

/// Where a row lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) row: u32,
}

/// No row.
pub(super) const NOWHERE: Position = Position {
    segment: u32::MAX,
    row: u32::MAX,
};

/// The fixed part that every kind of row starts with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    /// The row before this one in the same trace.
    pub(super) previous: Position,
    /// Start of the variable part in the segment's payload.
    pub(super) payload: u32,
    /// Sender, a number within the segment.
    pub(super) resource: u16,
}

/// A run of rows.
#[derive(Debug)]
pub(super) struct Segment<Row> {
    pub(super) rows: Vec<Row>,
    pub(super) words: Dictionary,
    payload: Vec<u8>,
    resources: Vec<Arc<Resource>>,
    resource_bytes: usize,
    /// Id of the first row; those behind count on.
    first_id: u64,
}

/// The segments, oldest first.
#[derive(Debug)]
pub(super) struct Ring<Row> {
    segments: VecDeque<Segment<Row>>,
    first: u32,
    next_id: u64,
    /// The resource of the newest row: a batch is of one.
    last_resource: usize,
    sealed_bytes: usize,
    segment_bytes: usize,
}

impl<Row> Segment<Row> {
    fn new(first_id: u64) -> Self {
        Self {
            first_id,
            rows: Vec::new(),
            words: Dictionary::default(),
            payload: Vec::new(),
            resources: Vec::new(),
            resource_bytes: 0,
        }
    }

    pub(super) fn resource(&self, link: &Link) -> Option<&Arc<Resource>> {
        self.resources.get(usize::from(link.resource))
    }

    /// The resources of the segment, in the order of their numbers.
    pub(super) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub(super) fn reader(&self, link: &Link) -> Reader<'_> {
        Reader {
            bytes: self.payload.get(link.payload as usize..).unwrap_or_default(),
            words: &self.words,
        }
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + self.payload.capacity()
            + self.words.bytes()
            + self.resources.capacity() * size_of::<Arc<Resource>>()
            + self.resource_bytes
    }

    fn used(&self) -> usize {
        self.rows.len() * size_of::<Row>() + self.payload.len() + self.words.bytes() + self.resource_bytes
    }

    /// The number of a resource, entered if it is new; `likely` is looked at first.
    fn resource_number(&mut self, resource: &Arc<Resource>, likely: usize) -> usize {
        if self
            .resources
            .get(likely)
            .is_some_and(|known| Arc::ptr_eq(known, resource))
        {
            return likely;
        }
        let known = self
            .resources
            .iter()
            .rposition(|known| Arc::ptr_eq(known, resource) || known == resource);
        let at = known.unwrap_or_else(|| {
            self.resource_bytes += resource_bytes(resource);
            self.resources.push(Arc::clone(resource));
            self.resources.len() - 1
        });
        // The next record is most likely of the same batch: found by its pointer, not by comparing texts.
        if let Some(known) = self.resources.get_mut(at) {
            *known = Arc::clone(resource);
        }
        at
    }

    fn seal(&mut self) {
        self.rows.shrink_to_fit();
        self.payload.shrink_to_fit();
        self.resources.shrink_to_fit();
        self.words.seal();
    }
}

fn resource_bytes(resource: &Resource) -> usize {
    // Two counters of the Arc, and what the allocator adds to six allocations.
    size_of::<Resource>()
        + 16
        + 6 * 16
        + resource.service.capacity()
        + resource.version.capacity()
        + resource.instance.capacity()
        + resource.incarnation.capacity()
        + resource.zone.capacity()
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn place(segment: u32, row: usize) -> Position {
    Position {
        segment,
        row: number(row),
    }
}

impl<Row> Ring<Row> {
    /// A ring that closes segments at a 32nd of `bytes_max`; its first row has the id `first_id`.
    pub(super) fn new(bytes_max: usize, first_id: u64) -> Self {
        Self {
            segments: VecDeque::new(),
            first: 0,
            next_id: first_id,
            last_resource: 0,
            sealed_bytes: 0,
            segment_bytes: (bytes_max / 32).clamp(4 * 1024, 1024 * 1024),
        }
    }

    /// Appends a row: `make` writes the variable part and gives the row around the link.
    pub(super) fn push(
        &mut self,
        resource: &Arc<Resource>,
        previous: Position,
        make: impl FnOnce(Link, &mut Writer<'_>) -> Row,
    ) -> Position {
        let full = self
            .segments
            .back()
            .is_none_or(|open| open.used() >= self.segment_bytes || open.resources.len() >= RESOURCES_MAX);
        if full {
            if let Some(open) = self.segments.back_mut() {
                open.seal();
                self.sealed_bytes += open.bytes();
            }
            self.segments.push_back(Segment::new(self.next_id));
        }
        let number = self.last();
        let Some(open) = self.segments.back_mut() else {
            return NOWHERE;
        };
        self.next_id += 1;
        self.last_resource = open.resource_number(resource, self.last_resource);
        let link = Link {
            previous,
            payload: u32::try_from(open.payload.len()).unwrap_or(u32::MAX),
            resource: u16::try_from(self.last_resource).unwrap_or(u16::MAX),
        };
        let row = make(
            link,
            &mut Writer {
                out: &mut open.payload,
                words: &mut open.words,
            },
        );
        open.rows.push(row);
        Position {
            segment: number,
            row: u32::try_from(open.rows.len() - 1).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn get(&self, at: Position) -> Option<(&Segment<Row>, &Row)> {
        let segment = self.segments.get(at.segment.checked_sub(self.first)? as usize)?;
        Some((segment, segment.rows.get(at.row as usize)?))
    }

    /// The id of a row.
    pub(super) fn id(&self, at: Position) -> u64 {
        let segment = at.segment.checked_sub(self.first).map(|at| at as usize);
        let segment = segment.and_then(|at| self.segments.get(at));
        segment.map_or(0, |segment| segment.first_id + u64::from(at.row))
    }

    /// Where the row of that id lies; none when it is not kept.
    pub(super) fn position(&self, id: u64) -> Option<Position> {
        let behind = self.segments.partition_point(|segment| segment.first_id <= id);
        let at = behind.checked_sub(1)?;
        let segment = self.segments.get(at)?;
        let row = usize::try_from(id - segment.first_id).ok()?;
        segment.rows.get(row)?;
        Some(Position {
            segment: self.first + number(at),
            row: number(row),
        })
    }

    /// Segments from the newest to the oldest, with their numbers.
    pub(super) fn segments(&self) -> impl Iterator<Item = (u32, &Segment<Row>)> {
        let first = self.first;
        let numbered = self.segments.iter().enumerate().rev();
        numbered.map(move |(at, segment)| (first + number(at), segment))
    }

    /// Rows from the newest to the oldest.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (Position, &Segment<Row>, &Row)> {
        self.older(NOWHERE)
    }

    /// Rows before that place, newest first.
    pub(super) fn older(&self, than: Position) -> impl Iterator<Item = (Position, &Segment<Row>, &Row)> {
        let segments = self.segments().skip_while(move |(at, _)| *at > than.segment);
        segments.flat_map(move |(segment_number, segment)| {
            let end = if segment_number == than.segment {
                segment.rows.len().min(than.row as usize)
            } else {
                segment.rows.len()
            };
            let rows = segment.rows.iter().enumerate().take(end).rev();
            rows.map(move |(at, row)| (place(segment_number, at), segment, row))
        })
    }

    /// Rows behind that place, oldest first.
    pub(super) fn newer(&self, than: Position) -> impl Iterator<Item = (Position, &Segment<Row>, &Row)> {
        let from = than.segment.saturating_sub(self.first) as usize;
        let segments = self.segments.iter().enumerate().skip(from);
        let first = self.first;
        segments.flat_map(move |(segment_at, segment)| {
            let segment_number = first + number(segment_at);
            let skip = if segment_number == than.segment {
                than.row as usize + 1
            } else {
                0
            };
            let rows = segment.rows.iter().enumerate().skip(skip);
            rows.map(move |(at, row)| (place(segment_number, at), segment, row))
        })
    }

    /// Takes the oldest segment out, with its number.
    pub(super) fn evict(&mut self) -> Option<(u32, Segment<Row>)> {
        let segment = self.segments.pop_front()?;
        let number = self.first;
        self.first += 1;
        if !self.segments.is_empty() {
            self.sealed_bytes -= segment.bytes();
        }
        Some((number, segment))
    }

    /// Heap bytes, unused capacity included.
    pub(super) fn bytes(&self) -> usize {
        self.sealed_bytes
            + self.segments.back().map_or(0, Segment::bytes)
            + self.segments.capacity() * size_of::<Segment<Row>>()
    }

    fn last(&self) -> u32 {
        self.first + u32::try_from(self.segments.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }
}
