//! When and how long: all traces that match, in columns of time and rows of duration.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::api;
use crate::store::{Store, TraceFilter, TraceShape};

/// Columns unless said.
pub const COLUMNS: usize = 60;
/// Columns at most.
pub const COLUMNS_MAX: usize = 240;
/// Upper bounds of the rows in nanoseconds.
const BOUNDS_NS: [u64; 16] = [
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];
const SECOND_NS: u64 = 1_000_000_000;

/// The map of all traces that match: from the time that the filter asks for (from the first trace where it asks for
/// none) to the one it ends at (now where it names none).
pub fn heatmap(store: &dyn Store, filter: &TraceFilter, columns: usize) -> api::Heatmap {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    heatmap_at(store, filter, columns, now.as_secs())
}

#[expect(clippy::cast_precision_loss, reason = "bounds are below 2^53")]
fn heatmap_at(store: &dyn Store, filter: &TraceFilter, columns: usize, now_s: u64) -> api::Heatmap {
    let columns = columns.clamp(1, COLUMNS_MAX);
    let mut shapes: Vec<TraceShape> = Vec::new();
    store.each_trace(filter, &mut |shape| shapes.push(shape));
    let until_s = filter
        .until_ns
        .map_or(now_s + 1, |until| until.div_ceil(SECOND_NS).min(now_s + 1));
    let earliest_ns = shapes.iter().map(|shape| shape.end_ns).min();
    let since_s = match filter.since_ns {
        0 => earliest_ns.map_or(now_s, |at| at / SECOND_NS),
        since => since / SECOND_NS,
    };
    let step_s = until_s.saturating_sub(since_s).div_ceil(columns as u64).max(1);
    let from_unix_s = until_s.saturating_sub(step_s * columns as u64);
    let mut cells = vec![vec![[0_u64; 2]; BOUNDS_NS.len() + 1]; columns];
    for shape in shapes {
        // A clock that is ahead puts a trace behind the end: it counts in the last column.
        let column = (shape.end_ns / SECOND_NS).saturating_sub(from_unix_s) / step_s;
        let column = usize::try_from(column).unwrap_or(usize::MAX).min(columns - 1);
        let row = BOUNDS_NS.partition_point(|bound| *bound <= shape.duration_ns);
        if let Some([count, errors]) = cells.get_mut(column).and_then(|rows| rows.get_mut(row)) {
            *count += 1;
            *errors += u64::from(shape.error);
        }
    }
    api::Heatmap {
        from_unix_s,
        step_s,
        bounds_ms: BOUNDS_NS.iter().map(|ns| *ns as f64 / 1e6).collect(),
        cells,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::record::{Kind, Resource, Span, Status};
    use crate::store::Memory;

    fn span(number: u64, end_s: u64, ms: u64, status: Status) -> Span {
        Span {
            trace_id: u128::from(number).to_be_bytes(),
            span_id: 1,
            parent_id: 0,
            name: "GET /".to_owned(),
            kind: Kind::Server,
            status,
            status_message: String::new(),
            start_ns: end_s * SECOND_NS - ms * 1_000_000,
            end_ns: end_s * SECOND_NS,
            attributes: Vec::new(),
            events: Vec::new(),
        }
    }

    #[test]
    fn every_trace_lies_in_the_cell_of_its_end_and_duration() {
        let store = Memory::new(1 << 20);
        let from = Arc::new(Resource::default());
        let now_s = 1_700_000_000;
        let spans = [
            span(1, now_s - 590, 3, Status::Unset),
            span(2, now_s - 590, 4, Status::Error),
            span(3, now_s, 120_000, Status::Unset),
            span(4, now_s - 4_000, 1, Status::Unset),
        ];
        store.append_spans(&from, &spans);
        let filter = TraceFilter {
            since_ns: (now_s - 599) * SECOND_NS,
            ..TraceFilter::default()
        };
        let map = heatmap_at(&store, &filter, 60, now_s);
        assert_eq!((map.from_unix_s, map.step_s), (now_s - 599, 10));
        assert_eq!(
            (map.cells.len(), map.cells[0].len(), map.bounds_ms.len()),
            (60, 17, 16)
        );
        assert_eq!(map.cells[0][3], [2, 1], "between 2 ms and 5 ms");
        assert_eq!(map.cells[59][16], [1, 0], "above all bounds");
        let all: u64 = map.cells.iter().flatten().map(|[count, _]| count).sum();
        assert_eq!(all, 3);
        let all = heatmap_at(&store, &TraceFilter::default(), 1, now_s);
        assert_eq!((all.from_unix_s, all.cells[0][2]), (now_s - 4_000, [1, 0]));
    }

    #[test]
    fn an_empty_store_gives_an_empty_map() {
        let map = heatmap_at(&Memory::new(1 << 20), &TraceFilter::default(), 60, 1_700_000_000);
        assert_eq!((map.step_s, map.cells.len()), (1, 60));
        assert!(map.cells.iter().flatten().all(|cell| *cell == [0, 0]));
    }
}
