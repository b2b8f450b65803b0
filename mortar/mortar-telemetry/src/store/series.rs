//! Metric series: equal values in a row are one run, so a metric that stands still costs nothing.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::record::{Family, MetricBatch, MetricKind, Sample};

use super::{Appended, SeriesData};

/// A series is refused and counted beyond one for so many bytes of the cap: a new one takes about half of that, and
/// what is left holds its points.
pub(super) const BYTES_A_SERIES: usize = 640;
const FAMILIES_MAX: usize = 2_000;
const RETAIN_MS: u64 = 3_600_000;
/// Longest pause between two equal values that still counts as one run: three scrapes of five seconds.
const RUN_GAP_MS: u64 = 15_000;
/// How often old points are looked for.
const CHECK_MS: u64 = 10_000;
/// Points a series begins with, for most stand still.
const FIRST_POINTS: usize = 4;
/// Points a series grows by.
const GROWTH: usize = 16;
/// Ends a part of a series' key; it cannot occur in one, for ingest replaces it.
const END: char = '\u{1f}';

/// One value, seen first at `start_ms` and last `length_ms` later.
#[derive(Debug, Clone, Copy)]
struct Run {
    start_ms: u64,
    value: f64,
    length_ms: u32,
}

#[derive(Debug)]
struct Series {
    runs: VecDeque<Run>,
}

/// Keyed by name and sorted labels in one text, so that a name's series lie side by side.
#[derive(Debug)]
pub(super) struct Metrics {
    series: BTreeMap<Box<str>, Series>,
    families: BTreeMap<String, Family>,
    heap: usize,
    bytes_max: usize,
    newest_ms: u64,
    /// When old points were last looked for.
    checked_ms: u64,
    pub(super) evicted: u64,
}

impl Run {
    fn end_ms(&self) -> u64 {
        self.start_ms + u64::from(self.length_ms)
    }
}

fn entry_bytes(key: &str) -> usize {
    // A B-tree's nodes are two thirds full on average; sixteen is what the allocator adds to the key.
    size_of::<(Box<str>, Series)>() * 3 / 2 + key.len() + 16
}

impl Metrics {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            series: BTreeMap::new(),
            families: BTreeMap::new(),
            heap: 0,
            bytes_max,
            newest_ms: 0,
            checked_ms: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.series.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.heap
    }

    /// Points later than `latest_ms` are refused, for that reason.
    pub(super) fn append(&mut self, batch: &MetricBatch, latest_ms: u64, ahead: &'static str) -> Appended {
        let mut appended = Appended::default();
        for family in &batch.families {
            self.family(family);
        }
        let mut key = String::new();
        for sample in &batch.samples {
            if sample.time_ms > latest_ms {
                appended.refuse(ahead);
                continue;
            }
            write_key(&mut key, sample);
            if let Some(series) = self.series.get_mut(key.as_str()) {
                let before = series.runs.capacity();
                series.add(sample);
                self.heap += (series.runs.capacity() - before) * size_of::<Run>();
            } else if self.series.len() >= self.bytes_max / BYTES_A_SERIES {
                appended.refuse("there are as many series as fit into the cap; use fewer label values, or raise telemetry.bytes_max of [mortar]");
                continue;
            } else {
                let mut series = Series {
                    runs: VecDeque::new(),
                };
                if let Some(zero_ms) = batch
                    .zero_at_ms
                    .filter(|at| sample.cumulative && *at < sample.time_ms)
                {
                    series.add(&Sample {
                        time_ms: zero_ms,
                        value: 0.0,
                        delta: false,
                        ..sample.clone()
                    });
                }
                series.add(sample);
                self.heap += entry_bytes(&key) + series.runs.capacity() * size_of::<Run>();
                self.series.insert(key.as_str().into(), series);
            }
            self.newest_ms = self.newest_ms.max(sample.time_ms);
            appended.accept();
        }
        self.keep_bounds();
        appended
    }

    fn family(&mut self, family: &Family) {
        if self.families.len() < FAMILIES_MAX && !self.families.contains_key(&family.name) {
            self.heap += 2 * (size_of::<(String, Family)>() + family.name.len())
                + family.unit.len()
                + family.help.len();
            self.families.insert(family.name.clone(), family.clone());
        }
    }

    /// Drops what is older than an hour, and the oldest tenth of the time covered for as long as the cap is exceeded.
    fn keep_bounds(&mut self) {
        // Looking for them walks over every series: not for every batch of every instance.
        if self.heap <= self.bytes_max && self.newest_ms < self.checked_ms.saturating_add(CHECK_MS) {
            return;
        }
        self.checked_ms = self.newest_ms;
        let mut cutoff = self.newest_ms.saturating_sub(RETAIN_MS);
        let oldest = self
            .series
            .values()
            .filter_map(|s| s.runs.front())
            .map(Run::end_ms)
            .min()
            .unwrap_or(u64::MAX);
        // A minute of slack, so that not every batch walks over every series.
        if oldest.saturating_add(60_000) < cutoff {
            self.evict_before(cutoff);
        }
        cutoff = cutoff.max(oldest);
        while self.heap > self.bytes_max && !self.series.is_empty() {
            cutoff += (self.newest_ms.saturating_sub(cutoff) / 10).max(1_000);
            self.evict_before(cutoff);
            if cutoff > self.newest_ms + 1_000 {
                self.evict_before(u64::MAX);
            }
        }
    }

    fn evict_before(&mut self, cutoff_ms: u64) {
        let (mut evicted, mut freed) = (0, 0);
        self.series.retain(|key, series| {
            let old = series
                .runs
                .iter()
                .take_while(|run| run.end_ms() < cutoff_ms)
                .count();
            if old > 0 {
                let before = series.runs.capacity();
                series.runs.drain(..old);
                series.runs.shrink_to(series.runs.len() + GROWTH);
                evicted += old as u64;
                freed += (before - series.runs.capacity()) * size_of::<Run>();
            }
            if series.runs.is_empty() {
                freed += entry_bytes(key) + series.runs.capacity() * size_of::<Run>();
            }
            !series.runs.is_empty()
        });
        self.evicted += evicted;
        self.heap = self.heap.saturating_sub(freed);
    }

    pub(super) fn select(
        &self,
        name: &str,
        labels: &[(String, String)],
        from_ms: u64,
        to_ms: u64,
    ) -> Vec<SeriesData> {
        // An empty value asks for series without the label (Prometheus, "vector selectors").
        let carries = |have: &[(String, String)]| {
            labels.iter().all(|wanted| match wanted.1.as_str() {
                "" => !have
                    .iter()
                    .any(|(name, value)| *name == wanted.0 && !value.is_empty()),
                _ => have.contains(wanted),
            })
        };
        self.of(name)
            .map(|(key, series)| (read_labels(key), series))
            .filter(|(have, _)| carries(have))
            .map(|(labels, series)| SeriesData {
                labels,
                points: series.points(from_ms, to_ms),
            })
            .filter(|series| !series.points.is_empty())
            .collect()
    }

    pub(super) fn families(&self) -> Vec<(Family, u64)> {
        let count = |name: &str| self.of(name).count() as u64;
        self.families
            .values()
            .map(|family| {
                let series = match family.kind {
                    MetricKind::Histogram | MetricKind::Summary => count(&format!("{}_count", family.name)),
                    _ => count(&family.name),
                };
                (family.clone(), series)
            })
            .filter(|(_, series)| *series > 0)
            .collect()
    }

    fn of<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a Series)> {
        let prefix = format!("{name}{END}");
        let from = prefix.clone().into_boxed_str();
        self.series
            .range(from..)
            .map(|(key, series)| (key.as_ref(), series))
            .take_while(move |(key, _)| key.starts_with(&prefix))
    }
}

impl Series {
    fn add(&mut self, sample: &Sample) {
        let Some(last) = self.runs.back_mut() else {
            self.runs.reserve_exact(FIRST_POINTS);
            self.runs.push_back(Run {
                start_ms: sample.time_ms,
                value: sample.value,
                length_ms: 0,
            });
            return;
        };
        // A point that is not newer adds nothing: two senders of one series, or a repeated export.
        if sample.time_ms <= last.end_ms() && !sample.delta {
            return;
        }
        let time_ms = sample.time_ms.max(last.end_ms());
        let value = if sample.delta {
            last.value + sample.value
        } else {
            sample.value
        };
        let length = u32::try_from(time_ms - last.start_ms).ok();
        #[expect(clippy::float_cmp, reason = "a run is of exactly equal values")]
        let same = value == last.value && time_ms - last.end_ms() <= RUN_GAP_MS;
        if let (true, Some(length_ms)) = (same, length) {
            last.length_ms = length_ms;
            return;
        }
        if self.runs.len() == self.runs.capacity() {
            self.runs.reserve_exact(GROWTH);
        }
        self.runs.push_back(Run {
            start_ms: time_ms,
            value,
            length_ms: 0,
        });
    }

    fn points(&self, from_ms: u64, to_ms: u64) -> Vec<(u64, f64)> {
        let mut points = Vec::new();
        for run in self
            .runs
            .iter()
            .filter(|run| run.end_ms() >= from_ms && run.start_ms <= to_ms)
        {
            // A long run is told by points no further apart than the gap that a reader takes for silence.
            let mut at = run.start_ms.max(from_ms);
            let end = run.end_ms().min(to_ms);
            points.push((at, run.value));
            while at < end {
                at = (at + RUN_GAP_MS / 3).min(end);
                points.push((at, run.value));
            }
        }
        points
    }
}

fn write_key(key: &mut String, sample: &Sample) {
    key.clear();
    let _ = write!(key, "{}{END}", sample.name);
    let mut order: Vec<&(String, String)> = sample.labels.iter().collect();
    order.sort();
    for (name, value) in order {
        for part in [name, value] {
            key.extend(part.chars().map(|c| if c == END { ' ' } else { c }));
            key.push(END);
        }
    }
}

fn read_labels(key: &str) -> Vec<(String, String)> {
    let mut parts = key.split(END).skip(1);
    let mut labels = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        labels.push((name.to_owned(), value.to_owned()));
    }
    labels
}
