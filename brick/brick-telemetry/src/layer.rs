//! The tracing layer: spans become [`SpanRecord`]s, events become log lines and, at WARN and above, span events.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::RwLock;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::context::{self, SYNTHETIC, SpanContext};
use crate::log::{Line, Logger};
use crate::span::{EVENTS_MAX, SpanEvent, SpanRecord, SpanSink, Value, unix_ns_now};

mod fields;

/// Target of events that belong to a span alone: they become span events from INFO on, and no log line is written.
pub const SPAN_EVENT: &str = "span_event";

use fields::{EventFields, SpanFields};

/// Spans of INFO and above always count, whatever the filter says: it is about log lines alone.
#[derive(Debug)]
pub(crate) struct TelemetryLayer {
    pub(crate) sink: SpanSink,
    pub(crate) logger: Logger,
    pub(crate) filter: Arc<RwLock<Targets>>,
}

/// What a span keeps while somebody holds it.
struct Open {
    context: SpanContext,
    /// The test suite that caused it.
    suite: Option<Arc<str>>,
    /// Gone once the span has ended.
    record: Option<SpanRecord>,
    started: Moment,
}

/// A moment by both clocks. A span and all within it are told by the wall clock of the outermost one's start and the
/// steady clock from there on: none begins before or ends after the span around it, even where the wall clock is set.
#[derive(Clone, Copy)]
struct Moment {
    unix_ns: u64,
    at: Instant,
}

impl Moment {
    fn now() -> Self {
        Self {
            unix_ns: unix_ns_now(),
            at: Instant::now(),
        }
    }

    /// Now, told from here.
    fn later(self) -> Self {
        let at = Instant::now();
        let passed = u64::try_from((at - self.at).as_nanos()).unwrap_or(u64::MAX);
        Self {
            unix_ns: self.unix_ns.saturating_add(passed),
            at,
        }
    }
}

/// Ends a span before the last who holds it lets go.
pub(crate) fn end(span: &tracing::Span) {
    span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<TelemetryLayer>();
        let span = dispatch
            .downcast_ref::<Registry>()
            .and_then(|registry| registry.span(id));
        if let (Some(layer), Some(span)) = (layer, span) {
            let ended = span.extensions_mut().get_mut::<Open>().and_then(Open::end);
            if let Some(record) = ended {
                layer.sink.record(record);
            }
        }
    });
}

impl TelemetryLayer {
    fn is_logged(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() != SPAN_EVENT
            && self
                .filter
                .read()
                .would_enable(metadata.target(), metadata.level())
    }

    fn counts(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            *metadata.level() <= Level::INFO
        } else {
            is_noted(metadata) || self.is_logged(metadata)
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TelemetryLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        if self.counts(metadata) {
            tracing::subscriber::Interest::always()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.counts(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let filter = self.filter.read();
        let logged = filter.iter().map(|(_, level)| level).max();
        logged.max(filter.default_level()).max(Some(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let within = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let open = extensions.get::<Open>()?;
            Some((open.context, open.suite.clone(), open.started.later()))
        });
        let (within, mut suite, started) = match within {
            Some((context, suite, started)) => (Some(context), suite, started),
            None => (None, None, Moment::now()),
        };
        let parent = within.or_else(context::remote_parent);
        let own = parent.map_or_else(SpanContext::root, |parent| parent.child());
        let mut record = SpanRecord::start(own, parent.map(|p| p.span_id), attributes.metadata().name());
        record.start_unix_ns = started.unix_ns;
        if let Some(suite) = &suite {
            let value = Value::from(suite.to_string());
            record.attributes.push((Cow::Borrowed(SYNTHETIC), value));
        }
        attributes.record(&mut SpanFields(&mut record));
        suite = suite.or_else(|| made_by(&record));
        span.extensions_mut().insert(Open {
            context: own,
            suite,
            record: Some(record),
            started,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
            && let Some(record) = &mut open.record
        {
            values.record(&mut SpanFields(record));
            if open.suite.is_none() {
                open.suite = made_by(record);
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        let span = ctx.event_span(event);
        let mut found = None;
        if let Some(span) = &span {
            // Read before the span is locked: a field's `Debug` may itself tell something.
            let noted = is_noted(metadata).then(|| span_event(event));
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                found = Some((open.context, open.suite.clone()));
                if let Some(noted) = noted {
                    open.note(noted);
                }
            }
        }
        if self.is_logged(metadata) {
            let mut line = Line::new(metadata.level(), metadata.target());
            event.record(&mut line);
            let (context, suite) = found.map_or((None, None), |(context, suite)| (Some(context), suite));
            if let Some(suite) = suite {
                line.text("synthetic", &suite);
            }
            self.logger.write(line, context);
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions().get::<Open>()
        {
            context::enter(id.into_u64(), open.context);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        context::exit(id.into_u64());
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(record) = open.and_then(|mut open| open.end()) {
            self.sink.record(record);
        }
    }
}

impl Open {
    /// The finished record; none where the span has ended before.
    fn end(&mut self) -> Option<SpanRecord> {
        let mut record = self.record.take()?;
        record.end_unix_ns = self.started.later().unix_ns;
        Some(record)
    }

    fn note(&mut self, mut event: SpanEvent) {
        let Some(record) = &mut self.record else { return };
        event.time_unix_ns = self.started.later().unix_ns;
        if record.events.len() < EVENTS_MAX {
            record.events.push(event);
        } else {
            record.cut_events = record.cut_events.saturating_add(1);
        }
    }
}

/// The test suite that a span says caused it.
fn made_by(record: &SpanRecord) -> Option<Arc<str>> {
    record.attribute(SYNTHETIC)?.as_str().map(Arc::from)
}

/// Whether an event becomes one of its span.
fn is_noted(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || (metadata.target() == SPAN_EVENT && *metadata.level() <= Level::INFO)
}

fn span_event(event: &Event<'_>) -> SpanEvent {
    let mut fields = EventFields::default();
    event.record(&mut fields);
    if event.metadata().target() != SPAN_EVENT {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            _ => "warn",
        };
        fields.attributes.push((Cow::Borrowed("level"), level.into()));
    }
    SpanEvent {
        // Told where it is noted, by the span's clock.
        time_unix_ns: 0,
        name: fields.message.into(),
        attributes: fields.attributes,
    }
}

#[cfg(test)]
mod tests;
