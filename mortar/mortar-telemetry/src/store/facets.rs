//! Counting values: what facets are made of.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Counts by value.
#[derive(Debug, Default)]
pub(super) struct Counts<'a>(HashMap<&'a str, u64>);

/// Traces by value: each trace counts once for each value it has.
#[derive(Debug, Default)]
pub(super) struct Shares<'a> {
    numbers: HashMap<&'a str, usize>,
    tallies: Vec<Tally<'a>>,
}

#[derive(Debug)]
struct Tally<'a> {
    value: &'a str,
    count: u64,
    errors: u64,
    /// The last trace that counted, and the last that counted as failed.
    seen: u64,
    failed: u64,
}

impl<'a> Counts<'a> {
    /// Adds to a value; nothing for nothing, so that a value without records is not told.
    pub(super) fn add(&mut self, value: &'a str, count: u64) {
        if count > 0 {
            *self.0.entry(value).or_default() += count;
        }
    }

    /// The values with the highest counts, those of one count in order of their text.
    pub(super) fn most(self, limit: usize) -> Vec<(String, u64)> {
        let mut all: Vec<(&str, u64)> = self.0.into_iter().collect();
        all.sort_unstable_by_key(|(value, count)| (Reverse(*count), *value));
        all.truncate(limit);
        all.into_iter()
            .map(|(value, count)| (value.to_owned(), count))
            .collect()
    }
}

impl<'a> Shares<'a> {
    /// The number of a value, entered if it is new.
    pub(super) fn number(&mut self, value: &'a str) -> usize {
        *self.numbers.entry(value).or_insert_with(|| {
            self.tallies.push(Tally {
                value,
                count: 0,
                errors: 0,
                seen: 0,
                failed: 0,
            });
            self.tallies.len() - 1
        })
    }

    /// A span of the trace with the number `trace` (from 1, ascending) has the value of that number.
    pub(super) fn add(&mut self, number: usize, trace: u64, error: bool) {
        let Some(tally) = self.tallies.get_mut(number) else {
            return;
        };
        if tally.seen != trace {
            tally.seen = trace;
            tally.count += 1;
        }
        if error && tally.failed != trace {
            tally.failed = trace;
            tally.errors += 1;
        }
    }

    /// The values that most traces have.
    pub(super) fn most(self, limit: usize) -> Vec<super::TraceShare> {
        let mut all = self.tallies;
        all.retain(|tally| tally.count > 0);
        all.sort_unstable_by_key(|tally| (Reverse(tally.count), tally.value));
        all.truncate(limit);
        all.into_iter()
            .map(|tally| super::TraceShare {
                value: tally.value.to_owned(),
                count: tally.count,
                errors: tally.errors,
            })
            .collect()
    }
}
