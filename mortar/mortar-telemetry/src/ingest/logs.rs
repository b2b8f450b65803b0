//! OTLP logs, and the repeats that an agent makes when it cannot know whether its last export arrived.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1 as otlp;

use crate::record::{Level, Log, Resource, Value};
use crate::store::Appended;

use super::{Sink, convert};

/// Files that repeats are known of; the one written longest ago is forgotten first.
const FILES_MAX: usize = 4_096;

/// A record and, where the sender says so, where it lay in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The record.
    pub log: Log,
    /// `log.file.name` and `log.file.offset`.
    pub place: Option<(String, u64)>,
}

/// The highest offset taken of each file of each incarnation.
#[derive(Debug, Default)]
pub struct Offsets {
    highest: HashMap<(String, String), (u64, u64)>,
    by_age: BTreeMap<u64, (String, String)>,
    clock: u64,
}

/// Takes one export.
pub fn ingest(request: ExportLogsServiceRequest, sink: &Sink) -> Appended {
    let mut total = Appended::default();
    let now_ns = unix_ns();
    for group in request.resource_logs {
        let resource = convert::resource(group.resource);
        let records = group.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        let logs = records.map(|record| convert(record, now_ns)).collect();
        total = total.and(sink.logs(&resource, logs));
    }
    total
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn convert(record: otlp::LogRecord, now_ns: u64) -> Located {
    let times = [record.time_unix_nano, record.observed_time_unix_nano, now_ns];
    let mut fields = convert::attributes(record.attributes);
    let place = take_place(&mut fields);
    let level = match record.severity_number {
        1..=4 => Level::Trace,
        5..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warn,
        17.. => Level::Error,
        _ => Level::parse(&record.severity_text).unwrap_or(Level::Info),
    };
    Located {
        log: Log {
            time_ns: times.into_iter().find(|at| *at != 0).unwrap_or(now_ns),
            level,
            message: convert::text(record.body),
            trace_id: convert::trace_id(&record.trace_id).unwrap_or_default(),
            span_id: convert::span_id(&record.span_id),
            fields,
        },
        place,
    }
}

/// Where the record lay is the agent's business: it is taken out of what people read.
fn take_place(fields: &mut Vec<(String, Value)>) -> Option<(String, u64)> {
    let (mut file, mut offset) = (None, None);
    fields.retain(|(key, value)| match (key.as_str(), value) {
        ("log.file.name", Value::Text(name)) => {
            file = Some(name.clone());
            false
        }
        ("log.file.offset", Value::Int(at)) => {
            offset = u64::try_from(*at).ok();
            false
        }
        _ => true,
    });
    Some((file?, offset?))
}

impl Offsets {
    /// Whether this record was not taken before; taking it is remembered.
    pub fn is_new(&mut self, resource: &Resource, log: &Located) -> bool {
        let Some((file, offset)) = &log.place else {
            return true;
        };
        let key = (resource.incarnation.clone(), file.clone());
        if self
            .highest
            .get(&key)
            .is_some_and(|(highest, _)| offset <= highest)
        {
            return false;
        }
        self.clock += 1;
        if let Some((_, age)) = self.highest.insert(key.clone(), (*offset, self.clock)) {
            self.by_age.remove(&age);
        }
        self.by_age.insert(self.clock, key);
        if self.highest.len() > FILES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.highest.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, offset: u64) -> Located {
        Located {
            log: convert(otlp::LogRecord::default(), 1).log,
            place: Some((file.to_owned(), offset)),
        }
    }

    #[test]
    fn a_record_that_was_taken_before_is_passed_over() {
        let mut offsets = Offsets::default();
        let of = |incarnation: &str| Resource {
            incarnation: incarnation.to_owned(),
            ..Resource::default()
        };
        assert!(offsets.is_new(&of("a"), &at("out.log", 0)));
        assert!(offsets.is_new(&of("a"), &at("out.log", 40)));
        assert!(!offsets.is_new(&of("a"), &at("out.log", 40)));
        assert!(!offsets.is_new(&of("a"), &at("out.log", 0)));
        assert!(offsets.is_new(&of("a"), &at("err.log", 0)), "another file");
        assert!(offsets.is_new(&of("b"), &at("out.log", 0)), "another incarnation");
    }

    #[test]
    fn only_so_many_files_are_remembered_and_the_stalest_goes_first() {
        let mut offsets = Offsets::default();
        let resource = Resource::default();
        for file in 0..=FILES_MAX {
            assert!(offsets.is_new(&resource, &at(&file.to_string(), 1)));
            assert!(offsets.is_new(&resource, &at("busy", file as u64)));
        }
        assert!(offsets.highest.len() <= FILES_MAX && offsets.by_age.len() == offsets.highest.len());
        assert!(!offsets.is_new(&resource, &at("busy", 5)));
    }

    #[test]
    fn levels_come_from_the_number_and_else_from_the_text() {
        let level = |severity_number, text: &str| {
            let record = otlp::LogRecord {
                severity_number,
                severity_text: text.to_owned(),
                ..Default::default()
            };
            convert(record, 7).log.level
        };
        assert_eq!(level(9, ""), Level::Info);
        assert_eq!(level(24, "trace"), Level::Error);
        assert_eq!(level(0, "WARNING"), Level::Warn);
        assert_eq!(level(0, ""), Level::Info);
        assert_eq!(level(-3, "debug"), Level::Debug);
    }

    #[test]
    fn a_record_without_time_gets_the_present() {
        assert_eq!(convert(otlp::LogRecord::default(), 7).log.time_ns, 7);
    }
}
